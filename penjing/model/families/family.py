"""What a family file states, and the reading of a foreign config.json: no key is ignored in silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penjing.base.errors import ModelError, raise_all
from penjing.model.config import ModelConfig
from penjing.model.head import HeadStyle

FREE = (
    "id2label", "label2id", "problem_type", "pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id",
    "sep_token_id", "mask_token_id", "unk_token_id", "decoder_start_token_id", "use_cache",
)  # fmt: skip
# names, labels and ways to compute: the numbers do not depend on them
NEUTRAL = {
    *FREE,
    "architectures",
    "model_type",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "num_labels",
    "finetuning_task",
    "task_specific_params",
    "tokenizer_class",
    "gradient_checkpointing",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "chunk_size_feed_forward",
    "name_or_path",
    "pretraining_tp",
    "output_past",
    "max_length",
}
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
FOREIGN_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "silu": "silu", "relu": "relu"}


@dataclass(frozen=True)
class Family:
    """A family as data: its config keys, two functions, and its table of weight names."""

    name: str
    architectures: Mapping[str, Mapping[str, str]]  # model type -> purpose -> architecture
    defaults: Mapping[str, Any]  # every key that is read, with the value it has when absent
    only: Mapping[str, tuple]  # keys that may have these values and no other; the first is what absence means
    read: Callable[[Mapping[str, Any]], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    names: Callable[[ModelConfig, str], dict[str, str]]  # config, purpose -> our name -> theirs
    style: Callable[[Mapping[str, Any]], HeadStyle]  # of a classifier
    write_style: Callable[[HeadStyle], dict[str, Any]]
    fresh: Mapping[str, Any] = field(default_factory=dict)  # keys of a network made here, where absence means another
    extra: tuple[str, ...] = ()  # patterns of their weights that may be there unused (tied copies, other heads)
    model_type: Callable[[ModelConfig], str] | None = None  # where the family has several

    def type_of(self, config: ModelConfig) -> str:
        """The `model_type` of a config."""
        return self.model_type(config) if self.model_type else self.name

    def architecture(self, model_type: str, purpose: str) -> str:
        """Their class for a purpose."""
        table = self.architectures[model_type]
        if purpose not in table:
            raise ModelError("P-MODEL-013", family=self.name, given=purpose, known=table)
        return table[purpose]

    def purpose(self, foreign: Mapping[str, Any], file: str | Path | None = None) -> str:
        """What a checkpoint is for, by its architecture."""
        given = (foreign.get("architectures") or [None])[0]
        table = {arch: purpose for purpose, arch in self.architectures[foreign["model_type"]].items()}
        if given not in table:
            raise ModelError("P-MODEL-020", file=file, given=str(given), known=table)
        return table[given]

    def whole(self, foreign: Mapping[str, Any], file: str | Path | None = None) -> dict[str, Any]:
        """Their config with absent keys filled; unknown keys that are set and values we cannot honour are errors."""
        names = {**self.defaults, **self.only}
        problems = []
        for key, value in foreign.items():
            if key in self.only and value not in self.only[key]:
                problems.append(ModelError("P-MODEL-012", file=file, field=key, given=value, known=self.only[key]))
            elif key not in names and key not in NEUTRAL and key[0] != "_" and value not in (None, False, [], {}, ""):
                problems.append(ModelError("P-MODEL-011", file=file, given=key, known=names, value=value))
        raise_all(problems)
        return {**{key: values[0] for key, values in self.only.items()}, **self.defaults, **foreign}

    def config(self, foreign: Mapping[str, Any], file: str | Path | None = None) -> ModelConfig:
        """Our config from theirs."""
        try:
            return self.read(self.whole(foreign, file))
        except KeyError as error:
            raise ModelError("P-MODEL-003", file=file, field=error.args[0]) from error

    def foreign(self, config: ModelConfig, purpose: str, style: HeadStyle | None) -> dict[str, Any]:
        """Their config from ours; what the family cannot express is an error that lists it."""
        kind = self.type_of(config)
        foreign = {"architectures": [self.architecture(kind, purpose)], "model_type": kind, **self.write(config)}
        if style is not None:
            foreign |= self.write_style(style)
        lost = self.lost(config, style, foreign)
        if lost:
            raise ModelError("P-MODEL-021", family=self.name, names=", ".join(lost))
        return foreign

    def lost(self, config: ModelConfig, style: HeadStyle | None, foreign: Mapping[str, Any]) -> list[str]:
        """What would be another when read back."""
        try:
            again = self.config(foreign)
        except ModelError as error:
            return [f"{problem.field}={problem.given!r}" for problem in (error, *error.others)]
        return unlike(config, again) + ([] if style is None else unlike(style, self.style(self.whole(foreign))))


def unlike(ours: Any, again: Any) -> list[str]:
    """Fields that a trip through their config changes."""
    ours, again = normal(ours), normal(again)
    return [f"{name}={value!r} (≠ {again[name]!r})" for name, value in ours.items() if value != again[name]]


def normal(value: Any) -> dict[str, Any]:
    """Fields with the defaults spelled out, so that None and the number it stands for are alike."""
    fields = dataclasses.asdict(value)
    if isinstance(value, ModelConfig):
        fields |= {"key_heads": value.keys, "head_width": value.inner}
        fields["attention_scale"] = value.attention_scale or value.inner**-0.5
    return fields


def activation(foreign: Mapping[str, Any], key: str) -> str:
    """Our name of their activation."""
    value = foreign[key]
    if value not in ACTIVATIONS:
        raise ModelError("P-MODEL-012", field=key, given=value, known=ACTIVATIONS)
    return ACTIVATIONS[value]


def rotary_base(given: Mapping[str, Any] | None, default: float) -> float:
    """The base of plain rotary positions; scaled ones are an error."""
    given = given or {}
    scaled = {k: v for k, v in given.items() if k not in ("rope_theta", "rope_type", "type") and v is not None}
    kind = given.get("rope_type", given.get("type", "default"))
    if scaled or kind != "default":
        raise ModelError("P-MODEL-012", field="rope_parameters", given=given, known=["rope_type default, rope_theta"])
    return float(given.get("rope_theta", default))


def full_layers(types: list[str] | None) -> None:
    """An error unless every layer sees the whole text."""
    if types is not None and set(types) != {"full_attention"}:
        raise ModelError("P-MODEL-012", field="layer_types", given=types, known=["full_attention"])


def same(foreign: Mapping[str, Any], *keys: str) -> Any:
    """The value that several of their keys share; we have one option for them."""
    if len({foreign[key] for key in keys}) > 1:
        values = ", ".join(f"{key}={foreign[key]}" for key in keys)
        raise ModelError("P-MODEL-012", field=keys[-1], given=values, known=[f"{keys[0]} = {keys[-1]}"])
    return foreign[keys[0]]
