"""The Transformer of "Attention Is All You Need" (arXiv:1706.03762) with its base sizes, written as Marian.

Section 3: norms after the residual, ReLU, sines as positions, one matrix for both embeddings and the output, which as
embedding is multiplied by the root of the width. Section 5.4: dropout of 0.1, on the embeddings too. The paper is
silent on the values it starts from: they have a deviation of one over the root of a matrix's inputs.
"""

from __future__ import annotations

from dataclasses import replace

from penjing.model.families import marian

SIZES = {
    "d_model": 512, "encoder_layers": 6, "decoder_layers": 6, "encoder_attention_heads": 8,
    "decoder_attention_heads": 8, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048, "max_position_embeddings": 512,
    "activation_function": "relu", "init_std": None, "vocab_size": 37000, "decoder_start_token_id": 36999,
}  # fmt: skip

FAMILY = replace(
    marian.FAMILY,
    name="vaswani",
    model_type=lambda config: "marian",
    keys={name: replace(key, absent=SIZES.get(name, key.absent)) for name, key in marian.FAMILY.keys.items()},
    also=marian.FAMILY.also | {"scale_embedding": True},
    fresh={},
)
