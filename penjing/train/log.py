"""The log of a run: one JSON object a line, and TensorBoard files where that package is installed."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

NAMES = {  # our key -> the scalar's name in TensorBoard
    "loss": "train/loss", "rate": "train/learning_rate", "gradient_norm": "train/grad_norm",
    "tokens_per_second": "tokens_per_second", "valid_loss": "eval/loss", "valid_score": "eval/score",
}  # fmt: skip


class Lines:
    """Appends JSON objects to a file, one a line; on resume what the lost steps wrote is cut off first."""

    def __init__(self, path: Path, keep_bytes: int):
        self.path = path
        with open(self.path, "ab") as file:
            file.truncate(keep_bytes)
        self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 (closed by `close`)

    def write(self, **values: Any) -> None:
        self.file.write(json.dumps(values, ensure_ascii=False) + "\n")

    def bytes(self) -> int:
        """Length so far, after it reached the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.path.stat().st_size

    def close(self) -> None:
        self.file.close()


class Log(Lines):
    """`log.jsonl` of a folder."""

    def __init__(self, folder: Path, keep_bytes: int, step: int = 0):
        super().__init__(folder / "log.jsonl", keep_bytes)
        self.board = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, **values: Any) -> None:
        super().write(**values)
        for key, name in NAMES.items():
            if self.board is not None and values.get(key) is not None:
                self.board.add_scalar(name, values[key], values["step"])

    def close(self) -> None:
        super().close()
        if self.board is not None:
            self.board.close()
