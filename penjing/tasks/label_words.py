"""How labels are written, and the tokens that a network is asked about for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from penjing.base.errors import DataError, OptionError, PenjingError, raise_all
from penjing.base.progress import tell
from penjing.tasks.writer import Writer

SPACES = " \t"


@dataclass(frozen=True)
class LabelWords:
    """The words and the tokens of each label, in the labels' order."""

    labels: list[str]
    words: list[str]
    tokens: list[list[int]]
    start: list[int]  # what the decoder of an encoder-decoder reads before them

    @classmethod
    def of(cls, writer: Writer, labels: Sequence[str], words: Mapping[str, str], before: tuple[str, str]) -> LabelWords:
        """`before`: what stands before a label in a prompt, and the space between. Raises P-SHOT-003, -004, -006."""
        unknown = [label for label in words if label not in labels]
        raise_all([OptionError("P-SHOT-006", given=label, known=labels) for label in unknown])
        written = [str(words.get(label, label.replace("_", " "))) for label in labels]
        if writer.encoder_decoder:
            tokens = writer.tokenizer.encode_targets(written)
            start = [one for one in (writer.start, writer.defaults.first) if one is not None]
        else:
            tokens, start = [after(writer, *before, word) for word in written], []
        check(labels, written, tokens)
        return cls(list(labels), written, tokens, start)

    def word(self, label: str) -> str:
        return self.words[self.labels.index(label)]

    def sizes(self, kind: str) -> np.ndarray:
        """By what the log-probability of each label is divided, L."""
        if kind == "none":
            return np.ones(len(self.labels))
        if kind == "tokens":
            return np.array([len(tokens) for tokens in self.tokens], float)
        return np.array([len(word.encode()) for word in self.words], float)


def parted(text: str) -> tuple[str, str]:
    """A text and the spaces at its end: in most vocabularies they belong to the word that follows."""
    kept = text.rstrip(SPACES)
    return kept, text[len(kept) :]


def after(writer: Writer, before: str, space: str, word: str) -> list[int]:
    """The tokens of a word as it goes on from a text; by itself, where the text would be cut otherwise with it."""
    encode = writer.tokenizer.encode
    head = encode(before or "a")
    whole = encode((before or "a") + space + word)
    return whole[len(head) :] if whole[: len(head)] == head else encode(space + word)


def check(labels: Sequence[str], words: Sequence[str], tokens: Sequence[Sequence[int]]) -> None:
    """Every label has tokens, and no two the same; one that begins with another's is told."""
    problems: list[PenjingError] = []
    first: dict[tuple[int, ...], str] = {}
    for label, word, some in zip(labels, words, tokens, strict=True):
        if not word.strip() or not some:
            problems.append(DataError("P-SHOT-003", given=label, word=word))
        elif (other := first.setdefault(tuple(some), label)) != label:
            problems.append(DataError("P-SHOT-004", given=label, other=other))
    raise_all(problems)
    inside = [(label, other) for some, label in first.items() for more, other in first.items()
              if some != more and more[: len(some)] == some]  # fmt: skip
    if inside:
        label, other = inside[0]
        text = f"{len(inside)} labels go on from another one, as {other!r} from {label!r}: such a label is never the " \
               "likelier one unless scores are divided by length or calibrated; better give them other words"  # fmt: skip
        tell("warning", "fewshot", text, labels=len(inside))
