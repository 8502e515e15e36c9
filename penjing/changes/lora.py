"""LoRA: beside each matrix W a product of two thin ones, W x + scale B A x, of which only A and B are trained.

LoRA arXiv:2106.09685, scale alpha / sqrt(rank) arXiv:2312.03732, DoRA arXiv:2402.09353, LoRA+ arXiv:2402.12354, PiSSA
arXiv:2404.02948. PiSSA starts from the largest singular directions of W and trains them; here W stays as it is and
what A and B start from is subtracted, which says the same: W + scale (B A - B0 A0).

Shapes: I inputs, O outputs, R rank, V rows of a table, W width.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import ModelError, OptionError
from penjing.changes import change
from penjing.changes.edits import Edit, edits_at, kind_of
from penjing.changes.paths import matching, parameters_matching, pattern_for
from penjing.model.embedding import Embedding, Lookup
from penjing.model.layers import drop
from penjing.model.low_rank import low_rank
from penjing.model.transformer import VocabularyHead

if TYPE_CHECKING:
    from penjing.changes.peft import Layout

USUAL = r"(attention|cross)\.(query|value)|(ahead|back)\.(input|recurrent)"


class LowRank(Edit):
    """W x + scale B A x. `down` is A, R I; `up` is B, O R, and zero at the start."""

    fixed = ("first_down", "first_up")

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float, dropout: float, pissa: bool):
        super().__init__()
        self.down = nn.Parameter(torch.zeros(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        self.first_down = nn.Parameter(torch.zeros(rank, inputs)) if pissa else None
        self.first_up = nn.Parameter(torch.zeros(outputs, rank)) if pissa else None
        self.scale, self.dropout = scale, dropout

    def factors(self) -> tuple[Tensor, Tensor]:
        """A and B of all that is added, R I and O R."""
        if self.first_down is None:
            return self.down, self.up
        return torch.cat([self.down, self.first_down]), torch.cat([self.up, -self.first_up], 1)

    def inward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """scale A x, and B."""
        down, up = self.factors()
        return F.linear(self.read(x), down) * self.scale, up

    def read(self, x: Tensor) -> Tensor:
        """x, some of it dropped in training."""
        return drop(x, self.dropout) if self.training and self.dropout else x

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        return low_rank(inner(x), self.read(x), *self.factors(), self.scale)

    def moved(self, weight: Tensor) -> Tensor:
        """W + scale B A."""
        down, up = self.factors()
        return torch.addmm(weight, up, down, alpha=self.scale)

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.moved(weight), bias

    def begin(self, weight: Tensor, generator: torch.Generator) -> None:
        """Start from random directions in, and nothing out; or from the largest directions of W, O I."""
        self.draw(self.down, generator)
        if self.first_down is not None:
            left, sizes, right = torch.linalg.svd(weight.float(), full_matrices=False)
            share = (sizes[: len(self.down)] / self.scale).sqrt()  # a small matrix has fewer directions than the rank
            self.down[: len(share)] = right[: len(share)] * share[:, None]
            self.up[:, : len(share)] = left[:, : len(share)] * share
            self.first_down.copy_(self.down)
            self.first_up.copy_(self.up)

    def draw(self, thin: nn.Parameter, generator: torch.Generator) -> None:
        """Even values up to one over the root of the inputs."""
        most = thin.shape[1] ** -0.5
        thin.copy_(torch.empty(thin.shape).uniform_(-most, most, generator=generator))


class Decomposed(LowRank):
    """DoRA: the rows of W + scale B A keep their direction; their lengths are learnt apart. `magnitude`: O."""

    def __init__(self, inputs: int, outputs: int, *options: Any):
        super().__init__(inputs, outputs, *options)
        self.magnitude = nn.Parameter(torch.ones(outputs))

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        weight, bias = self.below(host)
        factor = self.factor(weight)
        found = factor * super().forward(host, inner, x)
        return found if bias is None else found + (1 - factor) * bias

    def below(self, host: Any) -> tuple[Tensor, Tensor | None]:
        """What the host multiplies by and adds before this edit."""
        weight, bias = host.weight, host.bias
        for edit in edits_at(host).values():
            if edit is self or not edit.linear:
                break
            weight, bias = edit.folded(weight, bias)
        return weight, bias

    def factor(self, weight: Tensor) -> Tensor:
        """The wanted length of each row over its own, which is no variable of training (section 4.3)."""
        with torch.no_grad():
            lengths = self.moved(weight).norm(dim=1)
        return self.magnitude / lengths

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.factor(weight)[:, None] * self.moved(weight), bias

    def begin(self, weight: Tensor, generator: torch.Generator) -> None:
        super().begin(weight, generator)
        self.magnitude.copy_(self.moved(weight).norm(dim=1))


class LowRankTable(LowRank):
    """The same for a table of embeddings, whose rows are taken by number: here A is what is zero at the start."""

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], numbers: Tensor) -> Tensor:  # type: ignore[override]
        down, up = self.factors()
        return inner(numbers) + F.linear(Lookup.apply(down.t(), numbers) * self.scale, up)

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.moved(weight.t()).t(), bias

    def begin(self, weight: Tensor, generator: torch.Generator) -> None:
        super().begin(weight.t(), generator)
        if self.first_down is None:
            self.down.zero_()
            self.draw(self.up, generator)


class LowRankHead(LowRank):
    """The same for the vocabulary's head: states and rows are made longer by A x and B, and the scores never added."""

    verbs = ("product",)

    def product(
        self,
        host: nn.Module,
        inner: Callable[..., tuple[Tensor, Tensor, Tensor | None]],
        hidden: Tensor,
        tied: nn.Module,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        states, rows, bias = inner(hidden, tied)
        added, up = self.inward(states[..., : self.down.shape[1]])  # an earlier one may have made them longer
        return torch.cat([states, added], -1), torch.cat([rows, up], 1), bias


KINDS = {nn.Linear: LowRank, Embedding: LowRankTable, VocabularyHead: LowRankHead}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of LoRA."""

    rank: Annotated[int, Field(ge=1, description="directions that are learnt in each matrix")] = 8
    alpha: Annotated[float, Field(gt=0, description="what is learnt is scaled by alpha / rank")] = 16.0
    where: Annotated[
        str,
        Field(
            description="paths of products, tables or the head: `.*` is all; usual: queries and values (LSTM: gates)"
        ),
    ] = USUAL
    rslora: Annotated[bool, Field(description="scaled by alpha / sqrt(rank), so that large ranks learn too")] = False
    dora: Annotated[bool, Field(description="the lengths of the rows are learnt apart from their direction")] = False
    dropout: Annotated[float, Field(ge=0, lt=1, description="dropout of what the low rank reads")] = 0.0
    start: Annotated[
        Literal["usual", "pissa"], Field(description="pissa: from the largest singular directions of each matrix")
    ] = "usual"
    ratio: Annotated[float, Field(gt=0, description="learning rate of B over that of A (LoRA+ has 16)")] = 1.0
    whole: Annotated[str | None, Field(description="paths of what is trained whole beside it, as norms")] = None

    name: ClassVar[str] = "lora"
    peft: ClassVar[str | None] = "LORA"
    peft_keys: ClassVar[tuple[str, ...]] = (
        "r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern",
        "init_lora_weights", "qalora_group_size", "ensure_weight_tying",
    )  # fmt: skip

    @property
    def scale(self) -> float:
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        found = matching(network, self.where, tuple(KINDS))
        tables = [path for path, module in found.items() if not issubclass(kind_of(module), nn.Linear)]
        if self.dora and tables:
            raise OptionError("P-CHANGE-008", field="where", given=self.where, paths=", ".join(tables))
        return {path: self.edit(network, module) for path, module in found.items()}

    def edit(self, network: Any, module: nn.Module) -> LowRank:
        """The edit for one module."""
        kind = next(edit for kind, edit in KINDS.items() if issubclass(kind_of(module), kind))
        rows, columns = matrix(network, module).shape
        inputs, outputs = (rows, columns) if kind is LowRankTable else (columns, rows)
        kind = Decomposed if self.dora else kind
        return kind(inputs, outputs, self.rank, self.scale, self.dropout, self.start == "pissa")

    def trains(self, network: nn.Module) -> set[str]:
        return set() if self.whole is None else parameters_matching(network, self.whole, "whole")

    def fit(
        self, network: nn.Module, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        for path, edit in edits.items():
            edit.begin(matrix(network, network.get_submodule(path)), generator)  # type: ignore[operator]

    def rate(self, name: str, network: nn.Module) -> float:
        return self.ratio if name.endswith(".up") else 1.0

    def to_peft(self, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `Change.to_peft`; where the rank differs from module to module, their patterns say it."""
        found, ranks = {}, {}
        for module, parts in by_module(edits, layout).items():
            tensors = thin(module, parts, layout)
            found |= {f"{module}.{kind}": tensor for kind, tensor in tensors.items()}
            ranks[module] = next(iter(tensors.values())).shape[0]
        usual = max(ranks.values(), key=list(ranks.values()).count)
        other = {module: rank for module, rank in ranks.items() if rank != usual}
        plain = not other and usual == self.rank
        return {
            "r": usual, "lora_alpha": self.alpha if plain else self.scale * usual, "lora_dropout": self.dropout,
            "use_rslora": plain and self.rslora, "use_dora": self.dora, "init_lora_weights": True, "bias": "none",
            "fan_in_fan_out": any(layout.places[path].transposed for path in edits), "target_modules": sorted(ranks),
            "rank_pattern": other, "alpha_pattern": {module: self.scale * rank for module, rank in other.items()},
        }, found  # fmt: skip

    @classmethod
    def from_peft(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
    ) -> tuple[list[change.Change], dict[str, dict[str, Tensor]]]:
        """As `Change.from_peft`; modules of one rank and one alpha are one change."""
        start = start_of(config, [module for module in tensors if len(layout.modules[module]) > 1])
        groups, values = defaultdict(list), {}
        for module, held in tensors.items():
            rank = int(of_pattern(config.get("rank_pattern"), module, config.get("r", 8)))
            alpha = float(of_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", 8)))
            for path in layout.modules[module].values():
                values[path] = parted(module, path, held, rank, layout, wrong, bool(config.get("use_dora")))
                groups[rank, alpha].append(path)
        said = {"rslora": bool(config.get("use_rslora")), "dora": bool(config.get("use_dora")),
                "dropout": float(config.get("lora_dropout") or 0.0), "start": start}  # fmt: skip
        found = [cls(rank=r, alpha=a, where=pattern_for(paths), **said) for (r, a), paths in groups.items()]
        return found, values


def by_module(edits: Mapping[str, Edit], layout: Layout) -> dict[str, dict[int, Any]]:
    """Edits by their module and the part of it that they are on."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    for path, edit in edits.items():
        found[layout.places[path].module][layout.places[path].part] = edit
    return found


def thin(module: str, parts: Mapping[int, LowRank], layout: Layout) -> dict[str, Tensor]:
    """The factors of one of their modules. Parts that read by the same A share it, others stand side by side in it."""
    factors = {part: edit.factors() for part, edit in parts.items()}
    downs, first = [down for down, _ in factors.values()], next(iter(parts.values()))
    if isinstance(first, LowRankTable):
        return dict(zip(("lora_embedding_A", "lora_embedding_B"), first.factors(), strict=True))
    shared = all(torch.equal(down, downs[0]) for down in downs)
    down, at, ups = downs[0] if shared else torch.cat(downs), 0, {}
    for part, (_, up) in factors.items():
        ups[part] = up if shared else F.pad(up, (at, len(down) - at - up.shape[1]))
        at += up.shape[1]
    found = {
        "lora_A.weight": down,
        "lora_B.weight": layout.join(
            module, ups, lambda path: down.new_zeros(len(layout.ours[f"{path}.weight"]), len(down))
        ),
    }
    if isinstance(first, Decomposed):
        lengths = {part: edit.magnitude for part, edit in parts.items()}
        found["lora_magnitude_vector"] = layout.join(
            module, lengths, lambda path: layout.ours[f"{path}.weight"].norm(dim=1)
        )
    return found


def parted(
    module: str, path: str, held: Mapping[str, Tensor], rank: int, layout: Layout, wrong: list[str], dora: bool
) -> dict[str, Tensor]:
    """The values of one edit from the tensors of their module."""
    place, rows = layout.places[path], layout.rows(path)
    table = path in layout.tables
    kinds = ("lora_embedding_A", "lora_embedding_B") if table else ("lora_A", "lora_B")
    sizes = rows[::-1] if table else rows
    shapes = {"down": (kinds[0], (rank, sizes[1])), "up": (kinds[1], (sizes[0] * place.parts, rank))}
    if dora:
        shapes["magnitude"] = ("lora_magnitude_vector", (sizes[0] * place.parts,))
    known = {kind for kind, _ in shapes.values()}
    wrong += [f"+ {module}.{kind}" for kind in held if kind not in known]
    found = {}
    for name, (kind, shape) in shapes.items():
        if kind not in held:
            wrong.append(f"- {module}.{kind}")
        elif tuple(held[kind].shape) != shape:
            wrong.append(f"≠ {module}.{kind} {tuple(held[kind].shape)}, not {shape}")
        else:
            found[name] = held[kind] if name == "down" else place.cut(held[kind])
    return found


def of_pattern(patterns: Mapping[str, Any] | None, module: str, usual: Any) -> Any:
    """The value that a pattern of PEFT's has for a module."""
    found = (value for key, value in (patterns or {}).items() if re.fullmatch(rf"(.*\.)?({key})", module))
    return next(found, usual)


def start_of(config: Mapping[str, Any], fused: list[str]) -> Literal["usual", "pissa"]:
    """How it started; a start that changed the base by what cannot be computed again is P-CHANGE-017."""
    given = config.get("init_lora_weights", True)
    if given in (True, False, "gaussian", "eva", "orthogonal"):
        return "usual"
    if given != "pissa" or fused:
        raise ModelError("P-CHANGE-017", given=given)
    return "pissa"


def matrix(network: Any, module: Any) -> Tensor:
    """What a module multiplies by, or looks rows up in; a head may use the embedding's."""
    return network.embedding.weight if module.weight is None else module.weight
