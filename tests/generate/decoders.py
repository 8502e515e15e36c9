"""Toy decoders, ours and transformers' with the same values, large enough that texts vary."""

from __future__ import annotations

import dataclasses
from functools import cache

import torch
import transformers as theirs

from penjing.model.checkpoint import read_checkpoint
from penjing.model.config import ModelConfig
from penjing.model.transformer import Transformer

VOCABULARY, STOP = 37, 2
FOREIGN = {
    "llama": (
        theirs.LlamaForCausalLM,
        theirs.LlamaConfig,
        dict(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48,
            max_position_embeddings=64,
        ),
    ),
    "t5": (
        theirs.T5ForConditionalGeneration,
        theirs.T5Config,
        dict(d_model=32, d_kv=8, num_heads=4, d_ff=48, num_layers=2, num_decoder_layers=2, decoder_start_token_id=0),
    ),
}  # fmt: skip
DECODERS = tuple(FOREIGN)
CONFIG = ModelConfig(
    VOCABULARY, width=16, heads=2, mlp_width=24, decoder_layers=2, max_tokens=40, position="rotary", norm="rms",
    norm_place="before", final_norm=True, gated_mlp=True, activation="silu", tied_output=False,
)  # fmt: skip


def decoder(seed: int = 3, **changed) -> Transformer:
    """A fresh decoder of ours."""
    made = Transformer.new(dataclasses.replace(CONFIG, **changed), 0).eval()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed * 1000 + number))
    return made


@cache
def pair(name: str, folder: str):
    """Ours and theirs of one family."""
    cls, config, options = FOREIGN[name]
    torch.manual_seed(4)
    made = cls(config(vocab_size=VOCABULARY, pad_token_id=0, bos_token_id=1, eos_token_id=STOP, **options)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3)
    made.save_pretrained(folder)
    return read_checkpoint(folder).transformer().eval(), made


def prompts(count: int, seed: int = 0, longest: int = 12) -> list[list[int]]:
    """Prompts of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(3, VOCABULARY, (size,), generator=generator).tolist() for size in sizes]
