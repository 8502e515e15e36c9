"""A writer: a network that generates, its tokenizer, its chat form and its way of decoding. Text in, text out.

writer = Writer.load("runs/stories/pretrain/model")
writer.write(["Once upon a time"], max_new_tokens=40, seed=1)
for piece in writer.stream("Once upon a time"): ...
writer.reply([{"role": "user", "content": "Hello"}])
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError, OptionError
from penjing.base.hub import local_folder
from penjing.changes.files import Replay
from penjing.generate.answers import Column
from penjing.generate.loop import complete, generate
from penjing.generate.options import GenerateOptions
from penjing.generate.rows import batch_of, window
from penjing.generate.rules import Rule
from penjing.model.checkpoint import read_checkpoint
from penjing.model.decoding import FILE
from penjing.tasks.defaults import Defaults, read_defaults, without_repeats
from penjing.tasks.folders import recorded_changes
from penjing.text.chat import Chat, Messages
from penjing.text.history import fitted
from penjing.text.streaming import TextStream
from penjing.text.tokenizer import Tokenizer

TOGETHER = 16  # prompts decoded at once
FORMS = {"json_schema": "json", "regex": "regex", "choices": "choice", "grammar": "context_free"}  # a Grammar's makers
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Written:
    """One answer."""

    text: str
    tokens: list[int]  # without the stop token
    log_probabilities: list[float]
    reason: str  # "stop" or "length"
    stopped_by: str | None = None  # the stop string, if one ended it
    score: float | None = None  # of a beam
    top: list[list[tuple[int, float]]] | None = None  # for each token the likeliest ones, if asked for


class Writer:
    """What writes. `template`: the name of a chat template, or its text."""

    def __init__(
        self, network: nn.Module, tokenizer: Tokenizer, defaults: Defaults | None = None, template: str | None = None
    ):
        if network.config.decoder_layers == 0:
            raise ModelError("P-MODEL-009")
        if tokenizer.size > network.config.vocab_size:
            raise ModelError("P-TASK-004", tokens=tokenizer.size, rows=network.config.vocab_size)
        self.network, self.tokenizer, self.template = network.eval(), tokenizer, template
        self.defaults = defaults or Defaults()
        self.vocabularies: dict[tuple[int, ...], Any] = {}  # for grammars, by the tokens that end an answer
        end = () if tokenizer.end is None else (tokenizer.end,)
        self.stop_tokens = without_repeats(self.defaults.stop_tokens, end)

    @classmethod
    def load(
        cls, source: str | Path, *, template: str | None = None, dtype: Literal["float32", "bfloat16"] = "float32"
    ) -> Writer:
        """Any checkpoint that generates, whatever its task: a folder, or a model of the hub."""
        folder = local_folder(source)
        records = recorded_changes(folder)
        replay = Replay(folder, records) if records else None
        found = read_checkpoint(folder, dtype=TYPES[dtype], alter=replay)
        if found.config.decoder_layers == 0:
            raise ModelError("P-MODEL-009", file=folder)
        both = found.config.encoder_layers > 0
        defaults = read_defaults(found.generation, both, folder / FILE)
        network = found.transformer(vocabulary=True)
        if replay is not None:
            replay.filled(network)
        return cls(network, Tokenizer.load(folder), defaults, template)

    @property
    def encoder_decoder(self) -> bool:
        """Does it read a source and write a target?"""
        return self.network.config.encoder_layers > 0

    @property
    def start(self) -> int | None:
        """What the decoder of an encoder-decoder reads first."""
        found = self.defaults.decoder_start
        return getattr(self.network.config, "decoder_start", None) if found is None else found

    @property
    def window(self) -> int | None:
        """The most tokens of prompt and answer; None: no end."""
        return window(self.network)

    @cached_property
    def chat(self) -> Chat:
        """Its chat form; made when first asked for, since a model without one says so."""
        return Chat(self.tokenizer, self.template)

    # ---- text to text ----

    def write(self, prompts: Sequence[str], **options: Any) -> list[str]:
        """The answers of prompts, in their order; with `returns` as many for each. Options as in `answers`."""
        return [one.text for answers in self.answers(prompts, **options) for one in answers]

    def answers(
        self, prompts: Sequence[str], *, stop: Sequence[str] = (), keep_stop: bool = False, rules: Sequence[Rule] = (),
        **options: Any,
    ) -> list[list[Written]]:  # fmt: skip
        """For each prompt its answers, with tokens, log-probabilities and reasons.

        stop: texts that end an answer, left out unless `keep_stop`. rules: edits of the scores, e.g. a grammar; they
        begin anew (`start`) with each batch. `options` are those of GenerateOptions, and one of json_schema, regex,
        choices and grammar: what the answer must match.
        """
        ids = self.prompts(prompts)
        return self.complete(ids, Ending(tuple(stop), keep_stop), self.asked(options, rules))

    def stream(
        self, prompt: str | Messages, *, stop: Sequence[str] = (), keep_stop: bool = False, rules: Sequence[Rule] = (),
        tools: Any = None, template_options: dict[str, Any] | None = None, **options: Any,
    ) -> Stream:  # fmt: skip
        """The answer to a prompt, or to a conversation, in pieces; closing the stream stops it."""
        if isinstance(prompt, str):
            tokens, asked = self.prompt(prompt), self.asked(options, rules)
        else:
            tokens, asked = self.question(prompt, tools, template_options), self.asked(options, rules, chat=True)
            stop = (*stop, *self.chat.stops)
        stream = TextStream(self.tokenizer, stop, keep_stop, self.before(tokens, asked))
        columns = generate(self.network, batch_of([tokens], self.network), asked.options, asked.rules)
        return Stream(columns, stream, asked.options.stop_tokens)

    def reply(
        self, messages: Messages, tools: Any = None, *, stop: Sequence[str] = (), keep_stop: bool = False,
        rules: Sequence[Rule] = (), template_options: dict[str, Any] | None = None, **options: Any,
    ) -> str:  # fmt: skip
        """The assistant's next message. `template_options` are the template's own variables."""
        tokens = self.question(messages, tools, template_options)
        ending = Ending((*stop, *self.chat.stops), keep_stop)
        text = self.complete([tokens], ending, self.asked(options, rules, chat=True))[0][0].text
        return text.strip() if self.chat.built_in == "plain" else text

    def score(self, texts: Sequence[str], sources: Sequence[str] | None = None) -> list[list[float]]:
        """For each text the log-probability of each of its tokens, the first that is only read left out.

        An encoder-decoder scores texts as answers to `sources`.
        """
        from penjing.model.batch import Batch

        found = []
        for number, text in enumerate(texts):
            tokens = torch.tensor([self.prompt(text) if sources is None else self.target(text)])
            batch = Batch(tokens)
            if sources is not None:
                batch = Batch(torch.tensor([self.prompt(sources[number])]), target=tokens)
            found.append(self.scored(batch, tokens))
        return found

    @torch.inference_mode()
    def scored(self, batch: Any, tokens: Tensor) -> list[float]:
        """The log-probabilities of tokens 1 T after the first."""
        batch.check(self.network.config)
        chances = self.network.logits(self.network(batch)).float().log_softmax(-1)
        return chances[0, :-1].gather(1, tokens[0, 1:, None])[:, 0].tolist()

    # ---- tokens to tokens ----

    def prompt(self, text: str) -> list[int]:
        """A text as what the network reads: an encoder the whole of it, a decoder without the sign of its end."""
        return self.prompts([text])[0]

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Many texts as what the network reads."""
        many = self.tokenizer.encode_many([text.encode("utf-8", "replace").decode("utf-8") for text in texts])
        if self.encoder_decoder:
            return [self.tokenizer.build(tokens) for tokens in many]
        begin = self.tokenizer.begin if self.tokenizer.begin is not None else self.tokenizer.end
        return [[*self.tokenizer.prefix, *tokens] or ([] if begin is None else [begin]) for tokens in many]

    def target(self, text: str) -> list[int]:
        """A text as a decoder beside an encoder reads it: after its start token, with the end."""
        begun = [one for one in (self.start, self.defaults.first) if one is not None]
        return [*begun, *self.tokenizer.encode(text), *self.stop_tokens[:1]]

    def question(
        self, messages: Messages, tools: Any = None, template_options: dict[str, Any] | None = None
    ) -> list[int]:
        """A conversation, open for the assistant's answer."""
        return self.chat.encode(messages, tools, add_generation_prompt=True, **(template_options or {}))

    def fitted(self, messages: Messages, room: int, tools: Any = None) -> tuple[list[Any], int]:
        """The conversation without its oldest turns, so that `room` tokens of the window are left for the answer."""
        if self.window is None:
            return list(messages), 0
        return fitted(self.chat, messages, self.window - room, tools)

    def options(self, given: dict[str, Any], chat: bool = False) -> GenerateOptions:
        """The options given over the checkpoint's own."""
        settled = self.defaults.settled(given)
        ends = self.chat.ends if chat else ()
        settled.setdefault("stop_tokens", without_repeats(self.stop_tokens, ends))
        if self.encoder_decoder:
            settled.setdefault("decoder_start", self.start)
        return GenerateOptions.read(settled)

    def asked(self, given: dict[str, Any], rules: Sequence[Rule] = (), chat: bool = False) -> Asked:
        """Options and rules as the loop takes them."""
        forms = {name: given[name] for name in FORMS if given.get(name) is not None}
        if len(forms) > 1:
            raise OptionError("P-OPTION-006", option=list(forms)[0], other=list(forms)[1])
        options = self.options({name: value for name, value in given.items() if name not in FORMS}, chat)
        found: list[Rule] = []
        if self.defaults.first is not None and self.encoder_decoder:
            found.append(Begin(self.defaults.first))
        if self.tokenizer.size < self.network.config.vocab_size:
            found.append(Within(self.tokenizer.size))
        for name, value in forms.items():
            found.append(self.form(name, value, options))
        return Asked(options, [*found, *rules], bool(forms))

    def form(self, name: str, value: Any, options: GenerateOptions) -> Rule:
        """The rule that makes answers match; what is compiled of the tokenizer is kept."""
        from penjing.generate.grammar import Grammar, GrammarRule, Vocabulary

        if options.stop_tokens not in self.vocabularies:
            self.vocabularies[options.stop_tokens] = Vocabulary(self.tokenizer, options.stop_tokens)
        grammar = getattr(Grammar, FORMS[name])(value, self.vocabularies[options.stop_tokens])
        return GrammarRule(grammar, options.max_new_tokens)

    def before(self, tokens: list[int], asked: Asked) -> list[int]:
        """What stands before an answer in the same text; what must match a form stands by itself."""
        return [] if self.encoder_decoder or asked.formed else tokens

    def complete(self, prompts: list[list[int]], ending: Ending, asked: Asked) -> list[list[Written]]:
        """The answers of prompts in tokens, those of like length together."""
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        found: dict[int, list[Written]] = {}
        for first in range(0, len(order), TOGETHER):
            rows = order[first : first + TOGETHER]
            part = [prompts[number] for number in rows]
            befores = [self.before(tokens, asked) for tokens in part]
            stops = Stops(self.tokenizer, ending, befores, asked.options.returns) if ending.stops else None
            answers = complete(self.network, part, asked.options, asked.rules, stops=stops)
            for number, before, several in zip(rows, befores, answers, strict=True):
                found[number] = [self.written(answer, ending, before) for answer in several]
        return [found[number] for number in range(len(prompts))]

    def written(self, answer: Any, ending: Ending, before: list[int]) -> Written:
        """An answer in text."""
        stream = TextStream(self.tokenizer, ending.stops, ending.keep, before)
        text = "".join(map(stream.push, answer.tokens)) + stream.finish()
        return Written(text, answer.tokens, answer.log_probabilities, answer.reason, stream.found, answer.score,
                       answer.top or None)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What one call asks of the loop."""

    options: GenerateOptions
    rules: list[Rule]
    formed: bool  # must the answer match something?


class Stream:
    """An iterator over the pieces of one answer. When it has ended, `reason` says why: "stop" or "length"."""

    def __init__(self, columns: Generator[Column, None, None], text: TextStream, stop_tokens: Sequence[int]):
        self.columns, self.text, self.stop_tokens = columns, text, stop_tokens
        self.reason: str | None = None
        self.pieces = self.run()

    def run(self) -> Iterator[str]:
        with contextlib.closing(self.columns):
            for column in self.columns:
                token, self.reason = column.tokens[0], column.reasons[0]
                piece = "" if token in self.stop_tokens else self.text.push(token)
                if self.text.found is not None:
                    self.reason = "stop"
                if piece:
                    yield piece
                if self.reason is not None:
                    break
        if piece := self.text.finish():
            yield piece

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        return next(self.pieces)

    def close(self) -> None:
        self.pieces.close()


@dataclass(frozen=True)
class Ending:
    """The texts that end an answer, and whether they stay in it."""

    stops: tuple[str, ...] = ()
    keep: bool = False


class Stops:
    """Does a row's text hold a stop string? Called with each new token; a row's tokens may change where beams do."""

    def __init__(self, tokenizer: Tokenizer, ending: Ending, befores: Sequence[Sequence[int]], returns: int):
        self.tokenizer, self.ending, self.befores, self.returns = tokenizer, ending, befores, returns
        self.rows: dict[int, tuple[list[int], TextStream]] = {}

    def __call__(self, row: int, tokens: list[int]) -> bool:
        seen, stream = self.rows.get(row, ([], None))
        if stream is None or seen != tokens[:-1]:
            stream = TextStream(self.tokenizer, self.ending.stops, before=self.befores[row // self.returns])
            seen = []
        for token in tokens[len(seen) :]:
            stream.push(token)
        self.rows[row] = (list(tokens), stream)
        return stream.found is not None


class Within(Rule):
    """No token that the tokenizer does not have: networks often have rows to spare."""

    def __init__(self, size: int):
        self.size = size

    def apply(self, scores: Tensor) -> Tensor:
        scores[:, self.size :] = -torch.inf
        return scores


class Begin(Rule):
    """Every answer begins with this token."""

    def __init__(self, token: int):
        self.token, self.begun = token, False

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        self.begun = False

    def apply(self, scores: Tensor) -> Tensor:
        if self.begun:
            return scores
        forced = torch.full_like(scores, -torch.inf)
        forced[:, self.token] = 0.0
        return forced

    def accept(self, tokens: Sequence[int]) -> None:
        self.begun = True
