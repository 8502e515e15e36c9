"""Linear text classifiers: the baselines that a Transformer must beat, and models that can be served all the same.

majority   the label frequencies, whatever the text
tfidf      TF-IDF of 1-2 grams and logistic regression
nb_ngrams  binary 1-3 grams weighted by Naive Bayes log-count ratios and logistic regression (Wang & Manning 2012,
           "Baselines and bigrams"); rows divided by the root of their length

Chinese is cut into character 1-4 grams; mixed text into both. Fitting needs scikit-learn, answering only numpy.
Legend: N texts, C labels, K columns of weights (1 for two labels, else C), V features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from penjing.base.errors import EvaluateError, known
from penjing.base.files import read_json, whole_file, whole_folder, write_json
from penjing.base.texts import check_list, two_texts
from penjing.evaluate.ngrams import Counts, View

Kind = Literal["majority", "tfidf", "nb_ngrams"]
Link = Literal["two", "softmax", "normalised", "independent"]
KINDS = ("majority", "tfidf", "nb_ngrams")
PIECE = 4_000_000  # weights gathered at one time when answering
BETWEEN = "␞"
THRESHOLD = 0.5  # several labels: a label is given from this probability


@dataclass
class LinearModel:
    """Sparse features times weights. `.probabilities(texts)` is N C, `.answer(texts)` as a classifier's answers."""

    kind: Kind
    labels: list[str]
    several: bool
    views: list[View]
    weights: np.ndarray  # V K float32
    bias: np.ndarray  # K float64
    link: Link
    idf: np.ndarray | None = None  # V float32; None: binary features
    facts: dict[str, Any] = field(default_factory=dict)  # alphabet, share of CJK, regularisation, times

    def features(self, texts: Sequence[str]) -> Counts:
        """All views side by side, weighted and normalised."""
        counts = [view.counts(texts) for view in self.views]
        return weighted(beside(counts, [len(view.keys) for view in self.views]), self.idf)

    def scores(self, texts: Sequence[Any]) -> np.ndarray:
        """Before the link: N K."""
        check_list(texts)
        scores = np.tile(self.bias, (len(texts), 1))
        if not self.views or not len(texts):
            return scores
        rows = self.features([text_of(text) for text in texts])
        step = max(1, PIECE // self.weights.shape[1])
        first = 0
        while first < len(texts):
            last = max(first + 1, int(np.searchsorted(rows.starts, rows.starts[first] + step, side="right")) - 1)
            scores[first:last] += row_sums(rows, first, last, self.weights)
            first = last
        return scores

    def probabilities(self, texts: Sequence[Any]) -> np.ndarray:
        """N C float64 for texts, or for records with a field `text`. Several labels: each by itself in 0 … 1."""
        return linked(self.scores(texts), self.link)

    def answer(self, texts: Sequence[Any]) -> list[dict[str, Any]]:
        """One dict per text: label, probability, probabilities; with several labels: labels, probabilities."""
        return answers(self.probabilities(texts), self.labels, self.several)

    def save(self, folder: str | Path) -> None:
        """A folder of JSON and safetensors; never a pickle."""
        from safetensors.numpy import save

        tensors = {"weights": self.weights, "bias": self.bias}
        tensors |= {f"keys.{i}": view.keys for i, view in enumerate(self.views)}
        tensors |= {} if self.idf is None else {"idf": self.idf}
        with whole_folder(folder) as part:
            with whole_file(part / "linear.safetensors", "wb") as file:
                file.write(save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))
            write_json(part / "linear.json", self.described())
            about = {"kind": "linear", "model": self.kind, "labels": self.labels, "several": self.several}
            write_json(part / "penjing.json", about)

    def described(self) -> dict[str, Any]:
        """What linear.json holds."""
        return {"format": 1, "kind": self.kind, "labels": self.labels, "several": self.several, "link": self.link,
                "facts": self.facts, "views": [view.described() for view in self.views]}  # fmt: skip

    @classmethod
    def load(cls, folder: str | Path) -> LinearModel:
        """The model that `save` wrote, with bit-identical probabilities."""
        folder = Path(folder)
        about, tensors = read_json(folder / "linear.json"), read_tensors(folder / "linear.safetensors")
        if about.get("format") != 1:
            raise EvaluateError("P-EVAL-003", file=folder / "linear.json", reason=f"format {about.get('format')!r}")
        try:
            views = [View.described_by(v, tensors[f"keys.{i}"]) for i, v in enumerate(about["views"])]
            return cls(about["kind"], about["labels"], about["several"], views, tensors["weights"], tensors["bias"],
                       about["link"], tensors.get("idf"), about["facts"])  # fmt: skip
        except KeyError as error:
            raise EvaluateError("P-EVAL-003", file=folder, reason=f"{error} is absent") from error

    def strongest(self, label: str, most: int = 10) -> list[tuple[str, float]]:
        """The n-grams that speak most for a label, with their weights."""
        column = self.labels.index(known(label, self.labels, "label"))
        if not self.views:
            return []
        weights = self.weights[:, column] if self.link != "two" else self.weights[:, 0] * (1 if column else -1)
        names, ends = [], np.cumsum([0] + [len(view.keys) for view in self.views])
        for place in np.argsort(-weights, kind="stable")[:most].tolist():
            which = int(np.searchsorted(ends, place, side="right")) - 1
            names.append((self.views[which].name(place - int(ends[which])), float(weights[place])))
        return names


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; a truncated one is one clear error."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise EvaluateError("P-EVAL-003", file=path, reason=error) from error


