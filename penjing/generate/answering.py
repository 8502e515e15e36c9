"""One answer on its way, for the ways of decoding in which each row goes its own pace.

Shapes: R rows, V vocabulary, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from penjing.generate import sampling
from penjing.generate.answers import Answer, Top
from penjing.generate.options import GenerateOptions
from penjing.generate.rows import Penalties, Texts, limits
from penjing.generate.rules import Rule
from penjing.generate.sampling import Candidates

Ends = Callable[[list[int]], bool]  # the tokens so far; True ends the answer
STREAMS = 3  # numbers a token may need: the first draws it as `generate` would, the others are for guesses


class Answering:
    """What options and rules make of the scores of one answer, and what it has become so far."""

    def __init__(
        self,
        network: nn.Module,
        prompt: Sequence[int],
        options: GenerateOptions,
        rules: Sequence[Rule] = (),
        ends: Ends | None = None,
        source: Sequence[int] | None = None,
        number: int = 0,
    ):
        """`prompt` is what the decoder has read; `source` is the encoder's text, where there are two. `number` is the
        answer's among those of one prompt: each draws its own numbers.
        """
        config, device = network.config, next(network.parameters()).device
        self.prompt, self.options, self.rules, self.ends = list(prompt), options, list(rules), ends
        self.limit = limits([self.prompt], options, network)[0]
        self.penalties = Penalties(options, config.vocab_size, device)
        self.texts = Texts([self.prompt], self.limit, config.vocab_size, device) if self.penalties.asked else None
        self.tokens: list[int] = []
        self.answer = Answer()
        self.chances = None
        if not options.greedy:
            key = self.prompt if source is None else list(source)
            # the first numbers of a generator do not depend on how many are asked for
            drawn = sampling.chances(options.seed, key, number, STREAMS * self.limit)
            self.chances = drawn.view(STREAMS, self.limit).to(device)
        for rule in self.rules:
            rule.start([self.prompt])

    @property
    def plain(self) -> bool:
        """Whether nothing but the network decides the scores of a token."""
        return not self.rules and not self.penalties.asked

    @property
    def setting(self) -> tuple:
        """What `narrowed` is given; rows of one setting are chosen together."""
        options = self.options
        return options.temperature, options.top_k, options.top_p, options.min_p, options.typical_p

    def ruled(self, scores: Tensor) -> Tensor:
        """Scores 1 V after the rules: what log-probabilities are told of."""
        for rule in self.rules:
            scores = rule.apply(scores)
        return scores

    def edited(self, scores: Tensor) -> Tensor:
        """Scores 1 V after the penalties."""
        return scores if self.texts is None else self.penalties(scores, self.texts)

    def add(self, token: int) -> None:
        """The text goes on with a token that may be taken back."""
        if self.texts is not None:
            self.texts.add(torch.tensor([token], device=self.texts.tokens.device))

    def back(self, count: int) -> None:
        """Take the newest tokens back."""
        if self.texts is not None:
            self.texts.length -= count

    def take(self, token: int, log: float, top: Top | None = None) -> str | None:
        """The answer goes on with this token; the reason if it ends with it."""
        self.add(token)
        self.tokens.append(token)
        for rule in self.rules:
            rule.accept([token])
        reason = None
        if token in self.options.stop_tokens or (self.ends is not None and self.ends(self.tokens)):
            reason = "stop"
        elif len(self.tokens) == self.limit:
            reason = "length"
        self.record(token, log, top, reason)
        return reason

    def record(self, token: int, log: float, top: Top | None, reason: str | None) -> None:
        self.answer.reason = reason or self.answer.reason
        if token in self.options.stop_tokens:
            self.answer.end = token, log
            return
        self.answer.tokens.append(token)
        self.answer.log_probabilities.append(log)
        if top is not None:
            self.answer.top.append(top)

    def top(self, scores: Tensor, norm: float) -> Top | None:
        """The likeliest tokens of scores V, where they are asked for."""
        if not self.options.top_log_probabilities:
            return None
        best, tokens = scores.topk(min(self.options.top_log_probabilities, len(scores)))
        return list(zip(tokens.tolist(), (best - norm).tolist(), strict=True))


def narrowed(scores: Tensor, setting: tuple) -> Candidates:
    """Scores R V after temperature and cuts."""
    temperature, k, p, least, usual = setting
    return sampling.narrowed(scores, temperature, k, p, least, usual)


def chosen(answers: Sequence[Answering], edited: Tensor) -> list[int]:
    """The next token of each answer from its row of scores R V; rows of one setting at once."""
    groups: dict[tuple, list[int]] = {}
    for row, answer in enumerate(answers):
        groups.setdefault(answer.setting, []).append(row)
    tokens = [0] * len(answers)
    for setting, rows in groups.items():
        scores = edited if len(rows) == len(answers) else edited[rows]
        if setting[0] == 0:
            found = sampling.likeliest(scores)
        else:
            chance = torch.stack([answers[row].chances[0, len(answers[row].tokens)] for row in rows])
            found = sampling.draw(narrowed(scores, setting), chance)
        for row, token in zip(rows, found.tolist(), strict=True):
            tokens[row] = token
    return tokens
