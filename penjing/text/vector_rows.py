"""From vectors of words to a vector for each piece of a tokenizer, and how much of the vocabulary they cover.

own      the piece begins a word and spells a word of the file: it has that word's vector
folded   so does its lower case
mean     any other piece: the mean of the words that the tokenizer cuts into pieces with it among them. Words weigh by
         Zipf's law, one over their place in the file, so the mean is that over running text
alike    a piece without a mean that spells a word of the file, or its lower case, all the same ("The" after a line end)
parts    a Chinese piece without any of these: the mean of its characters (for files of characters)
Pieces without any, and special tokens, keep the values that the network drew.
Shapes: V pieces, D numbers of a vector, W width.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import TextError
from penjing.text.tokenizer import Tokenizer
from penjing.text.vectors import Entry, read_vectors
from penjing.text.word_starts import CHINESE, as_bytes, bytes_of_characters

WAYS = ("none", "parts", "alike", "mean", "folded", "own")
PARTS, ALIKE, MEAN, FOLDED, OWN = range(1, 6)
CUT = 200_000  # words that are cut into pieces: those after them weigh too little to matter
CHUNK = 4096  # words held at once
MISSES = 20  # examples


@dataclass(frozen=True)
class PieceVectors:
    """A vector for each piece (V D, zeros where there is none) and the way it came about (V, numbers of WAYS)."""

    rows: np.ndarray
    ways: np.ndarray
    words: int  # in the file

    def fitted(self, width: int, deviation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The pieces that have a vector (N) and their rows N W (float32), of mean 0 and the network's own deviation.

        Wider vectors are projected on their first principal components; narrower ones are turned into the width by
        random orthonormal directions, which keep all angles.
        """
        numbers = np.flatnonzero(self.ways)
        found = self.rows[numbers].astype(np.float64)
        found -= found.mean(0)
        if found.shape[1] > width:
            found = found @ np.linalg.eigh(found.T @ found)[1][:, ::-1][:, :width]
        elif found.shape[1] < width:
            drawn = np.random.Generator(np.random.PCG64([seed, 11])).standard_normal((width, found.shape[1]))
            found = found @ np.linalg.qr(drawn)[0].T
        return numbers, (found * (deviation / max(float(found.std()), 1e-12))).astype(np.float32)

    def coverage(self, tokenizer: Tokenizer, documents: Iterable[np.ndarray]) -> dict[str, Any]:
        """Shares of the vocabulary by way, shares of running tokens, and the commonest tokens without a vector."""
        texts = {number: text for number, text, _ in pieces_of(tokenizer)}
        plain = np.ones(len(self.ways), dtype=bool)
        plain[list(tokenizer.special)] = False
        counts = np.zeros(len(self.ways), dtype=np.int64)
        for document in documents:
            counts += np.bincount(document, minlength=len(counts))
        counts[~plain] = 0
        vocabulary, running = plain / max(1, plain.sum()), counts / max(1, counts.sum())
        missed = np.flatnonzero(counts * (self.ways == 0))
        missed = missed[np.argsort(-counts[missed], kind="stable")][:MISSES]
        return {
            "words": self.words,
            "width": self.rows.shape[1],
            "vocabulary": round(float(vocabulary[self.ways > 0].sum()), 4),
            "running": round(float(running[self.ways > 0].sum()), 4),
            "own_vocabulary": round(float(vocabulary[self.ways > MEAN].sum()), 4),
            "own_running": round(float(running[self.ways > MEAN].sum()), 4),
            "missed": [texts[int(number)].strip() or repr(texts[int(number)]) for number in missed],
        }


