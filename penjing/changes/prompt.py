"""Prompt tuning (arXiv:2104.08691): learnt embeddings before the text, which take the first positions.

They stand before what is read: an encoder-decoder has them before its source, and its decoder looks at them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError, PenjingError
from penjing.changes import change, peft_ahead
from penjing.changes.ahead import BeforeDecoder, BeforeEncoder, Vectors, stack_of
from penjing.changes.edits import Edit

if TYPE_CHECKING:
    from penjing.changes.beside import Beside
    from penjing.changes.peft import Layout


def before(network: Any, name: str, vectors: nn.Module, length: int, first: str) -> dict[str, Edit]:
    """The edit that puts embeddings before what a network reads."""
    path, stack = stack_of(network, name, length, reading=True)
    if not stack.causal:
        return {path: BeforeEncoder(length, vectors, first == "prompt")}
    if first != "text":
        raise OptionError("P-CHANGE-043", field="first", given=first)
    return {path: BeforeDecoder(length, vectors)}


def started(network: Any, tokens: tuple[int, ...] | None, length: int, generator: torch.Generator) -> Tensor:
    """The embeddings to start from, P W: of these tokens, again and again, or of tokens drawn at random."""
    size = network.config.vocab_size
    if tokens is None:
        chosen = torch.randint(size, (length,), generator=generator)
    else:
        if strange := [token for token in tokens if not 0 <= token < size]:
            raise OptionError("P-CHANGE-044", field="tokens", given=strange[0], size=size)
        chosen = torch.tensor(tokens).repeat(-(-length // len(tokens)))[:length]
    return network.embedding(chosen.to(network.embedding.weight.device))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(peft_ahead.Before):
    """Options of prompt tuning."""

    length: Annotated[int, Field(ge=1, description="learnt embeddings before the text")] = 16
    words: Annotated[
        str | None, Field(min_length=1, description="words to start from, again and again; left out: tokens at random")
    ] = None
    tokens: Annotated[
        tuple[int, ...] | None, Field(min_length=1, description="the same as token numbers; follows from the words")
    ] = None
    first: Annotated[
        Literal["text", "prompt"],
        Field(description="what a head that reads an encoder's first state gets; prompt: of its first vector, as PEFT"),
    ] = "text"

    name: ClassVar[str] = "prompt"
    silent: ClassVar[bool] = False
    peft: ClassVar[str | None] = "PROMPT_TUNING"
    peft_keys: ClassVar[tuple[str, ...]] = (
        *peft_ahead.ABOUT, "prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs",
    )  # fmt: skip

    def told(self, beside: Beside, batches: change.Batches = None) -> Self:
        if self.words is None or self.tokens is not None:
            return self
        found = tuple(beside.said.tokenizer.encode(self.words))
        if not found:
            raise OptionError("P-CHANGE-045", field="words", given=self.words)
        return replace(self, tokens=found)

    def edits(self, network: Any) -> dict[str, Edit]:
        return before(network, self.name, Vectors(self.length, network.config.embedded), self.length, self.first)

    def fit(
        self, network: Any, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        if self.words is not None and self.tokens is None:
            raise OptionError("P-CHANGE-045", field="words", given=self.words)
        for edit in edits.values():
            edit.vectors.table.copy_(started(network, self.tokens, self.length, generator))  # type: ignore[union-attr]

    def unsaid(self, layout: Layout) -> list[PenjingError]:
        return peft_ahead.prompt_unsaid(layout, self.first)

    def to_peft(self, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return peft_ahead.vectors_to_peft(self, edits, layout)

    @classmethod
    def from_peft(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
    ) -> peft_ahead.Found:
        return peft_ahead.vectors_from_peft(cls, config, tensors, layout, wrong)
