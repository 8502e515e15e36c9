"""A fresh config of a family from the few numbers a user chooses."""

from __future__ import annotations

import dataclasses
from typing import Any

from penjing.base.errors import ModelError, raise_all
from penjing.model.families import family_of


def fresh_config(
    family: str, *, vocab_size: int, width: int, layers: int, heads: int | None = None, mlp_width: int | None = None,
    max_tokens: int = 512, dropout: float = 0.0, purpose: str | None = None, pad: int | None = None,
) -> Any:  # fmt: skip
    """The family's own config with these sizes.

    heads: None is one for each 64 features. mlp_width: None is 4 widths, or 8/3 of it where the MLP is gated, so that
    both hold equally many weights. Every layer sees the whole text. purpose: where the family has several kinds of
    networks, the first that serves it. pad: the tokenizer's padding id, where positions are counted from it (RoBERTa).
    """
    found = family_of(family)
    counted = {"pad_token_id": pad} if pad is not None and "pad_token_id" in found.defaults else {}
    base = found.config({"model_type": found.type_for(purpose), **found.defaults, **found.fresh, **counted})
    inner = -(-width * 8 // (3 * 64)) * 64 if getattr(base, "gated_mlp", False) else 4 * width
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "width": width,
        "heads": heads or max(1, width // 64),
        "mlp_width": mlp_width or inner,
        "max_tokens": max_tokens,
        "dropout": dropout,
        "attention_dropout": 0.0,
        "key_heads": None,
        "head_width": None,
        "embedding_width": None,
        "window": None,
        "window_layers": (),
        "decoder_start": None,
    }
    if base.initial_std is not None:  # 0.02 is for width 768; a narrower network needs larger values
        sizes["initial_std"] = round(base.initial_std * (768 / width) ** 0.5, 4)
    if base.embedding_scale != 1.0:  # the root of the width
        sizes["embedding_scale"] = width**0.5
    if base.output_scale != 1.0:  # T5: one over the root of the width
        sizes["output_scale"] = width**-0.5
    sizes |= {name: layers for name in ("encoder_layers", "decoder_layers") if getattr(base, name)}
    fields = {field.name for field in dataclasses.fields(base)}
    given = {"heads": heads, "mlp_width": mlp_width}
    without = [name for name, value in given.items() if value is not None and name not in fields]
    raise_all([ModelError("P-MODEL-060", family=family, field=name, given=given[name]) for name in without])
    return dataclasses.replace(base, **{name: value for name, value in sizes.items() if name in fields})
