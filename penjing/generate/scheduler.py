"""Many requests at once: they join between two steps and leave when they end, each with its own options and rules.

One memory of fixed size holds a row for each request that runs or is being read. Rows are kept in order: those that
run, then those being read, then the free ones, so that a step takes a slice of the memory and copies nothing. A free
row keeps what it held until it is needed: a new prompt that begins alike goes on from there.

Shapes: R rows, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from penjing.base.errors import GenerateError
from penjing.generate.answering import Answering, Ends, chosen
from penjing.generate.answers import Answer, Top
from penjing.generate.options import GenerateOptions
from penjing.generate.rows import batch_of, checked, prompts_of, still
from penjing.generate.rules import Rule
from penjing.model.batch import Batch
from penjing.model.products import THIN, WORTH, prepared

SHARE_FROM = 8  # tokens; a shorter common beginning is read anew
WAIT_FROM = 32  # tokens; a prompt that begins so far like one being read waits until it can share them
RUNNING, READING, FREE = 0, 1, 2


@dataclass(frozen=True)
class Request:
    """One answer that is wanted."""

    prompt: Sequence[int]  # of an encoder-decoder, the source
    options: GenerateOptions = field(default_factory=GenerateOptions)  # one answer, no beams
    rules: Sequence[Rule] = ()
    ends: Ends | None = None  # called with the tokens so far; True ends the answer
    number: int = 0  # of the answer among those of the same prompt and seed: each draws its own numbers


@dataclass(eq=False)
class Handle:
    """A request that was taken, and what has become of it."""

    request: Request
    answering: Answering
    batch: Batch  # of one row, as `start` reads it
    needs: int  # tokens of the memory at most
    prompt: list[int]  # what the decoder reads
    reason: str | None = None  # "stop", "length", "cancel" or "error" when it has ended
    error: Exception | None = None  # whatever its rules or its `ends` raised, too

    @property
    def answer(self) -> Answer:
        """What has been written so far."""
        return self.answering.answer


class Event(NamedTuple):
    """One token of one request. After an error there is no token."""

    handle: Handle
    token: int | None
    log_probability: float | None
    reason: str | None  # None while it goes on
    top: Top | None = None


@dataclass(eq=False)
class Place:
    """A row of the memory."""

    kind: int = FREE
    handle: Handle | None = None
    held: list[int] = field(default_factory=list)  # the tokens whose keys and values lie there
    turn: int = 0  # when it was taken or freed


class Scheduler:
    """`submit` requests, then `step` until all have ended. No threads: whoever owns it calls it.

    `rows` requests run at once, each of at most `tokens` tokens; `reading` prompt tokens are read in a step beside the
    rows that run, so that a long prompt holds nobody up; `waiting` requests may wait. First come, first served.
    """

    def __init__(
        self, network: nn.Module, rows: int = 16, tokens: int | None = None, reading: int = 256, waiting: int = 1024
    ):
        for name, value in (("rows", rows), ("tokens", tokens or 1), ("reading", reading), ("waiting", waiting)):
            if value < 1:
                raise GenerateError("P-GENERATE-021", field=name, given=value)
        self.network, self.reading, self.most_waiting = network, reading, waiting
        self.device = next(network.parameters()).device
        self.tokens = tokens or network.max_tokens
        self.memory = network.reserve(rows, self.tokens)
        self.places = [Place() for _ in range(rows)]
        self.queue: deque[Handle] = deque()
        self.clock, self.packed, self.packs = 0, False, ExitStack()
        self.crossed = network.config.encoder_layers > 0
        self.whole = self.crossed or getattr(network.config, "by_length", False)  # prompts are read at once, and alone

    # ---- what a caller asks ----

    def submit(self, request: Request) -> Handle:
        """Take a request, or an error when it can never run or too many wait."""
        options = request.options
        if options.beams > 1 or options.returns > 1:
            raise GenerateError("P-GENERATE-022", field="beams" if options.beams > 1 else "returns")
        if len(self.queue) >= self.most_waiting:
            raise GenerateError("P-GENERATE-023", most=self.most_waiting)
        batch, (prompt,) = prompts_of(self.network, batch_of([request.prompt], self.network), options)
        source = request.prompt if self.crossed else None
        answering = Answering(self.network, prompt, options, request.rules, request.ends, source, request.number)
        needs = len(prompt) + answering.limit - 1  # the last token is not read
        if needs > self.tokens:
            raise GenerateError("P-GENERATE-024", given=needs, most=self.tokens)
        handle = Handle(request, answering, batch, needs, prompt)
        self.queue.append(handle)
        return handle

    def cancel(self, handle: Handle) -> None:
        """Stop a request, wherever it is. One that has ended stays as it is."""
        if handle.reason is not None:
            return
        if handle in self.queue:
            self.queue.remove(handle)
            handle.reason = "cancel"
            return
        for place in self.places:
            if place.handle is handle:
                self.leave(place, "cancel")

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not self.queue and all(place.handle is None for place in self.places)

    def drain(self) -> Iterator[Event]:
        """All events until nothing is left to do."""
        while not self.idle:
            yield from self.step()

    def step(self) -> list[Event]:
        """One token for each row that runs; then some of the waiting prompts are read, and who is whole runs."""
        self.prepare()
        with still(self.network) if self.network.training else nullcontext(), torch.inference_mode():
            events = self.write()
            self.admit()
            events += self.read()
        if self.idle:
            self.packs.close()
            self.packed = False
        return events

    def prepare(self) -> None:
        """From when more than a few rows run until none does, the network's matrices lie packed for them."""
        if not self.packed and len(self.of(RUNNING)) > THIN:
            self.packs.enter_context(prepared(self.network, len(self.places), WORTH))
            self.packed = True

    # ---- rows that run ----

    def of(self, kind: int) -> list[Place]:
        return [place for place in self.places if place.kind == kind]

    def write(self) -> list[Event]:
        """The next token of every row that runs."""
        self.arrange()
        running = self.of(RUNNING)
        if not running:
            return []
        last = [place.handle.answering.tokens[-1] for place in running]
        tokens = torch.tensor(last, device=self.device)[:, None]
        hidden = self.network.step(tokens, self.memory.part(0, len(running)))
        for place, token in zip(running, last, strict=True):
            place.held.append(token)
        return self.choose(running, hidden)

    def choose(self, places: list[Place], hidden: Tensor) -> list[Event]:
        """Tokens from states R 1 W; rows that end leave."""
        scores = self.network.logits(hidden)[:, -1].float()
        answers = [place.handle.answering for place in places]
        errors: dict[int, Exception] = {}
        edited = scores
        if not all(answer.plain for answer in answers):
            scores, edited = self.edit(answers, scores, errors)
        norms, kept = scores.logsumexp(-1), edited.amax(-1)
        for row, (norm, best) in enumerate(zip(norms.tolist(), kept.tolist(), strict=True)):
            try:
                checked([norm, best], [row, row])
            except GenerateError as error:
                errors.setdefault(row, error)
        good = [row for row in range(len(places)) if row not in errors]
        events = [self.failed(places[row], error) for row, error in errors.items()]
        if not good:
            return events
        tokens = chosen([answers[row] for row in good], edited if len(good) == len(places) else edited[good])
        logs = (scores[good, tokens] - norms[good]).tolist()
        for row, token, log in zip(good, tokens, logs, strict=True):
            top = answers[row].top(scores[row], float(norms[row]))
            events.append(self.take(places[row], token, log, top))
        return events

    def edit(self, answers: list[Answering], scores: Tensor, errors: dict[int, Exception]) -> tuple[Tensor, Tensor]:
        """Scores after each row's rules, and after its penalties; a rule that fails ends its own row."""
        ruled, edited = scores.clone(), scores.clone()
        for row, answer in enumerate(answers):
            if answer.plain:
                continue
            try:
                ruled[row : row + 1] = answer.ruled(scores[row : row + 1].clone())
                edited[row : row + 1] = answer.edited(ruled[row : row + 1].clone())
            except Exception as error:  # of a stranger's rule: it must not stop the others half-way
                errors[row] = error
        return ruled, edited

    def take(self, place: Place, token: int, log: float, top: Top | None) -> Event:
        """A row's token is told, and the row leaves with its last."""
        handle = place.handle
        try:
            reason = handle.answering.take(token, log, top)
        except Exception as error:
            return self.failed(place, error)
        if reason is not None:
            self.leave(place, reason)
        return Event(handle, token, log, reason, top)

    def failed(self, place: Place, error: Exception) -> Event:
        """A row that cannot go on ends alone."""
        handle = place.handle
        handle.error = error
        self.leave(place, "error")
        place.held = []  # what is no number must not be met again
        row = self.places.index(place)
        self.memory.part(row, row + 1).cut([0])
        return Event(handle, None, None, "error")

    def leave(self, place: Place, reason: str) -> None:
        """The row is free; what it holds stays until another needs it."""
        place.handle.reason = reason
        self.turn(place, FREE, None)

    def turn(self, place: Place, kind: int, handle: Handle | None) -> None:
        self.clock += 1
        place.kind, place.handle, place.turn = kind, handle, self.clock

    # ---- rows that are read ----

    def admit(self) -> None:
        """Give free rows to those who wait longest, as far as their prompts can be read in this step."""
        ahead = sum(len(place.handle.prompt) - len(place.held) for place in self.of(READING))
        while self.queue and self.of(FREE) and ahead < self.reading:
            prompt = self.queue[0].prompt
            alike = [0 if self.whole else self.alike(row, prompt) for row in range(len(self.places))]
            coming = [same(prompt, place.handle.prompt) for place in self.of(READING)]
            if not self.whole and max(coming, default=0) >= max(alike) + WAIT_FROM:
                break  # what is being read will be shared
            handle, place = self.queue.popleft(), self.home(prompt, alike)
            self.turn(place, READING, handle)
            ahead += handle.batch.tokens.numel() if self.crossed else len(prompt) - len(place.held)
        self.arrange()

    def home(self, prompt: list[int], alike: list[int]) -> Place:
        """A free row, made to hold as much of the prompt's beginning as any row does."""
        best = max(range(len(self.places)), key=lambda row: (alike[row], self.places[row].kind))
        length = alike[best] if alike[best] >= SHARE_FROM else 0
        if length and self.places[best].kind == FREE:
            row = best
        else:
            row = self.places.index(min(self.of(FREE), key=lambda place: place.turn))
        if length and row != best:
            self.memory.put(row, self.memory, best, length)
        else:
            self.memory.part(row, row + 1).cut([length])
        self.places[row].held = prompt[:length]
        return self.places[row]

    def alike(self, row: int, prompt: list[int]) -> int:
        """How much of a prompt's beginning a row holds; the last token is always read, for its state."""
        length = same(prompt[:-1], self.places[row].held)
        return length if self.memory.holds(row, length) else 0

    def read(self) -> list[Event]:
        """Read on in the prompts, `reading` tokens with their padding; who is whole chooses its first token."""
        rows = self.of(READING)
        if not rows:
            return []
        first = self.places.index(rows[0])
        if self.crossed:
            return self.read_sources(rows, first)
        left = [len(place.handle.prompt) - len(place.held) for place in rows]
        left = left if self.whole else [min(self.reading, tokens) for tokens in left]
        count = 1
        while count < len(rows) and (count + 1) * max(left[: count + 1]) <= self.reading:
            count += 1
        rows, left = rows[:count], left[:count]
        parts = [p.handle.prompt[len(p.held) :][:size] for p, size in zip(rows, left, strict=True)]
        tokens = torch.tensor([part + [0] * (max(left) - len(part)) for part in parts], device=self.device)
        hidden = self.network.step(tokens, self.memory.part(first, first + count), left)
        for place, part in zip(rows, parts, strict=True):
            place.held = place.held + part
        whole = [row for row, place in enumerate(rows) if len(place.held) == len(place.handle.prompt)]
        states = [hidden[row, left[row] - 1] for row in whole]
        return self.begin([rows[row] for row in whole], torch.stack(states)[:, None]) if whole else []

    def read_sources(self, rows: list[Place], first: int) -> list[Event]:
        """An encoder reads its text at once, so each row is started alone and put into its place."""
        states = []
        for row, place in enumerate(rows, first):
            begun = self.network.start(place.handle.batch, len(place.handle.prompt))
            self.memory.put(row, begun, 0)
            place.held = list(place.handle.prompt)
            states.append(begun.hidden)
        return self.begin(rows, torch.cat(states))

    def begin(self, places: list[Place], hidden: Tensor) -> list[Event]:
        """Prompts that are read choose their first tokens and run from now on."""
        for place in places:
            place.kind = RUNNING
        return self.choose(places, hidden)

    def arrange(self) -> None:
        """Sort the rows by what they do, moving as few as may be; who was first read stays first."""
        wanted = sorted(place.kind for place in self.places)
        turns = iter(sorted(self.of(READING), key=lambda place: place.turn))
        order = list(range(len(wanted)))
        for at, kind in enumerate(wanted):
            if kind == READING:
                other = order.index(self.places.index(next(turns)))
            elif self.places[order[at]].kind != kind:
                other = next(p for p in reversed(range(at, len(order))) if self.places[order[p]].kind == kind)
            else:
                continue
            order[at], order[other] = order[other], order[at]
        if order != list(range(len(order))):
            self.memory.select(order)
            self.places = [self.places[row] for row in order]


def same(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
