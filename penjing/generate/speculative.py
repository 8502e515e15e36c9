"""Several tokens from one pass: something cheap guesses them, the network judges all at once (arXiv:2211.17192).

The text has the distribution that the network alone would give it. A guess x made with probability q(x) is kept with
probability min(1, p(x) / q(x)); the first that is not is drawn anew from what p has above q. A guess that is certain (a
look-up) is kept when it is the token that the network draws: the same law, and the very text of `generate`.

Shapes: R rows, T tokens of a pass, V vocabulary, W width.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from penjing.base.errors import GenerateError
from penjing.generate import sampling
from penjing.generate.answering import Answering, chosen, narrowed
from penjing.generate.answers import Answer, Column, Stops, gathered
from penjing.generate.options import GenerateOptions
from penjing.generate.rows import batch_of, checked, prompts_of, still, unpadded
from penjing.generate.rules import Rule
from penjing.model.batch import Batch
from penjing.model.products import prepared

DRAW, GUESS, KEEP = 0, 1, 2  # which of an answer's numbers: for its own draw, for a guess, for whether that is kept


class Guess(NamedTuple):
    """The tokens that a row may take next. `law` holds the probabilities V each was drawn with; None: it was certain."""

    tokens: list[int]
    law: list[Tensor] | None = None


@dataclass
class Tally:
    """What the guesses were worth."""

    guessed: int = 0
    kept: int = 0
    passes: int = 0  # of a row through the network
    tokens: int = 0  # that these passes gave

    @property
    def acceptance(self) -> float:
        """The share of guesses kept."""
        return self.kept / max(1, self.guessed)

    @property
    def tokens_per_pass(self) -> float:
        """1 is the pace without guesses."""
        return self.tokens / max(1, self.passes)


@dataclass(eq=False)
class Line:
    """One row: its answer, what guesses may be looked up in, and what was written but not yet told."""

    row: int
    answering: Answering
    source: list[int]  # of an encoder-decoder, the encoder's text
    ahead: list[tuple] = field(default_factory=list)
    ended: bool = False

    @property
    def text(self) -> list[int]:
        """Prompt and answer."""
        return self.answering.prompt + self.answering.tokens

    @property
    def left(self) -> int:
        """Tokens that may still come."""
        return self.answering.limit - len(self.answering.tokens)


class Lookup:
    """Guesses that what followed the newest tokens before, in the text or its source, follows them again.

    `longest` is the most tokens that are looked for; `most` is the most that are guessed at once.
    """

    def __init__(self, longest: int = 3, most: int = 8):
        self.longest, self.most = longest, most

    def start(self, network: nn.Module, batch: Batch, lines: Sequence[Line]) -> None:
        """Nothing is read."""

    def guess(self, lines: Sequence[Line]) -> list[Guess]:
        """For each row, at most as many tokens as it may still use beside the network's own."""
        return [Guess(self.found(line)[: max(0, min(self.most, line.left - 1))]) for line in lines]

    def found(self, line: Line) -> list[int]:
        """What followed the latest earlier place of the longest ending."""
        text = line.text
        whole = line.source + text
        for size in range(min(self.longest, len(text)), 0, -1):
            ending = whole[-size:]
            for at in range(len(whole) - size - 1, -1, -1):
                if whole[at + size - 1] == ending[-1] and whole[at : at + size] == ending:
                    return whole[at + size : at + size + self.most]
        return []

    def select(self, rows: Sequence[int]) -> None:
        """Nothing is kept of rows."""