class Gatherer:
    """Takes the words of a file as they come; holds a sum for each piece, never the file."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.spelled = spelled(tokenizer)
        self.chinese = {number: CHINESE.findall(text) for number, text, _ in pieces_of(tokenizer)}
        self.characters: dict[str, np.ndarray | None] = dict.fromkeys("".join(chain(*self.chinese.values())))
        first = tokenizer.encode("the")
        # a tokenizer whose words begin with a space must be shown one
        self.lead = "" if first and tokenizer.starts.first[first[0]] else " "
        self.ways = np.zeros(tokenizer.size, dtype=np.int8)
        self.weights = np.zeros(tokenizer.size)
        self.sums: np.ndarray | None = None
        self.words = 0

    def wants(self, place: int, word: str) -> bool:
        """Whether the numbers of a word are needed."""
        return place <= CUT or word in self.spelled or word in self.characters

    def take(self, entries: list[Entry]) -> None:
        """Some words of the file."""
        self.words += len(entries)
        held = [entry for entry in entries if entry.vector is not None and "\ufffd" not in entry.word]
        if not held:
            return
        if self.sums is None:
            self.sums = np.zeros((self.tokenizer.size, len(held[0].vector)))
        for entry in held:
            if self.characters.get(entry.word, ...) is None:
                self.characters[entry.word] = entry.vector
            for number, way in self.spelled.get(entry.word, ()):
                if self.ways[number] < way:
                    self.sums[number], self.ways[number] = entry.vector, way
        common = [entry for entry in held if entry.place <= CUT]
        for entry, pieces in zip(common, self.tokenizer.encode_many([self.lead + e.word for e in common]), strict=True):
            self.share(entry, {*pieces})

    def share(self, entry: Entry, pieces: set[int]) -> None:
        """A word adds to the means of the pieces it is made of."""
        if pieces & self.tokenizer.special:
            return
        for number in pieces:
            if self.ways[number] < MEAN:
                self.sums[number], self.ways[number] = 0.0, MEAN
            if self.ways[number] == MEAN:
                self.sums[number] += entry.vector / entry.place
                self.weights[number] += 1 / entry.place

    def done(self) -> PieceVectors:
        assert self.sums is not None
        means = self.ways == MEAN
        self.sums[means] /= self.weights[means, None]
        for number in np.flatnonzero(self.ways < PARTS).tolist():
            parts = [self.characters[one] for run in self.chinese.get(number, ()) for one in run]
            if parts and all(part is not None for part in parts):
                self.sums[number], self.ways[number] = np.mean(parts, 0), PARTS
        return PieceVectors(self.sums.astype(np.float32), self.ways, self.words)


def piece_vectors(path: str | Path, tokenizer: Tokenizer) -> PieceVectors:
    """Vectors for the pieces of a tokenizer from a file of word vectors. Raises P-TEXT-085 where not one word fits."""
    gatherer, entries = Gatherer(tokenizer), None
    entries = read_vectors(path, gatherer.wants)
    while chunk := list(islice(entries, CHUNK)):
        gatherer.take(chunk)
    if not gatherer.ways.any():
        raise TextError("P-TEXT-085", file=path)
    return gatherer.done()


def pieces_of(tokenizer: Tokenizer) -> Iterator[tuple[int, str, bool]]:
    """Number and text of every piece that is not special, and whether it is marked as the inside of a word."""
    pipeline = json.loads(tokenizer.inner.to_str())
    table = bytes_of_characters() if "ByteLevel" in json.dumps([pipeline["pre_tokenizer"], pipeline["decoder"]]) else {}
    prefix = pipeline["model"].get("continuing_subword_prefix") or "\0"
    for token, number in tokenizer.inner.get_vocab(with_added_tokens=True).items():
        if number not in tokenizer.special:
            inside = token.startswith(prefix)
            yield number, as_bytes(token.removeprefix(prefix), table).decode("utf-8", "replace"), inside


def spelled(tokenizer: Tokenizer) -> dict[str, list[tuple[int, int]]]:
    """Words by what pieces spell, and their lower case: for each the pieces that it serves, and in which way."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number, text, inside in pieces_of(tokenizer):
        word, begins = text.strip(), tokenizer.starts.first[number]
        if not word or "\ufffd" in word or inside:
            continue
        found.setdefault(word, []).append((number, OWN if begins else ALIKE))
        if word.lower() != word:
            found.setdefault(word.lower(), []).append((number, FOLDED if begins else ALIKE))
    return found
