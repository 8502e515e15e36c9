"""A fresh config of a family from the few numbers a user chooses, or from one: its size."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any

import torch

from penjing.base.errors import ModelError, raise_all
from penjing.model.families import families, family_of

PRESETS = {  # width, layers; one head for each 64 features. Up to `base` the small BERTs of arXiv:1908.08962
    "tiny": (128, 2),
    "mini": (256, 4),
    "small": (512, 4),
    "medium": (512, 8),
    "base": (768, 12),
    "large": (1024, 24),
    "xl": (1600, 48),
}
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
ASPECT = 64  # features for each layer, as in most presets
STRAY = 0.1  # an aspect twice as large or small is as bad as a tenth more or fewer parameters


def sizes_of(family: str, size: str, key_heads: int | None = None, **more: Any) -> dict[str, Any]:
    """Width, layers, heads and MLP width of a preset, or of so many parameters ("20M", "1.5b").

    `more`: what else `fresh_config` is given; the vocabulary counts, too.
    """
    if size in PRESETS:
        width, layers = PRESETS[size]
        return {"width": width, "layers": layers}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmb]?)", size.strip().lower())
    if found is None or not float(found[1]):
        raise ModelError("P-MODEL-034", given=size, known=PRESETS)
    wish = float(found[1]) * UNITS[found[2]]
    shapes = list(candidates(family, wish, key_heads, more))
    if not shapes:
        raise ModelError("P-MODEL-033", given=size, vocabulary=more["vocab_size"])
    _, shape = min(shapes, key=lambda shape: shape[0])
    return tuned(family, wish, shape, {**more, "key_heads": key_heads})


def candidates(family: str, wish: float, key_heads: int | None, more: dict[str, Any]) -> Iterator[tuple[float, dict]]:
    """For each width the layers that come nearest to the wish, and how far off number and aspect are."""
    headed = hasattr(family_of(family).config({"model_type": family_of(family).type_for(more.get("purpose"))}), "heads")
    for width in (*range(32, 256, 32), *range(256, 8192, 64)):
        heads = width // (32 if width % 64 else 64)
        if headed and key_heads is not None and heads % key_heads:
            continue
        shape = {"width": width} | ({"heads": heads, "key_heads": key_heads} if headed else {})
        one, two = (parameters(fresh_config(family, layers=n, **shape, **more)) for n in (1, 2))
        if one > 1.5 * wish:
            return
        layers = max(1, min(round((wish - one) / (two - one)) + 1, width // 16))
        off = abs(math.log((one + (layers - 1) * (two - one)) / wish))
        shape.pop("key_heads", None)
        yield off + STRAY * abs(math.log2(width / layers / ASPECT)), shape | {"layers": layers}


def tuned(family: str, wish: float, shape: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The shape with an MLP, up to a third narrower or wider, that comes nearest to the wish, if the family has one."""
    config = fresh_config(family, **shape, **more)
    if not hasattr(config, "mlp_width"):
        return shape
    wider = dataclasses.replace(config, mlp_width=config.mlp_width + 32)
    if family_of(family).changed(wider):
        return shape
    here = parameters(config)
    steps = round((wish - here) / (parameters(wider) - here))
    most = config.mlp_width // 32 // 3
    return shape | {"mlp_width": config.mlp_width + 32 * max(-most, min(steps, most))}


def parameters(config: Any, vocabulary: bool = True) -> int:
    """The parameters of a network, counted without memory for them."""
    network = next(f.network for f in families().values() if f.config_class is type(config))
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in network(config, vocabulary).parameters())


def fresh_config(
    family: str, *, vocab_size: int, width: int, layers: int, heads: int | None = None, mlp_width: int | None = None,
    key_heads: int | None = None, max_tokens: int = 512, dropout: float = 0.0, attention_dropout: float | None = None,
    tied: bool | None = None, purpose: str | None = None, pad: int | None = None,
) -> Any:  # fmt: skip
    """The family's own config with these sizes.

    heads: None is one for each 64 features. mlp_width: None is 4 widths, or 8/3 of it where the MLP is gated, so that
    both hold equally many weights. key_heads: None is as many as heads; fewer share keys and values. tied: whether the
    output's matrix is the embeddings' own; None: as the family has it. Every layer sees the whole text. purpose: where
    the family has several kinds of networks, the first that serves it. pad: the tokenizer's padding id, where positions
    are counted from it (RoBERTa).
    """
    found = family_of(family)
    counted = {"pad_token_id": pad} if pad is not None and "pad_token_id" in found.defaults else {}
    if tied not in (None, *found.only.get("tie_word_embeddings", (tied,))):
        raise ModelError("P-MODEL-070", family=family, given=tied)
    counted |= {} if tied is None else {"tie_word_embeddings": tied}
    base = found.config({"model_type": found.type_for(purpose), **found.defaults, **found.fresh, **counted})
    inner = -(-width * 8 // (3 * 64)) * 64 if getattr(base, "gated_mlp", False) else 4 * width
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "width": width,
        "heads": heads or max(1, width // 64),
        "mlp_width": mlp_width or inner,
        "max_tokens": max_tokens,
        "dropout": dropout,
        "attention_dropout": attention_dropout or 0.0,
        "key_heads": key_heads,
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
    given = {"heads": heads, "mlp_width": mlp_width, "key_heads": key_heads, "attention_dropout": attention_dropout}
    without = [name for name, value in given.items() if value is not None and name not in fields]
    raise_all([ModelError("P-MODEL-060", family=family, field=name, given=given[name]) for name in without])
    return dataclasses.replace(base, **{name: value for name, value in sizes.items() if name in fields})
