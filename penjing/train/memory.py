"""What training needs of this machine's memory, told before the run: one step of the largest batch, each tensor counted.

The step is stopped, and the run refused, as soon as it holds more than there is.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from penjing.base.errors import TrainError
from penjing.base.messages.message import Both
from penjing.base.progress import tell
from penjing.model.batch import Batch
from penjing.model.transformer import Stack
from penjing.train.eight_bit import SMALLEST
from penjing.train.heap import peak_memory
from penjing.train.loop import Copies, backward

FULL = 0.8  # of the free memory; above it a run is told to be near the border
WORTH = 0.2  # of what is needed; options that touch less of it are not named
ELSE = ("a smaller model, a machine with more memory", "更小的模型, 内存更大的机器")
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


@contextmanager
def recomputing(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Inside, if wanted, training keeps only what enters each block of the model. Raises P-TRAIN-065."""
    stacks = stacks_of(model) if wanted else []
    if wanted and not stacks:
        raise TrainError("P-TRAIN-065", given=getattr(model, "family", type(model).__name__))
    before = [stack.recompute for stack in stacks]
    for stack in stacks:
        stack.recompute = True
    try:
        yield
    finally:
        for stack, was in zip(stacks, before, strict=True):
            stack.recompute = was


def stacks_of(model: nn.Module) -> list[Stack]:
    return [module for module in model.modules() if isinstance(module, Stack)]


@dataclass(frozen=True)
class Needed:
    """Bytes that a run needs, beside what the process holds before it."""

    weights: int  # held already
    gradients: int
    optimizer: int
    activations: int
    copies: int  # of the best weights and of their mean, or of all that is trained while the machine is measured
    ended: bool = False  # whether the step was ended because there was no more

    @property
    def more(self) -> int:
        """Bytes beside the weights, which are there."""
        return self.gradients + self.optimizer + self.activations + self.copies

    @property
    def parts(self) -> dict[str, int]:
        """Each by its name."""
        return {name: size for name, size in asdict(self).items() if name != "ended"}


class Watched(TorchDispatchMode):
    """Counts the bytes of the tensors that are made inside it, while they are held. More than `most` are P-TRAIN-067."""

    def __init__(self, known: Iterable[Tensor], most: float):
        super().__init__()
        self.now = self.peak = 0
        self.most = most
        self.held = {id(storage): storage for storage in (tensor.untyped_storage() for tensor in known)}
        self.watched: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in (found,) if isinstance(found, Tensor) else tree_leaves(found):
            if isinstance(tensor, Tensor):
                self.take(*(tensor, tensor.numel() * tensor.element_size()) if tensor.is_mkldnn else of_storage(tensor))
        self.peak = max(self.peak, self.now)
        if self.now > self.most:
            raise TooMuchError
        return found

    def take(self, storage: Any, size: int) -> None:
        """Count what a tensor lies in, until it is let go; of one that libraries keep in a form of their own itself."""
        number = id(storage)
        if number in self.held or number in self.watched:
            return

        def gone(_: Any) -> None:
            self.now -= size
            del self.watched[number]

        self.watched[number] = weakref.ref(storage, gone)
        self.now += size


def of_storage(tensor: Tensor) -> tuple[Any, int]:
    """What a tensor lies in, and its bytes."""
    storage = tensor.untyped_storage()
    return storage, storage.nbytes()


class TooMuchError(Exception):
    """A step holds more than there is."""


