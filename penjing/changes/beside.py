"""What a model says in token numbers beside its network: a change that leaves fewer tokens moves these numbers too.

A network alone has nothing beside it: whoever gives it tokens then gives those that are left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from penjing.base.errors import OptionError
from penjing.model.batch import Batch
from penjing.model.decoding import FORCED, TOKENS

if TYPE_CHECKING:
    from torch import nn

    from penjing.text.tokenizer import Tokenizer

SINGLE, SEVERAL = (*TOKENS, *FORCED), ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens")


class Said(NamedTuple):
    """A tokenizer, and how a model wants to be asked, in its numbers."""

    tokenizer: Tokenizer
    generation: dict[str, Any]


class Beside:
    """What stands beside a network: the tokenizer, how it wants to be asked, and the head."""

    def __init__(self, tokenizer: Tokenizer, generation: dict[str, Any], head: nn.Module | None):
        self.said, self.head = Said(tokenizer, generation), head

    def named(self) -> set[int]:
        """The tokens that it names, special ones apart: how answers begin and end."""
        found = [self.said.generation.get(key) for key in SINGLE]
        return {number for one in found for number in (one if isinstance(one, list) else [one]) if number is not None}

    def left(self, numbers: Sequence[int]) -> Said:
        """What it would say with these tokens alone."""
        from penjing.text.tokenizer_fewer import fewer

        new = {old: at for at, old in enumerate(numbers)}
        generation = {key: renumbered(value, new) if key in (*SINGLE, *SEVERAL) else value
                      for key, value in self.said.generation.items()}  # fmt: skip
        gone = [key for key, value in generation.items() if value is None or (key in SEVERAL and not value)]
        return Said(fewer(self.said.tokenizer, numbers), {k: v for k, v in generation.items() if k not in gone})

    def say(self, said: Said, number: Callable[[int], int]) -> Said:
        """Say this from now on; `number`: the new number of an old token. Returns what it said."""
        before, self.said = self.said, said
        style = getattr(self.head, "style", None)
        if style is not None and style.end is not None:
            self.head.style = dataclasses.replace(style, end=number(style.end))  # type: ignore[union-attr, assignment]
        return before


def renumbered(value: Any, new: Mapping[int, int]) -> Any:
    """A token number, or lists of them, in new numbers; a number that went, and a list that has one, is left out."""
    if not isinstance(value, list):
        return new.get(value)
    found = [renumbered(one, new) for one in value]
    whole = [one for one, old in zip(found, value, strict=True)
             if one is not None and (not isinstance(old, list) or len(one) == len(old))]  # fmt: skip
    return whole


class Spoken:
    """What a model with something beside its network has: its tokenizer, and how it wants to be asked."""

    beside: Beside

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, as its changes left it."""
        return self.beside.said.tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Tokenizer) -> None:
        self.beside.said = self.beside.said._replace(tokenizer=tokenizer)

    @property
    def generation(self) -> dict[str, Any]:
        """How it wants to be asked, as `Checkpoint.generation`."""
        return self.beside.said.generation

    @generation.setter
    def generation(self, generation: dict[str, Any]) -> None:
        self.beside.said = self.beside.said._replace(generation=generation)


class Texts:
    """Calibration data that are cut anew by whoever reads them: once fewer tokens are left, into those."""

    def of(self, model: Any) -> Texts:
        """The same for another model."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    def __iter__(self) -> Iterator[Batch]:
        raise AssertionError(f"{type(self).__name__} says nothing here")

    def plain(self) -> Iterable[Batch]:
        """What is read, without what a task hides of it or puts in its place."""
        return self


class Outdated:
    """Batches of before some tokens went: whoever reads them is told."""

    def __iter__(self) -> Iterator[Batch]:
        raise OptionError("P-CHANGE-125", field="data")
