"""The search for the smallest model within a budget of quality: what the stage `compress` does, one file per concern."""