def text_of(item: Any) -> str:
    """The text of a text or of a record; two texts as one, with a sign between them that is a feature itself."""
    first, second = two_texts(item)
    return first if second is None else f"{first} {BETWEEN} {second}"


def beside(counts: Sequence[Counts], sizes: Sequence[int]) -> Counts:
    """Feature blocks side by side in one sparse matrix."""
    if len(counts) == 1:
        return counts[0]
    number = len(counts[0].starts) - 1
    row = np.concatenate([np.repeat(np.arange(number), np.diff(c.starts)) for c in counts])
    offsets = np.cumsum([0, *sizes[:-1]])
    columns = np.concatenate([c.columns + np.int32(o) for c, o in zip(counts, offsets, strict=True)])
    order = np.argsort(row, kind="stable")
    starts = sum(c.starts for c in counts)
    return Counts(np.asarray(starts), columns[order], np.concatenate([c.values for c in counts])[order])


def weighted(counts: Counts, idf: np.ndarray | None) -> Counts:
    """(1 + log tf) idf, or 1 for a binary feature; then each row divided by its Euclidean norm."""
    values = np.ones_like(counts.values) if idf is None else (1 + np.log(counts.values)) * idf[counts.columns]
    row = np.repeat(np.arange(len(counts.starts) - 1), np.diff(counts.starts))
    norm = np.sqrt(np.bincount(row, values.astype(np.float64) ** 2, len(counts.starts) - 1))
    return Counts(counts.starts, counts.columns, (values / np.maximum(norm, 1e-12)[row]).astype(np.float32))


def row_sums(rows: Counts, first: int, last: int, weights: np.ndarray) -> np.ndarray:
    """Sparse rows first … last-1 times the weights: (last-first) K float64."""
    low, high = rows.starts[first], rows.starts[last]
    products = weights[rows.columns[low:high]].astype(np.float64) * rows.values[low:high, None]
    sums = np.zeros((last - first, weights.shape[1]))
    filled = np.flatnonzero(np.diff(rows.starts[first : last + 1]))
    if len(filled):
        sums[filled] = np.add.reduceat(products, rows.starts[first:last][filled] - low, axis=0)
    return sums


def linked(scores: np.ndarray, link: Link) -> np.ndarray:
    """Scores N K to probabilities N C."""
    if link == "softmax":
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)
    each = 0.5 * (1 + np.tanh(0.5 * scores))
    if link == "two":
        return np.concatenate([1 - each, each], axis=1)
    return each / np.maximum(each.sum(1, keepdims=True), 1e-300) if link == "normalised" else each


def answers(probabilities: np.ndarray, labels: Sequence[str], several: bool) -> list[dict[str, Any]]:
    """The answers of a classifier from its probabilities N C."""
    found: list[dict[str, Any]] = []
    for row in probabilities.tolist():
        by_label: Mapping[str, float] = dict(zip(labels, row, strict=True))
        if several:
            found.append({"labels": [k for k, p in by_label.items() if p >= THRESHOLD], "probabilities": by_label})
        else:
            best = max(by_label, key=by_label.__getitem__)
            found.append({"label": best, "probability": by_label[best], "probabilities": by_label})
    return found
