"""What classical models of pairs of texts share: how they answer, what they are chosen by, how they are kept.

They have no vectors, so where texts are searched they answer the ranks of the right ones among those of all records.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from penjing.base.errors import EvaluateError
from penjing.base.files import existing, read_json, whole_file, whole_folder, write_json
from penjing.tasks import task_named
from penjing.tasks.retrieval import Search
from penjing.tasks.task import Task
from penjing.tasks.vectors import texts_of

Records = Sequence[Mapping[str, Any]]
ARRAYS = "arrays.npz"


class PairBaseline:
    """Compares two texts (`near`) and searches one among many (`searched`)."""

    kind: ClassVar[str]
    task: Task
    facts: dict[str, Any]

    def near(self, text: str, other: str) -> float:
        """How alike two texts are, at most 1."""
        raise AssertionError(f"{self.kind} says nothing here")

    def searched(self, queries: Sequence[str], candidates: Sequence[str]) -> Iterator[np.ndarray]:
        """For each query the scores of all candidates."""
        raise AssertionError(f"{self.kind} says nothing here")

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """For each record the likeness of its first text to each other one."""
        groups = [texts_of(record) for record in records]
        short = [number for number, group in enumerate(groups, 1) if len(group) < 2]
        if short:
            raise EvaluateError("P-EVAL-030", line=short[0], kind=self.kind)
        found = []
        for first, *others in groups:
            near = [self.near(first, other) for other in others]
            found.append({"cosine": near[0], "cosines": near})
        if records and all(record.get("score") is None and record.get("texts") is None for record in records):
            search = Search.of(records)
            rows = self.searched([record["text"] for record in records], search.candidates)
            found = [one | {"ranks": ranks} for one, ranks in zip(found, search.ranks(rows), strict=True)]
        return found

    # ---- files ----

    def arrays(self) -> dict[str, np.ndarray]:
        """What was fitted."""
        raise AssertionError(f"{self.kind} says nothing here")

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], facts: dict[str, Any], task: Task) -> Self:
        """The model that `arrays` and `facts` tell of."""
        raise AssertionError(f"{cls.kind} says nothing here")

    def save(self, folder: str | Path) -> None:
        """penjing.json and the arrays."""
        with whole_folder(folder) as part:
            with whole_file(part / ARRAYS, "wb") as file:
                np.savez(file, **self.arrays())  # type: ignore[arg-type]
            write_json(part / "penjing.json", {"kind": self.kind, "task": self.task.record(), "facts": self.facts})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What `save` wrote; it answers the same to the last bit."""
        about = read_json(Path(folder) / "penjing.json", dict)
        try:
            with open(existing(Path(folder) / ARRAYS), "rb") as file, np.load(file, allow_pickle=False) as arrays:
                options = dict(about["task"])
                return cls.restored(dict(arrays), about["facts"], task_named(options.pop("task"), **options))
        except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise EvaluateError("P-EVAL-003", file=folder, reason=error) from error


def all_texts(records: Records) -> list[str]:
    """Every text of the records."""
    return [text for record in records for text in texts_of(record)]


def packed(texts: Iterable[str]) -> dict[str, np.ndarray]:
    """Texts as two arrays: their letters, and how many each has."""
    texts = list(texts)
    letters = np.frombuffer("".join(texts).encode("utf-8", "surrogatepass"), np.uint8)
    return {"letters": letters, "sizes": np.asarray([len(text) for text in texts], np.int64)}


def unpacked(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The texts of `packed`."""
    joined = arrays["letters"].tobytes().decode("utf-8", "surrogatepass")
    ends = np.cumsum(arrays["sizes"]).tolist()
    return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]
