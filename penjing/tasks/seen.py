"""What a task sees of its batches beside the loss: numbers that are logged with it, as means since they were last asked."""

from __future__ import annotations

from torch import Tensor


class Seen:
    """Sums by name, and over how much."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Take some values in."""
        total, count = self.sums.get(name, (0.0, 0))
        self.sums[name] = total + float(values.detach().float().sum()), count + values.numel()

    def means(self, before: str = "") -> dict[str, float]:
        """The mean of each since the last call, with a word before its name; they begin anew."""
        found = {before + name: total / count for name, (total, count) in self.sums.items() if count}
        self.sums = {}
        return found
