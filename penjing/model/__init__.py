"""The network: one Transformer by slots, its families, its checkpoints. A family is a config and a table of names."""
