"""Beam search: several answers of each prompt are followed at once, and the best ones kept.

The arithmetic is that of transformers: scores are sums of log-probabilities in float32, divided by length to the
power of the penalty when an answer ends; a prompt is done when no running beam can overtake the worst ended one.

Shapes: R rows (running beams of all prompts), V vocabulary, K candidates of each row.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from penjing.base.errors import GenerateError, raise_all
from penjing.generate.answers import Answer, Stops
from penjing.generate.forced import Wanted, banked
from penjing.generate.options import GenerateOptions
from penjing.generate.rows import Penalties, Texts, checked, limits, prompts_of
from penjing.generate.rules import Rule
from penjing.model.batch import Batch
from penjing.model.products import prepared


class Beam(NamedTuple):
    """A beginning of an answer; `row` is the row it grew from, which holds all of it but the last token."""

    score: float
    row: int
    tokens: list[int]
    logs: list[float]  # the network's own log-probabilities of the tokens
    wanted: Wanted

    def grown(self, row: int, score: float, token: int, log: float) -> Beam:
        """The beam with one token more."""
        tokens = [*self.tokens, token]
        return Beam(score, row, tokens, [*self.logs, log], self.wanted.after(tokens))


@dataclass
class Hunt:
    """The search for the answers of one prompt."""

    number: int
    limit: int  # tokens
    running: list[Beam]
    ended: list[Answer] = field(default_factory=list)  # the best first, no more than there are beams


class Scored(NamedTuple):
    """The candidates of all rows as lists R K, and the whole tables they were taken from."""

    totals: list[list[float]]
    tokens: list[list[int]]
    logs: list[list[float]]
    edited: Tensor  # R V log-probabilities after the penalties
    plain: Tensor  # R V log-probabilities before them


class Search:
    """All prompts that are not done, and what the network remembers of their beams."""

    def __init__(
        self, network: nn.Module, batch: Batch, options: GenerateOptions, rules: Sequence[Rule], stops: Stops | None
    ):
        batch, prompts = prompts_of(network, batch, options)
        self.network, self.options, self.rules, self.stops = network, options, list(rules), stops
        self.keep = options.beams * max(2, 1 + len(options.stop_tokens))
        most, wanted = limits(prompts, options, network), Wanted(options.forced_words)
        raise_all([GenerateError("P-GENERATE-003", most=limit) for limit in most if wanted.needed > limit])
        self.hunts = [Hunt(i, limit, [Beam(0.0, i, [], [], wanted)]) for i, limit in enumerate(most)]
        read = (batch.tokens if batch.target is None else batch.target).shape[1]
        self.memory = network.start(batch, capacity=read + max(most))
        self.hidden = self.memory.hidden
        self.texts = Texts(prompts, max(most), network.config.vocab_size, batch.tokens.device)
        self.penalties = Penalties(options, network.config.vocab_size, batch.tokens.device)
        for rule in self.rules:
            rule.start(prompts)

    def run(self) -> list[Hunt]:
        """Search until every prompt is done."""
        live = self.hunts
        while live:
            scored = self.score([beam for hunt in live for beam in hunt.running], live)
            first = 0
            for hunt in live:
                rows = range(first, first + len(hunt.running))
                first = rows.stop
                self.sort(hunt, self.candidates(hunt, rows, scored))
            live = [hunt for hunt in live if not self.done(hunt)]
            if live:
                self.step([beam for hunt in live for beam in hunt.running])
        return self.hunts

    def score(self, beams: list[Beam], live: list[Hunt]) -> Scored:
        """The most likely next tokens of each row, with the sums that a beam would then have."""
        scores = self.network.logits(self.hidden)[:, -1].float()
        for rule in self.rules:
            scores = rule.apply(scores)
        norms = scores.logsumexp(-1, keepdim=True)
        checked(norms[:, 0].tolist(), [hunt.number for hunt in live for _ in hunt.running])
        plain = edited = scores
        if self.penalties.asked or self.options.forced_words:
            plain = scores - norms
            edited = self.penalties(plain, self.texts)
        best, tokens = edited.topk(min(self.keep, scores.shape[1]))
        logs = plain.gather(1, tokens)
        if plain is scores:  # only the few are normalised
            logs = best = best - norms
        sums = best + best.new_tensor([[beam.score] for beam in beams])
        return Scored(sums.tolist(), tokens.tolist(), logs.tolist(), edited, plain)

    def candidates(self, hunt: Hunt, rows: range, scored: Scored) -> list[Beam]:
        """The best ways to go on with a prompt's beams, the best first."""
        table = [zip(scored.totals[row], scored.tokens[row], scored.logs[row], strict=True) for row in rows]
        if not self.options.forced_words:
            found = [(*one, place) for place, row in enumerate(table) for one in row if one[0] > -math.inf]
            best = heapq.nlargest(self.keep, found)
            kept = [hunt.running[place].grown(rows[place], *one) for *one, place in best]
        else:
            pairs = list(zip(hunt.running, rows, table, strict=True))
            kept = banked([one for pair in pairs for one in self.bringing(hunt, *pair, scored)])[: self.keep]
        if not kept:
            raise GenerateError("P-GENERATE-009", row=hunt.number)
        return kept

    def bringing(self, hunt: Hunt, beam: Beam, row: int, likely: Iterator, scored: Scored) -> Iterator[Beam]:
        """The ways to go on after which the forced words can still all come."""
        found = {token: (total, token, log) for total, token, log in likely}
        for token in beam.wanted.next(beam.tokens):
            total = float(np.float32(scored.edited[row, token]) + np.float32(beam.score))
            found[token] = (total, token, float(scored.plain[row, token]))
        left = hunt.limit - len(beam.tokens) - 1
        for one in found.values():
            grown = beam.grown(row, *one)
            lost = grown.wanted.words and (grown.wanted.needed > left or one[1] in self.options.stop_tokens)
            if one[0] > -math.inf and not lost:
                yield grown

    def sort(self, hunt: Hunt, found: list[Beam]) -> None:
        """Candidates that end become answers if they are among the best; the best others run on."""
        options, running, ended = self.options, [], list(hunt.ended)
        for rank, beam in enumerate(found):
            reason = self.reason(hunt, beam)
            if reason is None:
                running.append(beam)
            elif rank < options.beams and not beam.wanted.words:
                ended.append(self.answer(beam, reason))
        hunt.running = running[: options.beams]
        hunt.ended = sorted(ended, key=lambda answer: -answer.score)[: options.beams]

    def reason(self, hunt: Hunt, beam: Beam) -> str | None:
        """Why a beam ends with its last token, if it does."""
        if beam.tokens[-1] in self.options.stop_tokens:
            return "stop"
        if self.stops is not None and self.stops(hunt.number * self.options.returns, beam.tokens):
            return "stop"
        return "length" if len(beam.tokens) == hunt.limit else None

    def answer(self, beam: Beam, reason: str) -> Answer:
        """What a beam that has ended gives back."""
        tokens, logs, score = beam.tokens, beam.logs, self.normal(beam)
        if tokens[-1] in self.options.stop_tokens:
            return Answer(tokens[:-1], logs[:-1], reason, score, end=(tokens[-1], logs[-1]))
        return Answer(tokens, logs, reason, score)

    def normal(self, beam: Beam) -> float:
        """A beam's score, made comparable between lengths."""
        return float(np.float32(beam.score) / np.float32(len(beam.tokens) ** self.options.length_penalty))

    def done(self, hunt: Hunt) -> bool:
        """Whether nothing better can come."""
        if not hunt.running:
            return True
        if len(hunt.ended) < self.options.beams:
            return False
        return self.options.early_stopping or self.normal(hunt.running[0]) <= hunt.ended[-1].score

    def step(self, beams: list[Beam]) -> None:
        """Let the rows be these beams, and compute what they say next."""
        rows = [beam.row for beam in beams]
        if rows != list(range(len(self.texts.tokens))):
            chosen = torch.tensor(rows, device=self.texts.tokens.device)
            self.memory.select(rows)
            self.texts.select(chosen)
            for rule in self.rules:
                rule.select(rows)
        tokens = [beam.tokens[-1] for beam in beams]
        for rule in self.rules:
            rule.accept(tokens)
        self.texts.add(torch.tensor(tokens, device=self.texts.tokens.device))
        self.hidden = self.network.step(self.texts.newest, self.memory)


@torch.inference_mode()
def search(
    network: nn.Module, batch: Batch, options: GenerateOptions, rules: Sequence[Rule], stops: Stops | None
) -> list[list[Answer]]:
    """For each prompt its best `options.returns` answers; fewer where fewer could be found."""
    with prepared(network, len(batch.tokens) * options.beams, options.max_new_tokens):
        found = Search(network, batch, options, rules, stops).run()
    return [hunt.ended[: options.returns] for hunt in found]
