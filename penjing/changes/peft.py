"""Adapters in PEFT's form: adapter_config.json and adapter_model.safetensors, under the names of transformers' modules.

What several of our modules are may be one of theirs (GPT-2's queries, keys and values): an adapter on one part is, in
their form, one on the whole that leaves the other parts alone. Each change says what of its own stands in the files
(`Change.to_peft`) and what it makes of them (`Change.from_peft`).
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from penjing.base.errors import FileError, ModelError, PenjingError, raise_all
from penjing.base.files import existing, read_json, whole_folder, write_json
from penjing.changes import CHANGES, kind_named
from penjing.changes.change import Change, Changes
from penjing.changes.edits import base_tensors, edits_of, kind_of, originals, whole_tensors
from penjing.changes.paths import pattern_for
from penjing.changes.peft_ahead import TENSOR
from penjing.model.embedding import Embedding
from penjing.model.families.family import Family
from penjing.model.tensors import read_file, write_file
from penjing.model.transformer import VocabularyHead
from penjing.model.weights import cut, join, part_of, theirs_of, to_theirs

CONFIG, FILE = "adapter_config.json", "adapter_model.safetensors"
TIES = "ensure_weight_tying"  # their head has the rows of the table, though they are saved once
OWN = re.compile(r"(.+?)\.(lora_[A-Za-z_]+|ia3_l)(?:\.weight)?")
TASKS = {
    "classify": "SEQ_CLS", "causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM", "tag": "TOKEN_CLS", "span": "QUESTION_ANS",
    "base": "FEATURE_EXTRACTION",
}  # fmt: skip
ABOUT = ("auto_mapping", "base_model_name_or_path", "inference_mode", "revision", "peft_type", "task_type",
         "modules_to_save", "target_modules", "peft_version", "bias", "exclude_modules", "layers_to_transform",
         "layers_pattern", "megatron_config", "megatron_core", "runtime_config")  # fmt: skip
KINDS = (nn.Linear, Embedding, VocabularyHead)


class Place(NamedTuple):
    """Which rows of which of their modules one of our modules is."""

    module: str
    part: int
    parts: int
    groups: int
    transposed: bool

    def cut(self, tensor: Tensor) -> Tensor | None:
        """Our rows of theirs; None where they do not come out even."""
        return cut(tensor, [f"{self.part}/{self.parts}/{self.groups}"])


def is_tied(network: Any) -> bool:
    """Whether the head uses the embedding's rows."""
    return getattr(getattr(network, "output", None), "weight", 0) is None


class Layout:
    """Their names of a network's modules and of its head's."""

    def __init__(self, network: nn.Module, family: Family, purpose: str, head: nn.Module | None = None):
        self.network, self.purpose = network, purpose
        self.table = family.table(network.config, purpose)  # type: ignore[arg-type]
        self.root = family.root_of(purpose)
        self.bare = self.root if purpose == "base" else ""  # what their names of a bare network lack
        self.places: dict[str, Place] = {}
        self.modules: dict[str, dict[int, str]] = defaultdict(dict)
        self.tables = {path for path, module in originals(network) if issubclass(kind_of(module), Embedding)}
        for path, module in originals(network):
            found = theirs_of(f"{path}.weight", self.table) if issubclass(kind_of(module), KINDS) else None
            if found and found[0].endswith(".weight"):
                name, part = found[0].removesuffix(".weight").removeprefix(self.bare), part_of(found[1])
                self.places[path] = Place(name, *part, "transposed" in found[1])
                self.modules[name][part[0]] = path
        twin = theirs_of("output.weight", self.table) if is_tied(network) else None
        self.twin = twin and twin[0]  # their head's matrix where it is the embedding's
        heads = {} if head is None else head.state_dict()
        self.ours = whole_tensors(network) | {f"head.{name}": tensor for name, tensor in heads.items()}

    def rows(self, path: str) -> tuple[int, int]:
        """The shape of one of our matrices; a head may use the embedding's."""
        rows, columns = self.ours[f"{path}.weight" if f"{path}.weight" in self.ours else "embedding.weight"].shape
        return rows, columns

    def name(self, ours: str) -> str:
        """Their name of one of our parameters."""
        found = theirs_of(ours, self.table)
        return ours if found is None else found[0].removeprefix(self.bare)

    def join(self, module: str, parts: Mapping[int, Tensor], blank: Callable[[str], Tensor]) -> Tensor:
        """Rows of one of their modules from those of our parts of it; `blank`: what stands for a part without any."""
        paths = self.modules[module]
        whole = {part: parts[part] if part in parts else blank(path) for part, path in sorted(paths.items())}
        return join(whole, self.places[paths[0]].groups, False)

    def theirs(self) -> dict[str, Tensor]:
        """All tensors of the network and its head under their names."""
        return {name.removeprefix(self.bare): tensor for name, tensor in to_theirs(self.table, self.ours).items()}

    def known(self, name: str, names: Mapping[str, Any]) -> str:
        """One of their names, with the root that it has in this network, whatever class wrote it."""
        stem = name.removeprefix(self.root)
        return next((one for one in (name, stem, self.root + stem) if one in names), name)


