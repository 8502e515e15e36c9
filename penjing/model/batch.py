"""The only thing that enters a network, for all families and tasks.

Shapes: B texts, T tokens, U decoder tokens, M places asked for.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.base.errors import ModelError, raise_all
from penjing.model.config import ModelConfig
from penjing.model.mask import first_place, last_place


@dataclass
class Batch:
    """Token ids and what is known of them. Padding is at the left or at the right of a row, never inside it."""

    tokens: Tensor  # B T int64
    mask: Tensor | None = None  # B T bool, True = real token; None = no padding at all (the fastest)
    segments: Tensor | None = None  # B T int64
    target: Tensor | None = None  # B U int64, what the decoder of an encoder-decoder reads
    target_mask: Tensor | None = None  # B U bool
    places: Tensor | None = (
        None  # B M int64: positions whose hidden states are asked for (of `target` where there is one)
    )
    below: tuple[int, Tensor] | None = None  # a block's number and the states under it, B T W, where they are known
    labels: Tensor | None = None
    weights: Tensor | None = None
    more: dict[str, Tensor] | None = None  # what a task alone reads
    records: list[int] | None = None  # numbers of the records, for messages

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        moved["below"] = self.below and (self.below[0], self.below[1].to(device))
        moved["more"] = self.more and {name: tensor.to(device) for name, tensor in self.more.items()}
        return Batch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()})

    @property
    def token_count(self) -> int:
        """Real tokens, the decoder's included."""
        return sum(real for real, _ in self.counts())

    @property
    def padding_share(self) -> float:
        """The share of positions that are padding, 0 to 1."""
        counts = self.counts()
        return 1 - sum(real for real, _ in counts) / max(1, sum(whole for _, whole in counts))

    def counts(self) -> list[tuple[int, int]]:
        """Real tokens and positions of `tokens` and, where there is one, of `target`."""
        pairs = [(self.tokens, self.mask), (self.target, self.target_mask)]
        return [(t.numel() if m is None else int(m.sum()), t.numel()) for t, m in pairs if t is not None]

    @property
    def cell_count(self) -> int:
        """Positions computed, padding included."""
        return sum(whole for _, whole in self.counts())

    @property
    def label_count(self) -> int:
        """Labels that carry loss: token labels other than -100, or one for each row of class labels."""
        if self.labels is None:
            return 0
        if self.labels.dim() == 2 and not self.labels.is_floating_point():
            return int((self.labels >= 0).sum())
        return len(self.labels)

    def shifted(self, start: int | None) -> Batch:
        """The batch with its own tokens, one to the right after `start` (None: after each text's last), as target."""
        last = self.tokens.gather(1, last_place(self.mask, self.tokens)) if start is None else start
        target = self.tokens.roll(1, 1).scatter(1, first_place(self.mask, self.tokens), last)
        return dataclasses.replace(self, target=target, target_mask=self.mask)

    def check(self, config: ModelConfig) -> None:
        """Tell token ids and lengths that the network cannot take, with the records, before a device aborts."""
        problems = []
        for name, tokens in (("tokens", self.tokens), ("target", self.target)):
            if tokens is None or tokens.numel() == 0:
                continue
            wrong = (tokens < 0) | (tokens >= config.vocab_size)
            if bool(wrong.any()):
                problems.append(
                    ModelError(
                        "P-MODEL-004",
                        field=name,
                        given=int(tokens[wrong][0]),
                        size=config.vocab_size,
                        records=self.named(wrong.any(1)),
                    )
                )
            if config.position in ("learned", "sinusoidal") and tokens.shape[1] > config.max_tokens:
                problems.append(too_long(tokens.shape[1], config.max_tokens))
        raise_all(problems)

    def named(self, rows: Tensor) -> str:
        """The records of some rows, in words."""
        numbers = [int(i) for i in rows.nonzero().flatten()]
        return ", ".join(str(self.records[i] if self.records else i) for i in numbers[:20])


def too_long(tokens: int, most: int) -> ModelError:
    """A text is longer than the network has positions for."""
    return ModelError("P-MODEL-005", given=tokens, most=most)
