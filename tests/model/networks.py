"""One toy config per family, for the contract that all share."""

from __future__ import annotations

import torch

from penjing.model.batch import Batch
from penjing.model.config import ModelConfig
from penjing.model.families import family_of
from penjing.model.transformer import Network

VOCABULARY = 41
BART = dict(
    d_model=16, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
    decoder_start_token_id=0,
)  # fmt: skip
FOREIGN = {
    "bert": dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32),
    "roberta": dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, pad_token_id=1),
    "distilbert": dict(dim=16, n_layers=3, n_heads=2, hidden_dim=32),
    "electra": dict(embedding_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32),
    "llama": dict(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=32
    ),
    "qwen3": dict(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=32,
    ),
    "gpt2": dict(n_embd=16, n_layer=2, n_head=2, n_positions=64),
    "mistral": dict(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        sliding_window=4,
    ),
    "qwen2": dict(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        use_sliding_window=True,
        sliding_window=5,
        max_window_layers=1,
    ),
    "gpt_neox": dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, rotary_pct=0.5),
    "bloom": dict(hidden_size=24, n_layer=2, n_head=3),
    "t5": dict(d_model=16, d_kv=8, num_heads=2, d_ff=32, num_layers=2),
    "mt5": dict(d_model=16, d_kv=8, num_heads=2, d_ff=32, num_layers=3, num_decoder_layers=2),
    "bart": dict(BART, encoder_layers=2, decoder_layers=3),
    "mbart": dict(BART, encoder_layers=3, decoder_layers=2, scale_embedding=True),
    "marian": dict(BART, encoder_layers=2, decoder_layers=2),
    "vaswani": dict(BART, encoder_layers=2, decoder_layers=2),
    "modernbert": dict(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, local_attention=6
    ),
    "lstm": dict(hidden_size=16, num_hidden_layers=2),
    "bilstm": dict(hidden_size=16, num_hidden_layers=2),
}
CROSSED = ("t5", "mt5", "bart", "mbart", "marian", "vaswani")  # encoder-decoders
DECODERS = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gpt_neox", "bloom", "lstm", *CROSSED)


def keys_of(name: str, value, *fields: str) -> dict:
    """Their keys of some of our fields, each with the value."""
    return {theirs: value for theirs, key in family_of(name).keys.items() if key.field in fields}


def config(name: str, **changed) -> ModelConfig:
    """The toy config of a family, without dropout."""
    still = keys_of(name, 0, "dropout", "attention_dropout")
    family = family_of(name)
    kind = name if name in family.architectures else next(iter(family.architectures))
    return family.config({"model_type": kind, "vocab_size": VOCABULARY, **still, **FOREIGN[name], **changed})


def network(name: str, **changed) -> Network:
    """A fresh network with values large enough that a wrong detail shows."""
    made = family_of(name).network.new(config(name, **changed), 3).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return made


def batch(name: str, side: str = "none", tokens: int = 18) -> Batch:
    """Three texts, two of them padded at `side`; encoder-decoders get a target too, never padded."""
    generator = torch.Generator().manual_seed(5)
    drawn = torch.randint(3, VOCABULARY, (3, tokens), generator=generator)
    mask = torch.ones_like(drawn, dtype=torch.bool)
    for row, short in ((1, 5), (2, 9)):
        if side == "right":
            mask[row, -short:] = False
        if side == "left":
            mask[row, :short] = False
    made = Batch(drawn, None if side == "none" else mask)
    if name in CROSSED:
        made.target = torch.randint(3, VOCABULARY, (3, tokens), generator=generator)
    return made
