"""What a GGUF file says of a network: its sizes by key, its tensors by name, and their order within.

Sizes and names are tables read in both directions, so that what is proven is what the file holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penjing.base.messages.message import Both
from penjing.model.config import ModelConfig
from penjing.model.families import family_of
from penjing.model.rotary import SCALINGS, plain
from penjing.model.weights import theirs_of
from penjing.tasks.model import Model

FREQUENCIES = "rope_freqs.weight"  # by what each frequency is divided
COMMON = {  # our field: key after the architecture's name
    "vocab_size": "vocab_size", "max_tokens": "context_length", "width": "embedding_length",
    "mlp_width": "feed_forward_length", "heads": "attention.head_count",
}  # fmt: skip
ROTARY = {"keys": "attention.head_count_kv", "inner": "attention.key_length", "rotary_base": "rope.freq_base"}
RMS, LAYER = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"
FIELDS = {"keys": "key_heads", "inner": "head_width"}  # what is written, and the field it is of


@dataclass(frozen=True)
class Architecture:
    """An architecture of llama.cpp's that is one of our families."""

    name: str
    norm: str  # the key of norm_eps
    activation: str
    purpose: str = "causal"
    rotary: bool = True
    interleaved: bool = False  # features that are turned together lie side by side, not half a head apart


ARCHITECTURES = {
    "llama": Architecture("llama", RMS, "silu", interleaved=True),
    "mistral": Architecture("llama", RMS, "silu", interleaved=True),
    "qwen2": Architecture("qwen2", RMS, "silu"),
    "qwen3": Architecture("qwen3", RMS, "silu"),
    "gpt2": Architecture("gpt2", LAYER, "gelu_tanh", rotary=False),
    "bert": Architecture("bert", LAYER, "gelu", "base", rotary=False),
}


def hindrance(model: Model) -> Both | None:
    """Why llama.cpp cannot compute the network, if it cannot."""
    found, config = ARCHITECTURES.get(model.family), model.network.config
    if found is None:
        listed = ", ".join(ARCHITECTURES)
        return Both(f"of the families only {listed} are written", f"只支持以下模型族：{listed}")
    if model.task.purpose != found.purpose:
        return Both(f"of {model.family} only networks for {found.purpose} are written",
                    f"{model.family} 只支持用途为 {found.purpose} 的网络")  # fmt: skip
    if config.activation != found.activation:
        return Both(f"llama.cpp computes {found.name} with {found.activation}, not {config.activation}",
                    f"llama.cpp 中 {found.name} 的激活函数是 {found.activation}，不是 {config.activation}")  # fmt: skip
    if config.window is not None:
        return Both("layers that see only a window", "只看窗口的层")
    if config.rotary_scaling is not None and config.rotary_scaling.kind not in ("linear", "llama3"):
        kind = config.rotary_scaling.kind
        return Both(f"rotary positions scaled as {kind}", f"以 {kind} 方式缩放的旋转位置")
    return None


# ---- sizes ----


def sizes(config: ModelConfig, found: Architecture) -> dict[str, int | float]:
    """The file's keys and their values."""
    named = COMMON | (ROTARY if found.rotary else {})
    values = {f"{found.name}.{key}": getattr(config, name) for name, key in named.items()}
    values[f"{found.name}.block_count"] = config.decoder_layers or config.encoder_layers
    values[f"{found.name}.{found.norm}"] = float(config.norm_eps)
    if found.rotary:
        values[f"{found.name}.rope.dimension_count"] = config.turned
        values[f"{found.name}.attention.value_length"] = config.inner
    if config.rotary_scaling is not None and config.rotary_scaling.kind == "linear":
        values[f"{found.name}.rope.scaling.factor"] = float(config.rotary_scaling.factor)
    return values


def config_of(
    fields: Mapping[str, Any], like: ModelConfig, found: Architecture, tensors: Mapping[str, Any]
) -> ModelConfig:
    """The network's config with all that the file says in the place of what was."""
    named = COMMON | (ROTARY if found.rotary else {})
    values = {FIELDS.get(name, name): fields[f"{found.name}.{key}"] for name, key in named.items()}
    side = "decoder_layers" if like.decoder_layers else "encoder_layers"
    values |= {side: fields[f"{found.name}.block_count"], "norm_eps": fields[f"{found.name}.{found.norm}"]}
    if like.decoder_layers:
        values["tied_output"] = "output.weight" not in tensors
    factor = fields.get(f"{found.name}.rope.scaling.factor")
    if like.rotary_scaling is not None and like.rotary_scaling.kind == "linear":
        scaling = None if factor is None else dataclasses.replace(like.rotary_scaling, factor=factor)
        values["rotary_scaling"] = scaling
    return dataclasses.replace(like, **values)


def divided(config: ModelConfig) -> Tensor | None:
    """By what each frequency is divided, D/2, where that is stored."""
    scaling = config.rotary_scaling
    if scaling is None or scaling.kind != "llama3":
        return None
    at = torch.zeros(1, 1, dtype=torch.int64)
    return plain(config.turned, config.rotary_base, at.device) / SCALINGS[scaling.kind](
        config.turned, config.rotary_base, scaling, at
    )


# ---- tensors ----


def names(config: ModelConfig, family: str, purpose: str, ours: list[str]) -> dict[str, str]:
    """The names in a Hugging Face checkpoint: the file's names."""
    import gguf

    found, chosen = ARCHITECTURES[family], family_of(family)
    arch = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == found.name)
    table = gguf.get_tensor_name_map(arch, config.decoder_layers or config.encoder_layers)
    theirs = {theirs_of(name, chosen.table(config, purpose))[0] for name in ours}
    cut = chosen.root if purpose == "base" else ""
    return {name: table.get_name(name.removeprefix(cut), (".weight", ".bias")) for name in sorted(theirs)}


def arranged(name: str, tensor: Tensor, config: ModelConfig, found: Architecture, back: bool = False) -> Tensor:
    """A tensor of a Hugging Face checkpoint as the file has it, or back."""
    if found.name == "gpt2" and ".c_" in name and tensor.dim() == 2:
        return tensor.t().contiguous()
    heads = {"q_proj": config.heads, "k_proj": config.keys}
    many = next((heads[part] for part in heads if f".{part}." in name), None)
    if not found.interleaved or many is None:
        return tensor
    shape = (many, config.inner // 2, 2) if back else (many, 2, config.inner // 2)
    return tensor.reshape(*shape, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape).contiguous()
