"""A model's folder in the Hugging Face layout: config.json, generation_config.json, model.safetensors.

What is written loads in transformers' `from_pretrained` with the same logits, and what they write is read here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError, raise_all
from penjing.base.files import existing, read_json, write_json
from penjing.model.config import ModelConfig
from penjing.model.decoding import FILE, FORCED, generation_config, read_generation
from penjing.model.families import family_of
from penjing.model.families.family import FREE, Family, unlike
from penjing.model.head import ClassHead
from penjing.model.tensors import SHARD, check_whole, read_tensors, write_tensors
from penjing.model.transformer import Network
from penjing.model.weights import OWN, demand, from_theirs, theirs_of, to_theirs

Alter = Callable[[Network], Collection[str]]  # edits an empty network; names of the tensors that stand elsewhere
Purpose = str  # a key of some family's `architectures`
WORDED = ("masked", "causal", "seq2seq", "next_sentence")  # purposes with a vocabulary head
HEADED = ("classify", "tag", "span", "next_sentence", "replaced")  # with a head of their own; "base" has neither
NAMED = ("classify", "tag")  # whose head's labels have names
CRF_WEIGHT = "crf.transitions"  # beside what transformers' token classifiers hold


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds, under our names; the head's tensors begin with `head.`."""

    config: ModelConfig
    family: str
    purpose: str
    foreign: dict[str, Any]  # their config.json
    tensors: dict[str, Tensor]
    generation: dict[str, Any] = field(default_factory=dict)  # how it wants to be asked, in their words
    alter: Alter | None = None

    def transformer(self, vocabulary: bool | None = None) -> Network:
        """The network, filled, but for what `alter` fills. `vocabulary`: with its head; None: if the checkpoint has one."""
        has = self.purpose in WORDED
        if vocabulary and not has:
            raise ModelError("P-MODEL-008")
        with torch.device("meta"):
            network = family_of(self.family).network(self.config, has if vocabulary is None else vocabulary)
            network.to(next(iter(self.tensors.values())).dtype)
            elsewhere = set() if self.alter is None else self.alter(network)
        return fill(network, {name: self.tensors[name] for name in network.state_dict() if name not in elsewhere})

    def head(self) -> ClassHead | None:
        """The head, filled, or None where the checkpoint's purpose has none."""
        if self.purpose not in HEADED:
            return None
        family, output = family_of(self.family), self.tensors["head.output.weight"]
        crf = f"head.{CRF_WEIGHT}" in self.tensors
        with torch.device("meta"):
            head = empty_head(family, self.purpose, self.config, self.foreign, output, crf)
        return fill(head, {name: self.tensors["head." + name] for name in head.state_dict()})


def fill(network: Any, tensors: dict[str, Tensor]) -> Any:
    """Put tensors in the place of an empty network's parameters; nothing was drawn that is thrown away."""
    network.load_state_dict(tensors, assign=True, strict=False)  # both sides of the names follow from one network
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return network


def empty_head(
    family: Family, purpose: Purpose, config: ModelConfig, foreign: Mapping[str, Any], output: Tensor, crf: bool
) -> ClassHead:
    """A head of the family's style for the purpose, with as many labels as `output` has rows."""
    return ClassHead(config.width, output.shape[0], family.style_of(purpose, family.whole(foreign)), crf)


