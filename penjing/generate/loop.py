"""The loop: prompts in, one column of tokens a step out. Rows that have ended are computed no more.

Shapes: R rows (prompts times answers of each), V vocabulary, W width.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import isfinite

import torch
from torch import Tensor, nn

from penjing.generate import sampling
from penjing.generate.ahead import Ahead
from penjing.generate.answers import Answer, Column, Stops, Top, gathered, spread
from penjing.generate.beam import search
from penjing.generate.options import GenerateOptions
from penjing.generate.rows import Penalties, Texts, batch_of, checked, limits, prompts_of, still, unpadded
from penjing.generate.rules import Rule
from penjing.model.batch import Batch
from penjing.model.products import prepared


class Decoding:
    """The rows that still go on, and what the network remembers of them."""

    def __init__(
        self, network: nn.Module, batch: Batch, options: GenerateOptions, rules: Sequence[Rule], stops: Stops | None
    ):
        batch, prompts = prompts_of(network, batch, options)
        self.network, self.options, self.rules, self.stops = network, options, list(rules), stops
        self.limits = [limit for limit in limits(prompts, options, network) for _ in range(options.returns)]
        self.answers: list[list[int]] = [[] for _ in self.limits]
        self.ahead = Ahead(network, options) if len(self.limits) == 1 and not rules else None
        self.rows = list(range(len(self.limits)))  # which answer each live row makes
        self.begin(batch, prompts)

    @torch.inference_mode()
    def begin(self, batch: Batch, prompts: list[list[int]]) -> None:
        """Read the prompts once; several answers of one prompt share what was read."""
        read = (batch.tokens if batch.target is None else batch.target).shape[1]
        device, vocabulary, options = batch.tokens.device, self.network.config.vocab_size, self.options
        self.memory = self.network.start(batch, capacity=read + max(self.limits))
        if options.returns > 1:
            self.memory.select([row for row in range(len(prompts)) for _ in range(options.returns)])
        prompts = [prompt for prompt in prompts for _ in range(options.returns)]
        self.scores = self.network.logits(self.memory.hidden)[:, -1].float()
        self.texts = Texts(prompts, max(self.limits), vocabulary, device)
        self.penalties = Penalties(options, vocabulary, device)
        for rule in self.rules:
            rule.start(prompts)
        self.chances = None if options.greedy else self.drawn(unpadded(batch.tokens, batch.mask)).to(device)

    def drawn(self, prompts: list[list[int]]) -> Tensor:
        """The numbers that each row will draw, one a token."""
        options, most = self.options, max(self.limits)
        keys = [(prompt, answer) for prompt in prompts for answer in range(options.returns)]
        return torch.stack([sampling.chances(options.seed, *key, most) for key in keys])

    @torch.inference_mode()
    def choose(self) -> Column:
        """The next token of every live row."""
        if self.ahead is not None and (found := self.ahead.next()) is not None:
            return self.column(*found, None)
        scores = self.scores
        for rule in self.rules:
            scores = rule.apply(scores)
        logs = scores.log_softmax(-1)
        edited = self.penalties(scores, self.texts)
        tokens = self.pick(edited)
        held = tokens[:, None]
        log = logs.gather(1, held)[:, 0].tolist()
        taken = log if edited is scores else edited.gather(1, held)[:, 0].tolist()
        if not all(map(isfinite, log + taken)):
            checked(scores.logsumexp(-1).tolist(), self.rows)
            checked(taken, self.rows)
        self.texts.add(tokens)
        return self.column(tokens.tolist(), log, self.likeliest(logs))

    def pick(self, scores: Tensor) -> Tensor:
        """Tokens R from edited scores R V."""
        options = self.options
        if options.greedy:
            return sampling.likeliest(scores)
        found = sampling.narrowed(
            scores, options.temperature, options.top_k, options.top_p, options.min_p, options.typical_p
        )
        return sampling.draw(found, self.chances[:, self.texts.length - self.texts.first])

    def likeliest(self, logs: Tensor) -> list[Top] | None:
        """The n most likely tokens of each live row."""
        if not self.options.top_log_probabilities:
            return None
        best, tokens = logs.topk(min(self.options.top_log_probabilities, logs.shape[1]))
        return [list(zip(t, b, strict=True)) for t, b in zip(tokens.tolist(), best.tolist(), strict=True)]

    def column(self, tokens: list[int], logs: list[float], top: list[Top] | None) -> Column:
        """The live rows' tokens in the places of all rows."""
        count = len(self.answers)
        made = Column([None] * count, [None] * count, [None] * count, None if top is None else [[]] * count)
        for place, row in enumerate(self.rows):
            self.answers[row].append(tokens[place])
            made.tokens[row], made.log_probabilities[row] = tokens[place], logs[place]
            made.reasons[row] = self.reason(row, tokens[place])
            if top is not None:
                made.top[row] = top[place]
        for rule in self.rules:
            rule.accept(tokens)
        return made

    def reason(self, row: int, token: int) -> str | None:
        """Why a row ends with this token, if it does."""
        if token in self.options.stop_tokens or (self.stops is not None and self.stops(row, self.answers[row])):
            return "stop"
        return "length" if len(self.answers[row]) == self.limits[row] else None

    @torch.inference_mode()
    def go_on(self, column: Column) -> bool:
        """Drop the rows that ended and compute the scores of the others; False when none is left."""
        kept = [place for place, row in enumerate(self.rows) if column.reasons[row] is None]
        if len(kept) < len(self.rows):
            if not kept:
                return False
            self.rows = [self.rows[place] for place in kept]
            chosen = torch.tensor(kept, device=self.scores.device)
            self.memory.select(kept)
            self.texts.select(chosen)
            self.chances = None if self.chances is None else self.chances[chosen]
            for rule in self.rules:
                rule.select(kept)
        if self.ahead is not None and self.ahead.fill(self.memory, self.texts, self.limits[0] - len(self.answers[0])):
            return True
        hidden = self.network.step(self.texts.newest, self.memory)
        self.scores = self.network.logits(hidden)[:, -1].float()
        return True


def generate(
    network: nn.Module,
    batch: Batch,
    options: GenerateOptions,
    rules: Sequence[Rule] = (),
    *,
    stops: Stops | None = None,
) -> Generator[Column, None, None]:
    """Continue the prompts of a batch, one column of tokens a step; closing the generator stops it.

    `batch.tokens` are the prompts; of an encoder-decoder the sources, and `batch.target` what its decoder begins with
    (None: `options.decoder_start`, else the one of its config). With beams, all columns come when the search has ended.
    """
    if options.beams > 1:
        with still(network):
            yield from spread(search(network, batch, options, rules, stops), options.returns)
        return
    rows = len(batch.tokens) * options.returns
    with still(network), prepared(network, rows, options.max_new_tokens):
        decoding = Decoding(network, batch, options, rules, stops)
        going = True
        while going:
            column = decoding.choose()
            yield column
            going = decoding.go_on(column)


def complete(
    network: nn.Module,
    prompts: Sequence[Sequence[int]],
    options: GenerateOptions,
    rules: Sequence[Rule] = (),
    *,
    stops: Stops | None = None,
) -> list[list[Answer]]:
    """For each prompt its `options.returns` answers; of beams the best first, and fewer where fewer could be found."""
    batch = batch_of(prompts, network)
    if options.beams > 1:
        with still(network):
            return search(network, batch, options, rules, stops)
    answers = gathered(generate(network, batch, options, rules, stops=stops), options.stop_tokens)
    return [answers[first : first + options.returns] for first in range(0, len(answers), options.returns)]
