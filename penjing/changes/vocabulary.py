"""Tokens that a field's texts do not use go, with their rows of the table and of the vocabulary's head: both are often
the larger part of a small model (arXiv:2010.05609).

The tokenizer becomes a smaller one, which cuts a text whose pieces are all left as before; another text is spelled in
smaller pieces. The config says how many tokens are left, so the folder is a plain one that others open too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import OptionError
from penjing.base.progress import tell
from penjing.changes import change
from penjing.changes.beside import Beside, Texts
from penjing.changes.cuts import Cut, Slice, set_parameter, shorten, told
from penjing.model.grown import BY_TOKEN
from penjing.text.tokenizer_fewer import Characters, needed, spells_all

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(Cut):
    """Options of pruning the vocabulary."""

    min_count: Annotated[int, Field(ge=1, description="a piece stays if the texts use it so often")] = 1
    coverage: Annotated[
        float | None,
        Field(gt=0, le=1, description="the most frequent pieces stay that make up this share of the texts"),
    ] = None
    keep: Annotated[tuple[str, ...], Field(description="words or texts whose pieces stay as well")] = ()
    characters: Annotated[
        Characters,
        Field(description="single characters that stay: all, so that any text is still spelled, or those used"),
    ] = "all"
    tokens: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...] | None,
        Field(min_length=1, description="the tokens that are left, by number; follows from the others"),
    ] = None

    name: ClassVar[str] = "vocabulary"

    @property
    def tokens_left(self) -> tuple[int, ...] | None:  # type: ignore[override]
        return self.tokens

    # ---- choosing ----

    def told(self, beside: Beside, batches: change.Batches = None) -> Self:
        tokenizer = beside.said.tokenizer
        if self.tokens is not None:
            lost = sorted(set(needed(tokenizer, beside.named(), "used")) - set(self.tokens))
            if lost and self.ascending:
                raise OptionError("P-CHANGE-126", field="tokens", given=len(lost), names=written(tokenizer, lost))
            return self
        if self.characters == "used" and not spells_all(tokenizer):
            raise OptionError("P-CHANGE-127", field="characters", given=self.characters)
        counts = counted(batches, tokenizer)
        wanted = {*self.frequent(counts), *beside.named()}
        for text in self.keep:
            number = tokenizer.inner.token_to_id(text)
            wanted |= {*tokenizer.encode(text), *([] if number is None else [number])}
        left = needed(tokenizer, wanted, self.characters)
        share = float(counts[left].sum() / counts.sum())
        text = f"{len(left)} of {tokenizer.size} tokens stay; of the texts' tokens {share:.2%} are among them"
        tell("note", self.name, text, tokens_before=tokenizer.size, tokens=len(left), covered=share)
        return replace(self, tokens=tuple(left))

    @property
    def ascending(self) -> bool:
        """Whether the numbers are in their order, each once."""
        return self.tokens is not None and list(self.tokens) == sorted(set(self.tokens))

    def frequent(self, counts: Tensor) -> list[int]:
        """The pieces that the texts use enough."""
        often = counts >= self.min_count
        if not often.any():
            raise OptionError("P-CHANGE-124", field="min_count", given=self.min_count, most=int(counts.max()))
        order = counts.argsort(descending=True, stable=True)
        if self.coverage is not None:
            before = counts[order].cumsum(0) - counts[order]  # tokens of all that are more frequent
            order = order[before < self.coverage * counts.sum()]
        return [number for number in order.tolist() if often[number]]

    def chosen(self, network: Any, batches: change.Batches, loss: change.Loss | None = None) -> Self:
        if self.tokens is None:
            raise OptionError("P-CHANGE-122", field="tokens", change=self.name)
        config = network.config
        if not self.ascending or self.tokens[-1] >= config.vocab_size:
            raise OptionError("P-CHANGE-121", field="tokens", given=len(self.tokens), size=config.vocab_size)
        start = getattr(config, "decoder_start", None)
        first = range(getattr(config, "first_position", 0))  # positions are counted by the padding token's number
        kept = tuple(sorted({*first, *self.tokens, *([] if start is None else [start])}))
        if len(kept) == config.vocab_size:
            raise OptionError("P-CHANGE-128", field="vocabulary", size=len(kept))
        return replace(self, tokens=kept)

    # ---- cutting ----

    def touched(self, network: Any) -> list[str]:
        return sorted({name.split(".")[0] for name in BY_TOKEN})

    def sliced(self, network: Any) -> dict[str, Any]:
        assert self.tokens is not None
        size = network.config.vocab_size
        if size <= len(self.tokens):  # a folder holds only what is left
            return {BY_TOKEN[0]: torch.empty(0, device="meta")}
        own = dict(network.named_parameters())
        found: dict[str, Any] = {
            name: shorten(network, Slice(name, 0, list(self.tokens))) for name in BY_TOKEN if name in own
        }
        resized(network, len(self.tokens), self.tokens.index)
        return found | {"vocab_size": size}

    def restore(self, network: Any, taken: Mapping[str, Any]) -> None:
        for name, value in taken.items():
            if name in BY_TOKEN and not (name.startswith("output.") and network.output is None):
                set_parameter(network, name, value)
        resized(network, taken["vocab_size"], lambda number: self.tokens[number])  # type: ignore[index]


def resized(network: Any, size: int, number: Any) -> None:
    """Tell a network how many tokens it has, and by which number its decoder begins."""
    start = getattr(network.config, "decoder_start", None)
    told(network, vocab_size=size, **({} if start is None else {"decoder_start": number(start)}))
    network.embedding.num_embeddings = size


def counted(batches: change.Batches, tokenizer: Tokenizer) -> Tensor:
    """How often texts use each token that is not special. P-CHANGE-120 without any text."""
    size = tokenizer.size
    found = torch.zeros(size, dtype=torch.float64)
    for batch in (batches.plain() if isinstance(batches, Texts) else batches) or ():
        for tokens, mask in ((batch.tokens, batch.mask), (batch.target, batch.target_mask)):
            if tokens is not None:
                real = tokens.flatten() if mask is None else tokens[mask.bool()]
                found += torch.bincount(real.cpu(), minlength=size)[:size]
    found[sorted(tokenizer.special)] = 0
    if not found.sum():
        raise OptionError("P-CHANGE-120", field="data")
    return found


def written(tokenizer: Tokenizer, numbers: list[int], most: int = 8) -> str:
    """Some tokens as the vocabulary writes them."""
    return ", ".join(
        [*(repr(tokenizer.token(number)) for number in numbers[:most]), *(["…"] if numbers[most:] else [])]
    )