def write_checkpoint(
    folder: str | Path,
    network: Network,
    *,
    family: str,
    purpose: Purpose,
    head: nn.Module | None = None,
    extra: Mapping[str, Any] | None = None,
    generation: Mapping[str, Any] | None = None,
    shard: int = SHARD,
    tensors: Mapping[str, Tensor] | None = None,
    whole: bool = True,
    own: Collection[str] = (),
) -> None:
    """Write config, generation config and weights into `folder`, each file whole; the config last.

    `extra` goes into config.json: id2label, label2id, problem_type, token ids. `generation` is how the network wants to
    be asked, as in `Checkpoint.generation`. Weights keep their dtype. `tensors` stand for the network's, where it was
    edited; not `whole`: some are missing, and others write no such folder; `own`: some have another shape.
    """
    chosen, folder = family_of(family), Path(folder)
    fits(network, purpose, head)
    foreign = foreign_config(chosen, network, purpose, head, extra or {})
    ours = dict(network.state_dict() if tensors is None else tensors)
    ours |= {} if head is None else {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    theirs = to_theirs(chosen.table(network.config, purpose), ours, whole, own)
    if purpose == "base":
        theirs = {name.removeprefix(chosen.root): tensor for name, tensor in theirs.items()}
    write_tensors(folder, theirs, shard, whole)
    write_configs(folder, foreign, purpose, generation or {})


def write_configs(folder: Path, foreign: dict[str, Any], purpose: str, generation: Mapping[str, Any]) -> None:
    """Write generation_config.json, where the purpose has one, and config.json."""
    if purpose in ("causal", "seq2seq"):
        foreign |= {key: generation.get(key) for key in FORCED if purpose == "seq2seq"}
        write_json(folder / FILE, generation_config(foreign, generation))
    write_json(folder / "config.json", foreign)


def fits(network: Network, purpose: str, head: nn.Module | None) -> None:
    """The heads are those of the purpose."""
    wrong = []
    if (purpose in HEADED) != (head is not None):
        wrong.append("head is " + ("given" if head is not None else "missing"))
    if (purpose in WORDED) != (network.output is not None):
        wrong.append("vocabulary head is " + ("missing" if network.output is None else "there"))
    if wrong:
        raise ModelError("P-MODEL-024", given=purpose, reason=", ".join(wrong))


def foreign_config(
    family: Family, network: Network, purpose: str, head: nn.Module | None, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Their config.json."""
    raise_all([ModelError("P-MODEL-022", given=key, known=FREE) for key in extra if key not in FREE])
    foreign = family.foreign(network.config, purpose, None if head is None else head.style)
    foreign["dtype"] = str(network.embedding.weight.dtype).removeprefix("torch.")
    foreign |= {key: value for key, value in extra.items() if value is not None}
    if purpose in NAMED:
        named = foreign.setdefault("id2label", {i: f"LABEL_{i}" for i in range(head.labels)})
        foreign["id2label"] = {str(number): label for number, label in named.items()}
        foreign.setdefault("label2id", {label: int(number) for number, label in named.items()})
        if len(named) != head.labels:
            raise ModelError("P-MODEL-023", given=len(named), labels=head.labels)
    changed = unlike(network.config, family.config(foreign))  # by the extra keys: RoBERTa's padding id moves positions
    if changed:
        raise ModelError("P-MODEL-021", family=family.name, names=", ".join(changed))
    return foreign


def read_checkpoint(folder: str | Path, *, dtype: torch.dtype | None = None, alter: Alter | None = None) -> Checkpoint:
    """Read a folder in the Hugging Face layout. `dtype` None: that of the embeddings, for all weights.

    `alter` edits the empty network first: the folder then holds what that network has.
    """
    folder = existing(folder)
    if alter is None:
        check_whole(folder)
    if not (folder / "config.json").exists():
        raise ModelError("P-MODEL-015", file=folder)
    file = folder / "config.json"
    foreign = read_json(file, dict)
    family = family_of(str(foreign.get("model_type")), file)
    config, purpose = family.config(foreign, file), family.purpose(foreign, file)
    theirs = rooted(plain_names(read_tensors(folder)), family.root_of(purpose))
    table = family.table(config, purpose)
    config = trusted(config, table, theirs)
    blank = family.blank if (foreign.get("architectures") or [None])[0] in family.reads else ()
    wanted = shapes(family, config, purpose, foreign, theirs, folder, alter)
    tensors = from_theirs(table, theirs, wanted, family.extra, folder, blank)
    first = tensors.get("embedding.weight", next(iter(tensors.values())))
    dtype = first.dtype if dtype is None else dtype  # types that differ cannot be multiplied
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    return Checkpoint(config, family.name, purpose, foreign, tensors, read_generation(folder, foreign), alter)


def plain_names(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors with the old names of norms (gamma, beta) made new."""
    endings = {".gamma": ".weight", ".beta": ".bias"}
    renamed = {}
    for name, tensor in theirs.items():
        old = next((ending for ending in endings if name.endswith(ending)), None)
        renamed[name if old is None else name.removesuffix(old) + endings[old]] = tensor
    return renamed


def rooted(theirs: dict[str, Tensor], root: str) -> dict[str, Tensor]:
    """The tensors of a bare network under the names that they have below a head."""
    if any(name.startswith(root) for name in theirs):
        return theirs
    return {name if name.startswith(OWN) else root + name: tensor for name, tensor in theirs.items()}


def trusted(config: ModelConfig, table: Mapping[str, str], theirs: Mapping[str, Tensor]) -> ModelConfig:
    """The config, untied if the file has an output matrix of its own: T5's config forgets it, the weights do not."""
    if not config.tied_output or "output.weight" not in table:
        return config
    output, tied = theirs.get(table["output.weight"]), theirs.get(f"{table['embedding']}.weight")
    own = output is not None and tied is not None and not torch.equal(output, tied)
    return dataclasses.replace(config, tied_output=False) if own else config


def shapes(
    family: Family,
    config: ModelConfig,
    purpose: str,
    foreign: Mapping[str, Any],
    theirs: Mapping[str, Tensor],
    folder: Path,
    alter: Alter | None = None,
) -> dict[str, torch.Size]:
    """The names and shapes that the config asks for, less what stands elsewhere."""
    with torch.device("meta"):
        network = family.network(config, purpose in WORDED)
        elsewhere = set() if alter is None else alter(network)
        wanted = {name: tensor.shape for name, tensor in network.state_dict().items() if name not in elsewhere}
        if purpose in HEADED:
            output = theirs_of("head.output.weight", family.table(config, purpose))[0]
            if output not in theirs:
                demand([output], [], [], folder)
            head = empty_head(family, purpose, config, foreign, theirs[output], CRF_WEIGHT in theirs)
            wanted |= {f"head.{name}": tensor.shape for name, tensor in head.state_dict().items()}
    return wanted
