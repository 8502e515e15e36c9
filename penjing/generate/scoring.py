"""How likely given texts are after prompts: the log-probability of each token of an ending.

A prompt is read once, whatever the number of its endings: an ending is read behind it and cut off again, and one of a
single token needs no reading at all. What all prompts begin with (an instruction, examples) is read once for all.

Shapes: P prompts, R rows of a batch, T tokens, M places, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from penjing.base.errors import GenerateError, raise_all
from penjing.generate.rows import batch_of, lengths, still
from penjing.model.batch import Batch
from penjing.model.cache import STEP, Cache
from penjing.model.mask import pick
from penjing.model.transformer import Transformer

SHARE_FROM = 8  # tokens that all prompts must begin with before they are read apart
PIECE = 4_000_000  # vocabulary scores computed at one time
HELD = 512 << 20  # bytes that the memory of one batch may take

Tokens = Sequence[int]


class Likelihood(NamedTuple):
    """One ending after its prompt."""

    log_probabilities: list[float]  # one a token
    greedy: bool  # whether each token was the likeliest one

    @property
    def total(self) -> float:
        return sum(self.log_probabilities)


def likelihoods(
    network: nn.Module,
    prompts: Sequence[Tokens],
    endings: Sequence[Sequence[Tokens]],
    *,
    start: Tokens = (),
    batch_tokens: int = 4096,
) -> list[list[Likelihood]]:
    """For each prompt the likelihood of each of its endings, whatever the batches' size.

    Of an encoder-decoder the prompts are sources, and the decoder reads `start` before an ending. Raises P-GENERATE-004
    (an empty prompt), -007 (longer than the window with its endings), -010 (scores that are no numbers).
    """
    if not prompts:
        return []
    if not start:
        whole = [[*prompt, *max(ends, key=len)[:-1]] for prompt, ends in zip(prompts, endings, strict=True)]
        raise_all([*lengths(whole, network), *lengths([prompt or [] for prompt in prompts], network)])
    scoring = Scoring(network, start)
    ringed = getattr(network.config, "window", None) is not None and max(len(e) for es in endings for e in es) > STEP
    if ringed and any(len(ends) > 1 for ends in endings):  # a ring cannot go back that far: each ending by itself
        rows = [row for row, ends in enumerate(endings) for _ in ends]
        alone = scoring.run([prompts[row] for row in rows], [[end] for ends in endings for end in ends], batch_tokens)
        flat = iter(one for (one,) in alone)
        return [[next(flat) for _ in ends] for ends in endings]
    return scoring.run(prompts, endings, batch_tokens)


class Scoring:
    """A network with the beginning that all its prompts share, already read."""

    def __init__(self, network: nn.Module, start: Tokens = ()):
        self.network, self.start = network, list(start)
        self.device = next(network.parameters()).device
        self.bytes = bytes_of(network)
        self.base: Any = None  # the memory of what all prompts begin with
        self.shared = 0

    @torch.inference_mode()
    def run(
        self, prompts: Sequence[Tokens], endings: Sequence[Sequence[Tokens]], batch_tokens: int
    ) -> list[list[Likelihood]]:
        """Batches of like lengths, each prompt in one of them."""
        found: dict[int, list[Likelihood]] = {}
        with still(self.network):
            self.share(prompts)
            for rows in self.batches(prompts, endings, batch_tokens):
                some = [prompts[row] for row in rows], [endings[row] for row in rows]
                for row, ended in zip(rows, self.batch(*some), strict=True):
                    if any(not np.isfinite(one.log_probabilities).all() for one in ended):
                        raise GenerateError("P-GENERATE-010", row=row)
                    found[row] = ended
        return [found[row] for row in range(len(prompts))]

    def share(self, prompts: Sequence[Tokens]) -> None:
        """Read what all prompts begin with, where that pays and may be read apart."""
        self.base, self.shared = None, 0
        if self.start or len(prompts) < 2 or getattr(self.network.config, "by_length", False):
            return
        first, last = min(prompts), max(prompts)  # what these two share, all share
        most = min(map(len, prompts)) - 1
        shared = next((at for at in range(most) if first[at] != last[at]), most)
        if shared >= SHARE_FROM:
            self.base, self.shared = self.network.start(self.tensors([first[:shared]])), shared

    def tensors(self, rows: Sequence[Tokens]) -> Batch:
        return batch_of(rows, self.network)

    def batches(
        self, prompts: Sequence[Tokens], endings: Sequence[Sequence[Tokens]], batch_tokens: int
    ) -> Iterator[list[int]]:
        """Rows of like lengths within the budget of tokens computed and of tokens held."""
        longest = [max(map(len, ends)) for ends in endings]
        order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), longest[row], row))
        batch: list[int] = []
        for row in order:
            tail = max([longest[other] for other in (*batch, row)])
            computed = (len(batch) + 1) * (len(prompts[row]) - self.shared + tail)
            held = (len(batch) + 1) * (len(prompts[row]) + tail) * self.bytes
            if batch and (computed > batch_tokens or held > HELD):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def batch(self, prompts: Sequence[Tokens], endings: Sequence[Sequence[Tokens]]) -> list[list[Likelihood]]:
        """Read the prompts, then one after another what the endings have before their last tokens."""
        memory = self.begun(prompts, max(len(end) for ends in endings for end in ends))
        begins = memory.hidden  # R 1 W: after the prompt
        heads = [list(dict.fromkeys(tuple(end[:-1]) for end in ends if len(end) > 1)) for ends in endings]
        read: list[dict[tuple[int, ...], Tensor]] = [{(): begins[row]} for row in range(len(prompts))]
        kept = memory.lengths.copy()
        for turn in range(max(map(len, heads))):
            memory.cut(kept)
            some = [ways[turn] if turn < len(ways) else (0,) for ways in heads]  # a row without one reads anything
            tokens, counts = self.padded(some)
            hidden = self.network.step(tokens, memory, counts)
            for row, ways in enumerate(heads):
                if turn < len(ways):
                    read[row][ways[turn]] = torch.cat([begins[row], hidden[row, : counts[row]]])
        wanted = [(read[row][tuple(end[:-1])], end) for row, ends in enumerate(endings) for end in ends]
        flat = iter(self.scored(wanted))
        return [[next(flat) for _ in ends] for ends in endings]

    def begun(self, prompts: Sequence[Tokens], longest: int) -> Any:
        """The memory of prompts, with room for endings."""
        capacity = max(map(len, prompts)) + longest
        if self.start:
            batch = self.tensors(prompts)
            batch.target = torch.tensor([self.start], device=self.device).expand(len(prompts), -1)
            return self.network.start(batch, len(self.start) + longest)
        if self.base is None:
            return self.network.start(self.tensors(prompts), capacity)
        memory = self.network.reserve(len(prompts), capacity)
        for row in range(len(prompts)):
            memory.put(row, self.base, 0)
        tokens, counts = self.padded([prompt[self.shared :] for prompt in prompts])
        last = torch.tensor(counts, device=self.device)[:, None] - 1
        memory.hidden = pick(self.network.step(tokens, memory, counts), last)
        return memory

    def padded(self, rows: Sequence[Tokens]) -> tuple[Tensor, list[int]]:
        """Rows of tokens R T, filled up at the right, and how many of each are real."""
        counts = [len(row) for row in rows]
        tokens = torch.zeros(len(rows), max(counts), dtype=torch.int64)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = torch.tensor(row)
        return tokens.to(self.device), counts

    def scored(self, wanted: Sequence[tuple[Tensor, Tokens]]) -> list[Likelihood]:
        """States T W and the tokens T that come after each: their likelihoods."""
        states = torch.cat([state for state, _ in wanted])  # M W
        tokens = torch.tensor([token for _, end in wanted for token in end], device=self.device)
        step = max(1, PIECE // self.network.config.vocab_size)
        logs, best = [], []
        for some, said in zip(states.split(step), tokens.split(step), strict=True):
            scores = self.network.logits(some).float()
            logs += scores.log_softmax(-1).gather(1, said[:, None])[:, 0].tolist()
            best += (scores.argmax(-1) == said).tolist()
        found, place = [], 0
        for _, end in wanted:
            there = slice(place, place + len(end))
            found.append(Likelihood(logs[there], all(best[there])))
            place += len(end)
        return found


def bytes_of(network: nn.Module) -> int:
    """What the memory takes for a token; an LSTM remembers no tokens' keys."""
    if not isinstance(network, Transformer):
        return 0
    return Cache.bytes(network.config, 1, 1, network.embedding.weight.dtype, layers=network.decoder.layers())