def write_adapter(
    folder: str | Path, changes: Changes, family: Family, purpose: str, head: nn.Module | None = None,
    base: str | None = None, also: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write the last change of a network, the only one that adapts it, and its head, as PEFT does; `base` says where the
    network without them is.

    also: JSON files that lie beside it, by their name.
    """
    layout = Layout(changes.network, family, purpose, head)
    raise_all(hindrances(changes, layout))
    change, modules = changes[-1].change, whole_modules(changes, layout)
    config, own = change.to_peft(edits_of(changes.network, len(changes) - 1), layout)
    own |= {name: tensor for name, tensor in layout.theirs().items() if name.rpartition(".")[0] in modules}
    about = {
        "auto_mapping": None, "base_model_name_or_path": base, "inference_mode": True, "revision": None,
        "peft_type": change.peft, "task_type": TASKS.get(purpose), "modules_to_save": sorted(modules) or None,
    }  # fmt: skip
    about |= {"modules_to_save": None} if change.before_text else {}  # which they know by their heads
    if "embedding.weight" in changes[-1].before and layout.twin:  # for them two modules, with the same rows
        own[layout.twin] = layout.ours["embedding.weight"]
        about["modules_to_save"] = sorted([*modules, layout.twin.removesuffix(".weight")])
    with whole_folder(folder) as part:
        names = {name: name if name == TENSOR else change.peft_root + name for name in own}
        write_file(part / FILE, {names[name]: tensor.contiguous() for name, tensor in own.items()})
        write_json(part / CONFIG, about | config)
        for name, value in (also or {}).items():
            write_json(part / name, value)


def hindrances(changes: Changes, layout: Layout) -> list[PenjingError]:
    """Why their form cannot hold the changes of a network; nothing if it can."""
    if sum(one.change.adapts for one in changes) != 1 or changes[-1].change.peft is None:
        return [ModelError("P-CHANGE-011", changes=", ".join(one.change.name for one in changes) or "none")]
    if changes[-1].change.before_text:
        return changes[-1].change.unsaid(layout)
    paths = edits_of(changes.network, len(changes) - 1)
    if strange := [path for path in paths if path not in layout.places]:
        return [ModelError("P-CHANGE-012", field=path) for path in strange]
    if several := in_several_places(changes.network, paths, changes[-1].before, layout.twin is not None):
        return [ModelError("P-CHANGE-060", paths=", ".join(several))]
    both = whole_modules(changes, layout) & {layout.places[path].module for path in paths}
    listed = ", ".join(sorted(both))
    return [ModelError("P-CHANGE-013", change=changes[-1].change.name, paths=listed)] if both else []


def in_several_places(network: Any, edited: Iterable[str], whole: Iterable[str], ties: bool) -> list[str]:
    """What stands in several of their modules, of which an adapter in their form reaches one: a matrix of tokens for
    both sides, or for the head too, unless it `ties` both.
    """
    sides = getattr(network, "encoder", None), getattr(network, "decoder", None)
    both, tied = None not in sides, is_tied(network) and not ties
    found = [path for path in edited if path == "embedding" and both]
    return found + [name for name in whole if name == "embedding.weight" and (both or tied)]


def whole_modules(changes: Changes, layout: Layout) -> set[str]:
    """Their modules that are trained whole: the head's, and what the last change trains in place."""
    names = [*changes[-1].before, *(name for name in layout.ours if name.startswith("head."))]
    return {layout.name(name).rpartition(".")[0] for name in names}


def read_adapter(
    folder: str | Path, changes: Changes, family: Family, purpose: str, head: nn.Module | None = None
) -> None:
    """Make the changes of a folder in PEFT's form, and fill them, the head and what else was trained whole.

    What does not fit this network is one error with all names and both shapes, and nothing is changed.
    """
    folder = existing(folder)
    about, tensors = read_json(folder / CONFIG, dict), read_file(existing(folder / FILE))
    kind = next((kind for kind in map(kind_named, CHANGES) if kind.peft and kind.peft == about.get("peft_type")), None)
    if kind is None:
        known = [kind.peft for kind in map(kind_named, CHANGES) if kind.peft]
        raise ModelError("P-CHANGE-014", file=folder / CONFIG, given=about.get("peft_type"), known=known)
    odd = [key for key, value in about.items() if value and key not in (*ABOUT, *kind.peft_keys)]
    odd += ["bias"] * (about.get("bias", "none") != "none")
    if odd:
        raise ModelError("P-CHANGE-015", file=folder / CONFIG, keys=", ".join(odd))
    layout = Layout(changes.network, family, purpose, head)
    own, whole = sorted_out(tensors, layout, kind.peft_root)
    ties = one_table(whole, layout) or bool(about.get(TIES) and layout.twin)
    if ties:
        whole.pop(str(layout.twin), None)
    modules = ("",) if kind.before_text else layout.modules
    wrong = [f"+ {name or TENSOR}" for name in own if name not in modules]
    wrong += lacking(about, own, whole, layout)
    try:
        found, values = kind.from_peft(about, {n: own[n] for n in own if n in modules}, layout, wrong)
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise FileError("P-FILE-004", path=folder / CONFIG, reason=" ".join(str(error).split())) from error
    filled = trained_whole(layout, whole, wrong)
    if wrong:
        raise ModelError("P-CHANGE-016", file=folder / FILE, count=len(wrong), names="\n    ".join(wrong))
    own_names = base_tensors(changes.network)
    if stood := [name for name in filled if not name.startswith("head.") and name not in own_names]:
        raise ModelError("P-CHANGE-064", file=folder / FILE, paths=", ".join(stood), option="modules_to_save")
    if several := in_several_places(changes.network, values, filled, ties):
        raise ModelError("P-CHANGE-060", file=folder / FILE, paths=", ".join(several))
    found = [*found[:-1], with_whole(found[-1], [name for name in filled if not name.startswith("head.")], folder)]
    first = len(changes)
    with torch.no_grad():
        for number, change in enumerate(found, first):
            changes.add(change, seed=0)
            for path, edit in edits_of(changes.network, number).items():
                for name, tensor in values[path].items():
                    edit.get_parameter(name).copy_(tensor)
        for name, tensor in filled.items():
            layout.ours[name].copy_(tensor)
    changes.train_from(first)


def lacking(about: Mapping[str, Any], own: Mapping[str, Any], whole: Mapping[str, Any], layout: Layout) -> list[str]:
    """What the config says there is, and the file has not. Where modules are chosen otherwise than by their names, the
    file says which they are.
    """
    saved, targets = (names if isinstance(names := about.get(key), list) else []
                      for key in ("modules_to_save", "target_modules"))  # fmt: skip
    found = [name for name in layout.theirs() if name not in whole and within(name, saved)]
    if not (about.get("layers_to_transform") or about.get("exclude_modules")):
        ends = tuple(f".{name}" for name in targets)
        found += [name for name in layout.modules
                  if name not in own and f".{name}".endswith(ends) and not within(name, saved)]  # fmt: skip
    return [f"- {name}" for name in found]


def one_table(whole: Mapping[str, Tensor], layout: Layout) -> bool:
    """Whether the table and the head that uses it were saved alike."""
    head, table = whole.get(str(layout.twin)), whole.get(layout.name("embedding.weight"))
    return head is not None and table is not None and torch.equal(head, table)


def within(name: str, modules: Iterable[str]) -> bool:
    """Whether a name is one of these modules', or of something in them."""
    return any(f".{module}." in f".{name}." for module in modules)


def with_whole(change: Change, names: list[str], folder: Path) -> Change:
    """The change, which also trains these parameters of the network whole."""
    if not names:
        return change
    if not hasattr(change, "whole"):
        raise ModelError("P-CHANGE-015", file=folder / CONFIG, keys="modules_to_save")
    return dataclasses.replace(change, whole=pattern_for(names))  # type: ignore[type-var]


def sorted_out(
    tensors: Mapping[str, Tensor], layout: Layout, root: str
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """The adapter's own tensors by their module ("": of none), and those of modules that were trained whole by their
    name."""
    own: dict[str, dict[str, Tensor]] = defaultdict(dict)
    names, whole = layout.theirs(), {}
    for name, tensor in tensors.items():
        name = name.removeprefix(root)
        if name == TENSOR:
            own[""][name] = tensor
        elif found := OWN.fullmatch(name):
            own[layout.known(found[1], layout.modules)][found[2]] = tensor
        else:
            whole[layout.known(re.sub(r"\.(base_layer|modules_to_save)\.", ".", name), names)] = tensor
    return dict(own), whole


def trained_whole(layout: Layout, whole: Mapping[str, Tensor], wrong: list[str]) -> dict[str, Tensor]:
    """What was trained whole, under our names; what does not fit goes to `wrong`."""
    found, theirs = {}, layout.theirs()
    for name, tensor in whole.items():
        if name not in theirs:
            wrong.append(f"+ {name}")
        elif theirs[name].shape != tensor.shape:
            wrong.append(f"≠ {name} {tuple(tensor.shape)}, not {tuple(theirs[name].shape)}")
    fits = {name: t for name, t in whole.items() if name in theirs and theirs[name].shape == t.shape}
    for ours in layout.ours:
        marks = theirs_of(ours, layout.table)
        name = layout.name(ours)
        if name in fits:
            found[ours] = cut(fits[name], marks[1] if marks else [])
    return found