def needed(
    model: Any, batch: Batch, dtype: torch.dtype, o: Any, validated: bool, what: str, quiet: bool = False
) -> Needed:
    """What a run with these options (`FitOptions`) needs, whose largest batch this is: told unless quiet, or refused."""
    free, adam8 = free_memory(), o.moments == "8bit"
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    weights, gradients = size_of(model.parameters()), size_of(p for _, p in trained)
    optimizer, eight = (
        sum(moments_of(name, p, small, o.optimizer == "muon") for name, p in trained) for small in (adam8, True)
    )
    copies = (validated + 2 * bool(o.average)) * gradients  # of the best weights; of their mean, and while it is tried
    copies = max(copies, gradients if o.measure_seconds or o.minutes else 0)
    most = sys.maxsize if free is None else free - optimizer - copies
    peak, whole = step_peak(model, batch, dtype, most) if gradients < most else (gradients, False)
    found = Needed(weights, gradients, optimizer, max(0, peak - gradients), copies, not whole)
    ways = {
        "checkpointing: true": (found.activations, not o.checkpointing and stacks_of(model)),
        f"batch_tokens: {o.batch_tokens // 2}": (found.activations, o.batch_tokens > 64),
        "change: lora": (gradients + optimizer, what == "finetune" and not model.changes),
        "moments: 8bit": (gradients + optimizer, eight < optimizer),
    }
    helps = [way for way, (size, open_still) in ways.items() if open_still and size > WORTH * found.more]
    check_room(found, free, helps, what, quiet)
    return found


def peak_of(found: Needed, held: int, before: int) -> int:
    """What the process will hold at most: it held so much before the step was tried, and `before` at most. What it then
    held at most has in it what libraries take on their first use."""
    after = peak_memory()
    tried = after if after > before else held + found.gradients + found.activations
    return max(before, tried + found.optimizer + found.copies)


def step_peak(model: Any, batch: Batch, dtype: torch.dtype, most: float) -> tuple[int, bool]:
    """Bytes that forward and backward hold at once, gradients included, and whether they came to their end."""
    known = [*model.parameters(), *model.buffers(), *(t for t in vars(batch).values() if isinstance(t, Tensor))]
    watched = Watched(known, most)
    try:
        with watched:
            backward(model.train(), [batch], Copies(dtype))
        return watched.peak, True
    except TooMuchError:
        return watched.peak, False
    finally:
        for parameter in model.parameters():
            parameter.grad = None


def moments_of(name: str, parameter: Tensor, eight_bit: bool, muon: bool) -> int:
    """Bytes that the optimizer keeps of a parameter."""
    size = parameter.numel()
    if muon and parameter.dim() == 2 and ".blocks." in name:
        return 4 * size
    return 2 * size + size // 32 if eight_bit and size >= SMALLEST else 8 * size


def size_of(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def check_room(found: Needed, free: int | None, ways: list[str], what: str, quiet: bool) -> None:
    """Tell what a run needs; one that this machine has no room for is P-TRAIN-067."""
    if free is None:
        return
    parts = {name: shown(size) for name, size in found.parts.items()}
    parts["activations"] = "> " * found.ended + parts["activations"]
    if found.ended or found.more > free:
        raise TrainError(
            "P-TRAIN-067", **parts, most=shown(free), ways=Both(*(", ".join([*ways, one]) for one in ELSE))
        )
    if quiet:
        return
    near = found.more > FULL * free
    text = f"memory: {', '.join(f'{name} {size}' for name, size in parts.items())}; {shown(free)} are free"
    tell("warning" if near else "note", what, text + f"; less is needed with {', '.join(ways)}" * bool(near and ways))


def shown(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def free_memory(root: Path = Path("/sys/fs/cgroup"), about: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that this process can still take; None where the system does not tell."""
    try:
        lines = dict(line.split(":") for line in about.read_text("ascii").splitlines())
        free = sum(int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree"))
    except (OSError, KeyError, ValueError):
        return None
    for most, used in LIMITS:
        try:
            stat = dict(line.split() for line in (root / used).with_name("memory.stat").read_text("ascii").splitlines())
            files = sum(int(stat[name]) for name in ("inactive_file", "active_file"))  # which can be let go
            held = int((root / used).read_text("ascii")) - files
            free = min(free, int((root / most).read_text("ascii")) - held)
        except (OSError, KeyError, ValueError):  # no such limit, or "max"
            continue
    return max(0, free)


def held_memory(about: Path = Path("/proc/self/statm")) -> int:
    """Bytes that this process holds now."""
    import resource

    try:
        return int(about.read_text("ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return peak_memory()
