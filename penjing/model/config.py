"""What makes BERT BERT and Llama Llama: a frozen config whose fields fill the slots of one Transformer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from penjing.base.errors import ModelError, raise_all
from penjing.model.rotary import Scaling


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a Transformer. Widths are numbers of features, `max_tokens` is the longest text in tokens.

    A new field must serve two families; what serves one is a new class in a table.
    """

    vocab_size: int
    width: int
    heads: int
    mlp_width: int
    encoder_layers: int = 0
    decoder_layers: int = 0
    max_tokens: int = 512
    embedding_width: int | None = None  # None: width; else a product widens the embeddings (ELECTRA, ALBERT)

    key_heads: int | None = None  # None: as many as heads; fewer: grouped queries; 1: multi-query
    head_width: int | None = None  # None: width // heads
    attention_bias: tuple[bool, bool] = (True, True)  # of (query, key, value) and of the output
    attention_scale: float | None = None  # None: head_width ** -0.5
    normalize_query_key: bool = False

    position: Literal["none", "learned", "sinusoidal", "rotary", "relative", "alibi"] = "learned"
    first_position: int = 0  # learned positions are counted from here (RoBERTa, BART)
    rotary_base: float = 10_000.0
    rotary_share: float = 1.0  # of each head's features are turned, the first ones
    rotary_scaling: Scaling | None = None  # for texts longer than those of the training
    relative: tuple[int, int] = (32, 128)  # buckets, and the distance from which all share the last bucket
    window: int | None = None  # a local layer sees this many tokens to each side; None: all layers are global
    window_layers: tuple[int, ...] = ()  # the numbers of the local layers
    window_rotary_base: float | None = None  # None: the same as rotary_base

    norm: Literal["layer", "layer_plain", "rms"] = "layer"  # layer_plain: without a bias
    norm_place: Literal["before", "after"] = "after"
    block: Literal["serial", "parallel"] = "serial"  # parallel: attention and MLP read the same input
    norm_eps: float = 1e-12
    first_norm: bool = True  # False: the first layer's attention has no norm before it
    embedding_scale: float = 1.0  # token embeddings are multiplied by it before positions are added
    embedding_norm: bool = False
    final_norm: bool = False

    activation: Literal["gelu", "gelu_tanh", "silu", "relu"] = "gelu"
    gated_mlp: bool = False
    mlp_bias: bool = True

    segments: int = 0
    tied_output: bool = True
    vocabulary_bias: bool = False
    output_transform: Literal["none", "dense", "dense_plain"] = "none"  # dense + activation + norm; plain: no bias
    output_scale: float = 1.0
    decoder_start: int | None = None  # what the decoder of an encoder-decoder reads first; None: its text's last token

    dropout: float = 0.0  # on the embeddings and on each sub-layer's output
    attention_dropout: float = 0.0
    initial_std: float | None = 0.02  # None: from the number of inputs of each matrix, as T5

    def __post_init__(self) -> None:
        """All that cannot be built is told at once."""
        raise_all([ModelError("P-MODEL-001", field=f, given=getattr(self, f), reason=r) for f, r in self.problems()])

    def problems(self) -> list[tuple[str, str]]:
        """Fields whose value cannot be built, each with the reason."""
        if strange := mistyped(self):
            return strange
        found = [
            (name, "must be at least 1")
            for name in ("vocab_size", "width", "heads", "mlp_width", "max_tokens", "keys", "embedded")
            if getattr(self, name) < 1
        ]
        meant = {"keys": "key_heads", "embedded": "embedding_width"}
        found = [(meant.get(name, name), reason) for name, reason in found]
        if self.head_width is not None and self.head_width < 1:
            found.append(("head_width", "must be at least 1"))
        if not found and self.head_width is None and self.width % self.heads:
            found.append(("heads", f"must divide the width {self.width}"))
        if not found and self.heads % self.keys:
            found.append(("key_heads", f"must divide the heads {self.heads}"))
        if self.encoder_layers < 0 or self.decoder_layers < 0 or self.encoder_layers + self.decoder_layers < 1:
            found.append(("encoder_layers", "there must be at least one layer"))
        if self.position == "rotary" and not found and (self.turned < 2 or self.turned % 2):
            found.append(("head_width", "rotary positions need an even number of turned features"))
        if self.position == "rotary" and not (0 < self.rotary_share <= 1 and self.rotary_base > 0):
            found.append(("rotary_share", "must be above 0 and at most 1, and rotary_base above 0"))
        if self.position == "relative" and not all(0 < side < self.relative[1] for side in self.exact):
            found.append(("relative", "needs more buckets, or a distance above the buckets that are exact"))
        if (self.window is None) != (not self.window_layers):
            found.append(("window_layers", "must name layers with a window, and none without"))
        if self.window is not None and self.window < 0:
            found.append(("window", "must be at least 0"))
        if self.rotary_scaling is not None:
            found += [("rotary_scaling", reason) for reason in self.rotary_scaling.problems(self.turned)]
        if self.block == "parallel" and (self.norm_place == "after" or (self.encoder_layers and self.decoder_layers)):
            found.append(("block", "can be parallel only with norms before it and without cross-attention"))
        if self.embedded != self.width and self.output_transform == "none":
            found.append(("embedding_width", "a narrower embedding needs an output_transform"))
        if self.norm_eps < 0:
            found.append(("norm_eps", "must be at least 0"))
        if self.first_position < 0:
            found.append(("first_position", "must be at least 0"))
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                found.append((name, "must be at least 0 and below 1"))
        for name, table in CHOICES.items():
            if getattr(self, name) not in table:
                found.append((name, "must be one of " + ", ".join(table)))
        return found

    @property
    def inner(self) -> int:
        """The width of one head."""
        return self.head_width or self.width // self.heads

    @property
    def keys(self) -> int:
        """The number of heads of keys and values."""
        return self.heads if self.key_heads is None else self.key_heads

    @property
    def embedded(self) -> int:
        """The width of the embeddings."""
        return self.width if self.embedding_width is None else self.embedding_width

    @property
    def turned(self) -> int:
        """The features of a head that rotary positions turn."""
        return int(self.inner * self.rotary_share)

    @property
    def exact(self) -> list[int]:
        """Relative distances with a bucket of their own, for each stack; an encoder has buckets for both directions."""
        return [self.relative[0] // 4] * (self.encoder_layers > 0) + [self.relative[0] // 2] * (self.decoder_layers > 0)

    @property
    def by_length(self) -> bool:
        """Whether positions depend on how long the text is."""
        return self.rotary_scaling is not None and self.rotary_scaling.kind == "dynamic"

    def local(self, layer: int) -> bool:
        """Whether a layer sees only its window."""
        return layer in self.window_layers

    def to_dict(self) -> dict[str, Any]:
        """All fields, fit for JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> ModelConfig:
        """A config from its JSON form; unknown and missing names are errors."""
        fields = {field.name: field for field in dataclasses.fields(ModelConfig)}
        needed = [f.name for f in fields.values() if f.default is dataclasses.MISSING and f.name not in given]
        problems = [ModelError("P-MODEL-002", given=name, known=fields) for name in given if name not in fields]
        problems += [ModelError("P-MODEL-003", field=name) for name in needed]
        raise_all(problems)
        scaling = given.get("rotary_scaling")
        made = {"rotary_scaling": None if scaling is None else Scaling(**scaling)}
        return ModelConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()} | made)


TYPES = {"int": (int, "a whole number"), "float": ((int, float), "a number"), "bool": (bool, "true or false")}


def mistyped(config: Any) -> list[tuple[str, str]]:
    """Fields of a config whose value is of another kind than they are declared, each with the reason."""
    found = []
    for field in dataclasses.fields(config):
        (kind, _, optional), value = field.type.partition(" | "), getattr(config, field.name)
        if kind not in TYPES or (optional and value is None):
            continue
        wanted, name = TYPES[kind]
        if not isinstance(value, wanted) or isinstance(value, bool) != (kind == "bool") or not math.isfinite(value):
            found.append((field.name, f"must be {name}"))
    return found


CHOICES = {
    "position": ("none", "learned", "sinusoidal", "rotary", "relative", "alibi"),
    "norm": ("layer", "layer_plain", "rms"),
    "norm_place": ("before", "after"),
    "block": ("serial", "parallel"),
    "activation": ("gelu", "gelu_tanh", "silu", "relu"),
    "output_transform": ("none", "dense", "dense_plain"),
}