class Draft:
    """A smaller network of the same vocabulary writes `most` tokens ahead, under the options of the row."""

    def __init__(self, network: nn.Module, most: int = 4):
        self.network, self.most = network, most

    def start(self, network: nn.Module, batch: Batch, lines: Sequence[Line]) -> None:
        """Read the prompts."""
        ours, theirs = self.network.config, network.config
        if ours.vocab_size != theirs.vocab_size or (ours.encoder_layers > 0) != (theirs.encoder_layers > 0):
            raise GenerateError("P-GENERATE-025", given=ours.vocab_size, size=theirs.vocab_size)
        longest = max(len(line.answering.prompt) + line.answering.limit for line in lines)
        self.memory = self.network.start(batch, capacity=longest)

    def guess(self, lines: Sequence[Line]) -> list[Guess]:
        """One token at a time, as the row itself would draw it from the draft's scores."""
        self.memory.cut([min(int(n), len(line.text) - 1) for n, line in zip(self.memory.lengths, lines, strict=True)])
        most = [max(0, min(self.most, line.left - 1)) for line in lines]
        found = [Guess([], None if line.answering.options.temperature == 0 else []) for line in lines]
        new = [line.text[int(n) :] for n, line in zip(self.memory.lengths, lines, strict=True)]
        for _ in range(max(most)):
            new = [tokens if len(guess.tokens) < n else [] for tokens, guess, n in zip(new, found, most, strict=True)]
            hidden = read(self.network, self.memory, new)
            rows = [row for row, tokens in enumerate(new) if tokens]
            scores = self.network.logits(hidden[rows, [len(new[row]) - 1 for row in rows]]).float()
            for row, one in zip(rows, scores, strict=True):
                new[row] = [drawn(lines[row].answering, one[None], found[row])]
        for line, guess in zip(lines, found, strict=True):
            line.answering.back(len(guess.tokens))
        return found

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows."""
        self.memory.select(rows)


def read(network: nn.Module, memory: object, new: Sequence[Sequence[int]]) -> Tensor:
    """Hidden states R T W of as many new tokens as each row has."""
    longest, device = max(map(len, new)), next(network.parameters()).device
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in new], device=device)
    return network.step(tokens, memory, [len(row) for row in new])


def drawn(answer: Answering, scores: Tensor, guess: Guess) -> int:
    """A row's next guess from the draft's scores 1 V, noted with its law."""
    scores = answer.edited(scores)
    if guess.law is None:
        token = int(scores.argmax())
    else:
        law = probabilities(scores, answer.setting)
        chance = answer.chances[GUESS, len(answer.tokens) + len(guess.tokens)]
        token = int(sampling.draw(sampling.Candidates(law.log()), chance[None]))
        guess.law.append(law[0])
    guess.tokens.append(token)
    answer.add(token)
    return token


def probabilities(scores: Tensor, setting: tuple) -> Tensor:
    """The law R V that tokens are drawn by: scores R V after temperature and cuts."""
    found = narrowed(scores, setting)
    law = found.scores.softmax(-1)
    return law if found.tokens is None else torch.zeros_like(scores).scatter(1, found.tokens, law)


class Speculative:
    """Decoding of a network with guesses of `guesser`. `tally` counts what they were worth, over all generations."""

    def __init__(self, network: nn.Module, guesser: Lookup | Draft):
        self.network, self.guesser, self.tally = network, guesser, Tally()

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        options: GenerateOptions,
        rules: Sequence[Rule] = (),
        **more: Stops | None,
    ) -> list[list[Answer]]:
        """For each prompt its answers, as `penjing.generate.loop.complete` gives them."""
        columns = self.generate(batch_of(prompts, self.network), options, rules, **more)
        answers = gathered(columns, options.stop_tokens)
        return [answers[first : first + options.returns] for first in range(0, len(answers), options.returns)]

    def generate(
        self, batch: Batch, options: GenerateOptions, rules: Sequence[Rule] = (), *, stops: Stops | None = None
    ) -> Generator[Column, None, None]:
        """Columns as `penjing.generate.loop.generate` gives them: each is told when every row that goes on has it."""
        if options.beams > 1:
            raise GenerateError("P-GENERATE-026", field="beams")
        run = Speculative(self.network, copy(self.guesser))  # memories of its own: several may go on in turns
        run.tally = self.tally
        with still(self.network), ExitStack() as stack:
            if isinstance(self.guesser, Draft):
                stack.enter_context(still(self.guesser.network))
            lines = run.begin(batch, options, rules, stops)
            live, most = list(lines), max(line.answering.limit for line in lines)
            stack.enter_context(prepared(self.network, len(lines) * (1 + self.guesser.most), most))
            if isinstance(self.guesser, Draft):
                stack.enter_context(prepared(self.guesser.network, len(lines), most))
            while live or any(line.ahead for line in lines):
                while lines and all(line.ahead for line in live) and any(line.ahead for line in lines):
                    yield column(lines, options)
                live = run.advance(live)

    @torch.inference_mode()
    def begin(self, batch: Batch, options: GenerateOptions, rules: Sequence[Rule], stops: Stops | None) -> list[Line]:
        """Read the prompts and choose the first token of each row."""
        batch, prompts = prompts_of(self.network, batch, options)
        crossed, times = batch.target is not None, options.returns
        if rules and len(prompts) * times > 1:
            raise GenerateError("P-GENERATE-027", given=len(prompts) * times)
        sources = unpadded(batch.tokens, batch.mask) if crossed else [None] * len(prompts)
        lines = [
            Line(
                row,
                Answering(self.network, prompts[p], options, rules, ended(stops, row), sources[p], n),
                sources[p] or [],
            )
            for row, (p, n) in enumerate((p, n) for p in range(len(prompts)) for n in range(times))
        ]
        rows = [line.row // times for line in lines]
        longest = max(len(line.answering.prompt) + line.answering.limit for line in lines)
        self.memory = self.network.start(batch, capacity=longest)
        self.guesser.start(self.network, batch, lines)
        if times > 1:
            self.memory.select(rows)
            self.guesser.select(rows)
        scores = self.network.logits(self.memory.hidden)
        for line, states in zip(lines, scores, strict=True):
            self.judge(line, states.float(), Guess([]))
        return lines

    @torch.inference_mode()
    def advance(self, live: list[Line]) -> list[Line]:
        """Rows that ended leave; the others are guessed for, and judged in one pass."""
        kept = [place for place, line in enumerate(live) if not line.ended]
        if not kept:
            return []
        if len(kept) < len(live):
            self.memory.select(kept)
            self.guesser.select(kept)
            live = [live[place] for place in kept]
        guesses = self.guesser.guess(live)
        before = [len(line.text) for line in live]
        new = [[line.text[-1], *guess.tokens] for line, guess in zip(live, guesses, strict=True)]
        hidden = read(self.network, self.memory, new)
        scores = self.network.logits(hidden).float()
        for row, (line, guess) in enumerate(zip(live, guesses, strict=True)):
            kept_here = self.judge(line, scores[row, : len(guess.tokens) + 1], guess)
            self.tally.guessed += len(guess.tokens)
            self.tally.kept += kept_here
            self.tally.passes += 1
            self.tally.tokens += len(line.text) - before[row]
        self.memory.cut([len(line.text) - 1 for line in live])
        return live

    def judge(self, line: Line, scores: Tensor, guess: Guess) -> int:
        """Take guesses while they are kept, then one token more; how many were kept. Scores T V, T one above guesses."""
        answer = line.answering
        whole = self.settled(answer, scores) if answer.plain else None
        for at in range(len(scores)):
            one = scores[at : at + 1]
            ruled, edited = one, one
            if not answer.plain:
                ruled = answer.ruled(one.clone())
                edited = answer.edited(ruled.clone())
            norms = ruled.logsumexp(-1)
            checked([float(norms), float(edited.amax())], [line.row, line.row])
            guessed = guess.tokens[at] if at < len(guess.tokens) else None
            if guessed is None or guess.law is None:
                token = whole[at] if whole is not None else chosen([answer], edited)[0]
                kept = token == guessed
            else:
                token, kept = weighed(answer, probabilities(edited, answer.setting)[0], guessed, guess.law[at])
            log = float(ruled[0, token] - norms)
            top = answer.top(ruled[0], float(norms))
            reason = answer.take(token, log, top)
            line.ahead.append((token, log, reason, top))
            line.ended = reason is not None
            if not kept or line.ended:
                return at + kept
        return len(guess.tokens)

    def settled(self, answer: Answering, scores: Tensor) -> list[int]:
        """What the network itself would take after each guess, all at once; rows that nothing edits."""
        if answer.options.greedy:
            return sampling.likeliest(scores).tolist()
        first = len(answer.tokens)
        chances = answer.chances[DRAW, first : first + len(scores)]
        return sampling.draw(narrowed(scores, answer.setting), chances).tolist()


def weighed(answer: Answering, law: Tensor, guessed: int, guess_law: Tensor) -> tuple[int, bool]:
    """The guess, if it is kept, or a token from what the network's law V has above the guesser's."""
    place = len(answer.tokens)
    if float(answer.chances[KEEP, place]) * float(guess_law[guessed]) < float(law[guessed]):
        return guessed, True
    rest = (law - guess_law).clamp(min=0)
    rest = rest if float(rest.sum()) > 0 else law  # both laws are one, but for rounding
    return int(sampling.draw(sampling.Candidates(rest.log()[None]), answer.chances[DRAW, place][None])), False


def ended(stops: Stops | None, row: int):
    """The stop function of one row."""
    return None if stops is None else lambda tokens: stops(row, tokens)


def column(lines: Sequence[Line], options: GenerateOptions) -> Column:
    """The oldest token that each row has not yet told."""
    told = [line.ahead.pop(0) if line.ahead else (None, None, None, []) for line in lines]
    tokens, logs, reasons, top = map(list, zip(*told, strict=True))
    return Column(tokens, logs, reasons, top if options.top_log_probabilities else None)
