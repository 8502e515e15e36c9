"""What a family file states, and the reading of a foreign config.json: no key is ignored in silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penjing.base.errors import ModelError, raise_all
from penjing.model.config import ModelConfig
from penjing.model.decoding import MANNERS
from penjing.model.head import HeadStyle
from penjing.model.transformer import Network, Transformer

FREE = (
    "id2label", "label2id", "problem_type", "pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id",
    "sep_token_id", "mask_token_id", "unk_token_id", "decoder_start_token_id", "use_cache",
)  # fmt: skip
# names, labels and ways to compute: the numbers do not depend on them
NEUTRAL = {
    *FREE,
    *MANNERS,
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
    "prefix",
}
ACTIVATIONS = {  # theirs: ours; where two of theirs are one of ours, the first is written
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
BIAS = {True: (True, True), False: (False, False)}
SPELLED = {
    "key_heads": "keys",
    "head_width": "inner",
    "embedding_width": "embedded",
}  # fields whose None is written as the number it stands for


@dataclass(frozen=True)
class Key:
    """One key of their config: our field, the value when it is absent, and how its values are called here."""

    field: str
    absent: Any = None
    values: Mapping[Any, Any] | None = None  # theirs: ours; None: they are the same

    def read(self, name: str, value: Any) -> Any:
        """Our value of theirs."""
        if self.values is None:
            return value
        if not isinstance(value, Hashable) or value not in self.values:
            raise ModelError("P-MODEL-012", field=name, given=value, known=self.values)
        return self.values[value]

    def write(self, config: ModelConfig) -> Any:
        """Their value of ours; None where they have none, which `Family.lost` then tells."""
        value = getattr(config, SPELLED.get(self.field, self.field))
        if self.values is None:
            return value
        return next((theirs for theirs, ours in self.values.items() if ours == value), None)


TOKEN_HEADS = {  # purpose -> names of a head that scores every token, ours: theirs
    "tag": {"head.output": "classifier", "head.crf": "crf"},
    "span": {"head.output": "qa_outputs"},
}


def token_classes(name: str) -> dict[str, str]:
    """Their classes with such a head."""
    return {"tag": f"{name}ForTokenClassification", "span": f"{name}ForQuestionAnswering"}


def nothing(_: Any) -> dict[str, Any]:
    """Nothing beside the table."""
    return {}


@dataclass(frozen=True)
class Family:
    """A family as data: a table of config keys and one of weight names, read in both directions.

    What no table can say, because several keys make one field, stands in `read` and `write`.
    """

    name: str
    architectures: Mapping[str, Mapping[str, str]]  # model type -> purpose -> architecture
    keys: Mapping[str, Key]
    names: Callable[[ModelConfig, str], dict[str, str]]  # config, purpose -> our name -> theirs
    style: Callable[[Mapping[str, Any]], HeadStyle]  # of a classifier
    styles: Mapping[str, Callable[[Mapping[str, Any]], HeadStyle]] = field(
        default_factory=dict
    )  # purpose -> its head's
    fixed: Mapping[str, Any] = field(
        default_factory=dict
    )  # our fields that are the same in every network of the family
    also: Mapping[str, Any] = field(default_factory=dict)  # keys read by the functions below, with their absent values
    only: Mapping[str, tuple] = field(
        default_factory=dict
    )  # keys with no other values; the first is what absence means
    read: Callable[[Mapping[str, Any]], dict[str, Any]] = nothing  # their config -> our fields, over those of the table
    write: Callable[[ModelConfig], dict[str, Any]] = nothing  # our config -> their keys, over those of the table
    write_style: Callable[[HeadStyle], dict[str, Any]] = nothing
    fresh: Mapping[str, Any] = field(default_factory=dict)  # keys of a network made here, where absence means another
    start: str | None = None  # what a decoder made here begins with: "pad", "end"; None: its text's last token
    extra: tuple[str, ...] = ()  # patterns of their weights that may be there unused (tied copies, other heads)
    token_heads: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: TOKEN_HEADS)
    roots: Mapping[str, str] = field(default_factory=dict)  # purpose -> the root where it is another
    root: str = ""  # what the names of the network itself begin with; a bare network is stored without it
    reads: Mapping[str, str] = field(default_factory=dict)  # further architectures that are read -> purpose
    blank: tuple[str, ...] = ()  # weights of ours that those may lack: zero
    model_type: Callable[[ModelConfig], str] | None = None  # where the family has several
    config_class: type = ModelConfig  # what its fields are of, and what is built of it
    network: type[Network] = Transformer
    spellings: Mapping[str, str] = field(default_factory=dict)  # other names of their keys: the name in the tables

    @property
    def defaults(self) -> dict[str, Any]:
        """Every key that is read, with the value it has when absent."""
        return {**{name: key.absent for name, key in self.keys.items()}, **self.also}

    def type_of(self, config: ModelConfig) -> str:
        """The `model_type` of a config."""
        return self.model_type(config) if self.model_type else self.name

    def type_for(self, purpose: str | None) -> str:
        """The first `model_type` that serves a purpose, or the first of all."""
        return next((kind for kind, table in self.architectures.items() if purpose in table), [*self.architectures][0])

    def architecture(self, model_type: str, purpose: str) -> str:
        """Their class for a purpose."""
        table = self.architectures[model_type]
        if purpose not in table:
            raise ModelError("P-MODEL-013", family=self.name, given=purpose, known=table)
        return table[purpose]

    def style_of(self, purpose: str, foreign: Mapping[str, Any]) -> HeadStyle:
        """The head that the family has for a purpose; where none is told, its classifier's. One that scores every token
        has no pool, and only the slots that the family names for it."""
        style = self.styles.get(purpose, self.style)(foreign)
        if purpose not in self.token_heads:
            return style
        plain = {} if "head.dense" in self.token_heads[purpose] else {"dense": "none", "norm": None}
        return dataclasses.replace(style, pool="each", end=None, bias=True, **plain)

    def root_of(self, purpose: str) -> str:
        """What the names of the network itself begin with in a checkpoint for this purpose."""
        return self.roots.get(purpose, self.root)

    def table(self, config: ModelConfig, purpose: str) -> dict[str, str]:
        """Our names -> theirs in a checkpoint for this purpose."""
        names = self.names(config, purpose)
        if purpose not in self.token_heads:
            return names
        root, own = self.root_of(purpose), self.root
        network = {ours: theirs for ours, theirs in names.items() if not ours.startswith(("head.", "output."))}
        network = {ours: root + theirs.removeprefix(own) for ours, theirs in network.items()}
        return network | self.token_heads[purpose]

    def purpose(self, foreign: Mapping[str, Any], file: str | Path | None = None) -> str:
        """What a checkpoint is for, by its architecture."""
        given = (foreign.get("architectures") or [None])[0]
        table = {arch: purpose for purpose, arch in self.architectures[foreign["model_type"]].items()} | self.reads
        if given not in table:
            raise ModelError("P-MODEL-020", file=file, given=str(given), known=table)
        return table[given]

    def whole(self, foreign: Mapping[str, Any], file: str | Path | None = None) -> dict[str, Any]:
        """Their config with absent keys filled; unknown keys that are set and values we cannot honour are errors."""
        names = {**self.defaults, **self.only}
        foreign, problems = self.spelled(foreign, file), []
        for key, value in foreign.items():
            if key in self.only and value not in self.only[key]:
                problems.append(ModelError("P-MODEL-012", file=file, field=key, given=value, known=self.only[key]))
            elif key not in names and key not in NEUTRAL and key[0] != "_" and value not in (None, False, [], {}, ""):
                problems.append(ModelError("P-MODEL-011", file=file, given=key, known=names, value=value))
        raise_all(problems)
        return {**{key: values[0] for key, values in self.only.items()}, **self.defaults, **foreign}

    def spelled(self, foreign: Mapping[str, Any], file: str | Path | None = None) -> dict[str, Any]:
        """Their config with the names of the tables; a key given under two names must have one value."""
        found = {key: value for key, value in foreign.items() if key not in self.spellings}
        for key, name in self.spellings.items():
            value = foreign.get(key)
            if value is not None and found.setdefault(name, value) != value:
                raise ModelError("P-MODEL-012", file=file, field=key, given=value, known=[f"{name} = {found[name]}"])
        return found

    def config(self, foreign: Mapping[str, Any], file: str | Path | None = None) -> ModelConfig:
        """Our config from theirs."""
        whole = self.whole(foreign, file)
        try:
            return self.config_class(**{**self.fixed, **self.fields(whole), **self.read(whole)})
        except KeyError as error:
            raise ModelError("P-MODEL-003", file=file, field=error.args[0]) from error
        except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise ModelError("P-MODEL-032", file=file, reason=error) from error

    def fields(self, foreign: Mapping[str, Any]) -> dict[str, Any]:
        """Our fields by the table; several of their keys for one field must agree."""
        found: dict[str, tuple[str, Any]] = {}
        for name, key in self.keys.items():
            value = key.read(name, foreign[name])
            first, other = found.setdefault(key.field, (name, value))
            if other != value:
                values = f"{first}={foreign[first]}, {name}={foreign[name]}"
                raise ModelError("P-MODEL-012", field=name, given=values, known=[f"{first} = {name}"])
        return {field: value for field, (_, value) in found.items()}

    def foreign(self, config: ModelConfig, purpose: str, style: HeadStyle | None) -> dict[str, Any]:
        """Their config from ours; what the family cannot express is an error that lists it."""
        kind = self.type_of(config)
        foreign = {"architectures": [self.architecture(kind, purpose)], "model_type": kind}
        foreign |= {name: key.write(config) for name, key in self.keys.items()} | self.write(config)
        if style is not None:
            foreign |= self.write_style(style)
        lost = self.lost(config, style, foreign, purpose)
        if lost:
            raise ModelError("P-MODEL-021", family=self.name, names=", ".join(lost))
        return foreign

    def changed(self, config: ModelConfig) -> list[str]:
        """What of a network without a class head the family cannot express."""
        foreign = {"model_type": self.type_of(config)} | {name: key.write(config) for name, key in self.keys.items()}
        return self.lost(config, None, foreign | self.write(config))

    def lost(
        self, config: ModelConfig, style: HeadStyle | None, foreign: Mapping[str, Any], purpose: str = "classify"
    ) -> list[str]:
        """What would be another when read back."""
        try:
            again = self.config(foreign)
        except ModelError as error:
            return [f"{problem.field}={problem.given!r}" for problem in (error, *error.others)]
        if style is None:
            return unlike(config, again)
        kept = self.style_of(purpose, self.whole(foreign))
        kept = dataclasses.replace(kept, dropout=style.dropout)  # a head is taught once; a new one has its own
        return unlike(config, again) + unlike(style, kept)


def unlike(ours: Any, again: Any) -> list[str]:
    """Fields that a trip through their config changes."""
    ours, again = normal(ours), normal(again)
    return [f"{name}={value!r} (≠ {again[name]!r})" for name, value in ours.items() if value != again[name]]


def normal(value: Any) -> dict[str, Any]:
    """Fields with the defaults spelled out, so that None and the number it stands for are alike."""
    fields = dataclasses.asdict(value)
    if isinstance(value, ModelConfig):
        fields |= {name: getattr(value, spelled) for name, spelled in SPELLED.items()}
        fields["attention_scale"] = value.attention_scale or value.inner**-0.5
        fields["window_rotary_base"] = value.window_rotary_base or value.rotary_base
    return fields


def under(ours: str, theirs: str, names: Mapping[str, str]) -> dict[str, str]:
    """A part of a table of weight names: each side after its prefix."""
    return {ours + mine: theirs + name for mine, name in names.items()}


def rotary_base(given: Mapping[str, Any] | None, default: float) -> float:
    """The base of plain rotary positions; scaled ones are an error."""
    given = given or {}
    scaled = {k: v for k, v in given.items() if k not in ("rope_theta", "rope_type", "type") and v is not None}
    kind = given.get("rope_type", given.get("type", "default"))
    if scaled or kind != "default":
        raise ModelError("P-MODEL-012", field="rope_parameters", given=given, known=["rope_type default, rope_theta"])
    return float(given.get("rope_theta", default))
