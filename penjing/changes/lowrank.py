"""Two thin matrices in the place of one: W x becomes B (A x), of the largest singular directions of W.

With data these are the directions that matter for what the matrix reads: the best B A for B A x near W x on average
(arXiv:2403.07378; the data's second moments turn the one question into the other). The rank is a number, or follows
from the share of energy that is kept, or from a share of all numbers, spent where it keeps the most.

Shapes: I inputs, O outputs, R rank, V rows of a table, W width.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError, PenjingError, raise_all
from penjing.changes import change
from penjing.changes.calibration import second_moments
from penjing.changes.edits import Edit, StandIn, kind_of
from penjing.changes.paths import holders, near
from penjing.model.embedding import Embedding
from penjing.model.products import Linear

USUAL = r"(attention|cross)\.(query|key|value|output)|mlp\.(up|gate|down)|(ahead|back)\.(input|recurrent)"
SHARE = 0.5  # of the numbers that are kept where nothing else is said
DAMPING = 1e-4  # of the mean second moment, added to each: directions that the data lack are not free


class Factors(StandIn):
    """B (A x), and the module's own bias. `down` is A, R I; `up` is B, O R."""

    verbs = ("forward",)

    def __init__(self, inputs: int, outputs: int, rank: int):
        super().__init__()
        self.down, self.up = Linear(inputs, rank, bias=False), Linear(rank, outputs, bias=False)

    def dense(self, name: str) -> Tensor:
        return self.up.weight @ self.down.weight

    def forward(self, host: nn.Linear, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        found = self.up(self.down(x))
        return found if host.bias is None else found + host.bias

    def fill(self, outward: Tensor, inward: Tensor) -> None:
        """B, O R, and A, R I."""
        self.up.weight.copy_(outward)
        self.down.weight.copy_(inward)


class TableFactors(StandIn):
    """The same for a table: thin rows, V R, made wide by a product. A head that is tied to the table reads it whole."""

    verbs = ("forward",)

    def __init__(self, rows: int, width: int, rank: int):
        super().__init__()
        self.table, self.up = Embedding(rows, rank), Linear(rank, width, bias=False)

    def dense(self, name: str) -> Tensor:
        return F.linear(self.table.weight, self.up.weight)

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], numbers: Tensor) -> Tensor:  # type: ignore[override]
        return self.up(self.table(numbers))

    def fill(self, outward: Tensor, inward: Tensor) -> None:
        """As `Factors.fill`, of the matrix V W."""
        self.table.weight.copy_(outward)
        self.up.weight.copy_(inward.T)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of low rank. At most one of rank, energy and keep; without any, half of the numbers are kept."""

    rank: Annotated[int | None, Field(ge=1, description="directions that are kept of each matrix")] = None
    energy: Annotated[
        float | None, Field(gt=0, le=1, description="instead: the share of each matrix' squared sizes that is kept")
    ] = None
    keep: Annotated[
        float | None,
        Field(gt=0, lt=1, description=f"instead: the share of all their numbers that is kept; left out: {SHARE}"),
    ] = None
    where: Annotated[str, Field(description="paths of products or tables; usual: all of the blocks (LSTM: gates)")] = (
        USUAL
    )
    ranks: Annotated[
        dict[str, Annotated[int, Field(ge=1)]] | None,
        Field(description="the rank of each matrix by its path; follows from the others"),
    ] = None

    name: ClassVar[str] = "lowrank"
    silent: ClassVar[bool] = False
    adapts: ClassVar[bool] = False

    def problems(self) -> list[PenjingError]:
        given = [name for name in ("rank", "energy", "keep") if getattr(self, name) is not None]
        return [OptionError("P-CHANGE-066", field=given[-1], names=", ".join(given))] if len(given) > 1 else []

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        modules = {path: network.get_submodule(path) for path in self.ranks or {}}
        return {path: self.edit(one, self.ranks[path]) for path, one in modules.items()}  # type: ignore[index]

    def edit(self, module: nn.Module, rank: int) -> Factors | TableFactors:
        """The factors of one module."""
        outputs, inputs = module.weight.shape  # type: ignore[union-attr, misc]
        is_table = issubclass(kind_of(module), nn.Embedding)
        return TableFactors(outputs, inputs, rank) if is_table else Factors(inputs, outputs, rank)

    def chosen(self, network: Any, batches: change.Batches, loss: change.Loss | None = None) -> Self:
        if self.ranks is not None:
            known = holders(network, ".*", (nn.Linear, Embedding))
            raise_all([OptionError("P-CHANGE-002", field="ranks", given=path, known=near(path, known))
                       for path in self.ranks if path not in known])  # fmt: skip
            raise_all([OptionError("P-CHANGE-067", field="ranks", given=path, count=1)
                       for path, rank in self.ranks.items() if rank > min(known[path].weight.shape)])  # fmt: skip
            return self
        modules = holders(network, self.where, (nn.Linear, Embedding))
        shapes = {path: tuple(one.weight.shape) for path, one in modules.items()}  # type: ignore[union-attr]
        if self.rank is not None:
            wanted = dict.fromkeys(shapes, self.rank)
        else:
            held = matrices(network, modules, batches)
            sizes = {path: torch.linalg.svdvals(seen(*one)) for path, one in held.items()}
            wanted = self.by_energy(sizes) if self.energy is not None else self.by_share(sizes, shapes)
        ranks = {
            path: rank for path, rank in wanted.items() if rank * sum(shapes[path]) < shapes[path][0] * shapes[path][1]
        }
        if not ranks:
            raise OptionError("P-CHANGE-067", field="where", given=self.where, count=len(shapes))
        return replace(self, ranks=ranks)

    def by_energy(self, sizes: Mapping[str, Tensor]) -> dict[str, int]:
        """For each matrix the fewest directions that hold the share."""
        found = {}
        for path, size in sizes.items():
            held = size.double().square().cumsum(0)
            found[path] = 1 + int((held < self.energy * held[-1]).sum())  # type: ignore[operator]
        return found

    def by_share(self, sizes: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """As many directions as the share of all numbers buys, the ones that hold the most for their price first."""
        share, whole = self.keep or SHARE, sum(rows * columns for rows, columns in shapes.values())
        ranks, least = dict.fromkeys(shapes, 1), sum(sum(shape) for shape in shapes.values())
        if (left := share * whole - least) < 0 and least < whole:
            raise OptionError("P-MODEL-076", field="keep", given=share, least=math.ceil(1e4 * least / whole) / 1e4)
        worth = {path: shares_of(size).tolist() for path, size in sizes.items()}
        queue = [(-worth[path][1] / sum(shapes[path]), path) for path in shapes if len(worth[path]) > 1]
        heapq.heapify(queue)
        while queue:
            _, path = heapq.heappop(queue)
            if (left := left - sum(shapes[path])) < 0:
                break
            ranks[path] += 1
            if ranks[path] < len(worth[path]):
                heapq.heappush(queue, (-worth[path][ranks[path]] / sum(shapes[path]), path))
        return ranks

    def fit(
        self, network: Any, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        modules = {path: network.get_submodule(path) for path in edits}
        for path, (weight, root) in matrices(network, modules, batches).items():
            left, sizes, right = torch.linalg.svd(seen(weight, root), full_matrices=False)
            rank = min(self.ranks[path], len(sizes))  # type: ignore[index]
            inward = right[:rank] if root is None else torch.linalg.solve(root, right[:rank].T).T
            edits[path].fill(left[:, :rank] * sizes[:rank], inward)  # type: ignore[operator]


def shares_of(sizes: Tensor) -> Tensor:
    """What each direction holds of all squared sizes; a matrix of zeros holds nothing in any."""
    held = sizes.double().square()
    return held / held.sum().clamp(min=torch.finfo(held.dtype).tiny)


def matrices(
    network: nn.Module, modules: Mapping[str, nn.Module], batches: change.Batches
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Each matrix, O I, with the root of the second moments of what it reads, I I, if there are data; a table has none."""
    read = {path: one for path, one in modules.items() if issubclass(kind_of(one), nn.Linear)}
    moments = {} if batches is None or not read else second_moments(network, read, batches)
    found = {}
    for path, module in modules.items():
        weight = module.weight.detach().float()  # type: ignore[union-attr, operator]
        found[path] = weight, root_of(moments[path]).to(weight.device) if path in moments else None
    return found


def root_of(moments: Tensor) -> Tensor:
    """The symmetric root of second moments, a little away from none in any direction."""
    values, vectors = torch.linalg.eigh(moments.double())
    least = DAMPING * values.mean().clamp(min=torch.finfo(torch.float32).tiny)
    return ((vectors * (values.clamp(min=0) + least).sqrt()) @ vectors.T).float()


def seen(weight: Tensor, root: Tensor | None) -> Tensor:
    """A matrix as it acts on the data: on inputs that were made even."""
    return weight if root is None else weight @ root
