"""A generative model as a classifier without training: it is shown examples, and asked how likely each label is.

writer = Writer.load("runs/stories/pretrain/model")
examples = [{"text": "thank you", "label": "praise"}, {"text": "late again", "label": "complaint"}]
Prompted(writer, ["complaint", "praise"], Form.named("label"), examples, Drawn(...), shots=2).answer(["very late"])

calibration  contextual  divided by what the labels get where the text says nothing (Zhao et al. 2021, arXiv:2102.09690)
             pmi         divided by what they get without text and examples (Holtzman et al. 2021, arXiv:2104.08315)

Shapes: N records, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from penjing.base.errors import TaskError
from penjing.base.progress import tell
from penjing.base.texts import Item, check_list, two_texts
from penjing.generate.scoring import likelihoods
from penjing.tasks import task_named
from penjing.tasks.label_words import LabelWords, parted
from penjing.tasks.writer import Writer
from penjing.text.prompts import Form
from penjing.text.shots import Chooser

Calibration = Literal["none", "contextual", "pmi"]
Normalise = Literal["none", "tokens", "bytes"]
EMPTY = ("N/A", "", "[MASK]")  # texts that say nothing, those of Zhao et al.
APART = 8  # prompts with the same examples from which these are read apart
DIGITS = 5  # scores that differ less are equal, and the first label is taken: batches may not decide

Record = Mapping[str, Any]


class Prompted:
    """A classifier that is a writer, a form and examples. `.answer(records)`, `.probabilities(records)` as a trained one.

    shots: examples in a prompt, chosen by `chooser` among `examples`. words: how labels are written (left out: their
    names, with spaces for underscores). normalise: by what a label's log-probability is divided. chat: the examples are
    turns of a conversation. Raises P-SHOT-003 to -010.
    """

    def __init__(
        self, writer: Writer, labels: Sequence[str], form: Form, examples: Sequence[Record] = (),
        chooser: Chooser | None = None, *, shots: int = 0, words: Mapping[str, str] | None = None,
        calibration: Calibration = "none", normalise: Normalise = "none", chat: bool = False, batch_tokens: int = 4096,
    ):  # fmt: skip
        if shots and (chooser is None or shots > len(examples)):
            raise TaskError("P-SHOT-007", given=shots, most=len(examples) if chooser else 0)
        if chat and writer.encoder_decoder:
            raise TaskError("P-SHOT-010")
        self.writer, self.labels, self.form = writer, list(labels), form
        self.examples, self.chooser, self.shots = examples, chooser, shots
        self.calibration, self.normalise, self.chat, self.batch_tokens = calibration, normalise, chat, batch_tokens
        self.task = task_named("classify", labels=self.labels)
        self.words = LabelWords.of(writer, self.labels, words or {}, self.before_label())
        self.shown: dict[int, tuple[str, int]] = {}  # number of an example: its text, its tokens
        self.facts: dict[str, float] = {}  # of the last answers: how many examples were shown, what was left out

    several = False

    # ---- answers ----

    def answer(self, records: Sequence[Item], batch_tokens: int | None = None) -> list[dict[str, Any]]:
        """One dict a record: label, probability, probabilities."""
        return self.task.answers(self.probabilities(records, batch_tokens))  # type: ignore[attr-defined]

    def probabilities(self, records: Sequence[Item], batch_tokens: int | None = None) -> np.ndarray:
        """Probabilities N L (float64) of texts, pairs of texts, or records."""
        check_list(records)
        asked = [dict(zip(("text", "text_b"), two_texts(record), strict=True)) for record in records]
        if not asked:
            return np.zeros((0, len(self.labels)))
        self.task.check(asked, learn=False)
        self.batch_tokens = batch_tokens or self.batch_tokens
        prompts, kept = self.fitted(asked)
        scores = self.scores(prompts, kept)
        if self.calibration == "pmi":
            scores = scores - self.premise
        if self.calibration == "contextual":
            empty = self.of_nothing(list(dict.fromkeys(kept)))
            scores = scores - np.log([empty[examples] for examples in kept])
        return softmax((scores - scores.max(1, keepdims=True)).round(DIGITS))

    def scores(self, prompts: Sequence[Sequence[int]], kept: Sequence[tuple[int, ...]]) -> np.ndarray:
        """What each label gets after each prompt, N L: its log-probability, divided by its length if that is asked for."""
        found = np.zeros((len(prompts), len(self.labels)))
        for rows in groups(kept):
            some = likelihoods(
                self.writer.network, [prompts[row] for row in rows], [self.words.tokens] * len(rows),
                start=self.words.start, batch_tokens=self.batch_tokens,
            )  # fmt: skip
            found[rows] = [[one.total for one in labels] for labels in some]
        return found / self.words.sizes(self.normalise)

    @cached_property
    def premise(self) -> np.ndarray:
        """What each label gets where only the template's words before it stand, L."""
        if not self.form.tail.strip():
            raise TaskError("P-SHOT-009", given=self.form.example)
        text, _ = self.text_of_messages([{"role": "user", "content": self.form.tail.strip()}]) if self.chat else (
            self.form.tail.strip(), "")  # fmt: skip
        return self.scores(self.encode([text]), [()])[0]

    def of_nothing(self, kept: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], np.ndarray]:
        """The probabilities L of the labels where the text says nothing, after each of these choices of examples."""
        blank = [{"text": text, "text_b": text if self.form.pairs else None} for text in EMPTY]
        owners = [examples for examples in kept for _ in blank]
        prompts = self.encode([self.prompt(record, examples) for examples in kept for record in blank])
        fits = [row for row, one in enumerate(prompts) if self.room is None or len(one) <= self.room]
        chances = softmax(self.scores([prompts[row] for row in fits], [owners[row] for row in fits]))
        found: dict[tuple[int, ...], list[np.ndarray]] = {}
        for row, chance in zip(fits, chances, strict=True):
            found.setdefault(owners[row], []).append(chance)
        return {examples: np.mean(some, axis=0) for examples, some in found.items()}

    # ---- prompts ----

    def prompt(self, record: Record, examples: Sequence[int] = ()) -> str:
        """The prompt of a record with these examples, up to its label."""
        if self.chat:
            shown = [(self.examples[number], self.word_of(number)) for number in examples]
            return self.text_of_messages(self.form.messages(record, shown, self.words.words))[0]
        shown = [self.example(number)[0] for number in examples]
        return parted(self.form.joined(self.form.open(record)[0], shown, self.words.words))[0]

    def example(self, number: int) -> tuple[str, int]:
        """An example as it is shown, and how many tokens that takes."""
        if number not in self.shown:
            before, after = self.form.open(self.examples[number])
            text = before + self.word_of(number) + after
            self.shown[number] = text, len(self.writer.tokenizer.encode(text))
        return self.shown[number]

    def word_of(self, number: int) -> str:
        """The label of an example as it is written."""
        return self.words.word(str(self.examples[number]["label"]))

    def text_of_messages(self, messages: Sequence[Mapping[str, str]]) -> tuple[str, str]:
        """A conversation up to what the assistant says next, and the space before that."""
        last = {"role": "assistant", "content": "x"}
        text = self.writer.chat.render([*messages, last], continue_final_message=True)
        return parted(text.removesuffix("x"))

    def before_label(self) -> tuple[str, str]:
        """The last characters of every prompt, and the space between them and a label."""
        if self.chat:
            text, space = self.text_of_messages([{"role": "user", "content": self.form.tail or "?"}])
            return text[-12:], space
        return parted(self.form.tail)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Prompts as the network reads them."""
        if self.chat:
            return self.writer.tokenizer.encode_many(texts)
        return self.writer.prompts(texts)

    # ---- the window ----

    @property
    def room(self) -> int | None:
        """The most tokens of a prompt; None: no end."""
        if self.writer.window is None or self.writer.encoder_decoder:
            return self.writer.window
        return self.writer.window - max(map(len, self.words.tokens)) + 1

    def fitted(self, records: Sequence[Record]) -> tuple[list[list[int]], list[tuple[int, ...]]]:
        """The prompts in tokens, and the examples in each: as many as fit, the first left out first; this is told."""
        chosen = self.chooser.choose(records, self.shots) if self.chooser else [()] * len(records)
        kept, room = list(chosen), self.room
        tokens = self.encode([self.prompt(*one) for one in zip(records, kept, strict=True)])
        long = [row for row, one in enumerate(tokens) if room is not None and len(one) > room and kept[row]]
        while long and room is not None:
            for row in long:
                kept[row] = self.fewer(kept[row], len(tokens[row]) - room)
                tokens[row] = self.encode([self.prompt(records[row], kept[row])])[0]
            long = [row for row in long if len(tokens[row]) > room and kept[row]]
        cut = [row for row, one in enumerate(tokens) if room is not None and len(one) > room]
        for row in cut:
            tokens[row] = self.cut(records[row], room or 0)
        self.say(chosen, kept, len(cut), room)
        return tokens, kept

    def fewer(self, examples: tuple[int, ...], excess: int) -> tuple[int, ...]:
        """The examples without the first ones, which take about `excess` tokens."""
        first = 0
        while first < len(examples) and (excess > 0 or not first):
            excess -= self.example(examples[first])[1]
            first += 1
        return examples[first:]

    def cut(self, record: Record, room: int) -> list[int]:
        """The prompt without examples, its longer text cut at the end until it fits."""
        texts = dict(record)
        while len(tokens := self.encode([self.prompt(texts)])[0]) > room:
            name = max(("text", "text_b"), key=lambda one: len(texts[one] or ""))
            text = texts[name] or ""
            if not text:
                raise TaskError("P-SHOT-008", given=len(tokens), most=room)
            texts[name] = text[: len(text) - max(1, len(text) * (len(tokens) - room) // (2 * len(tokens)))]
        return tokens

    def say(self, chosen: Sequence[Sequence[int]], kept: Sequence[Sequence[int]], cut: int, room: int | None) -> None:
        """Tell what did not fit, and keep the numbers."""
        fewer = sum(len(one) < len(other) for one, other in zip(kept, chosen, strict=True))
        mean = sum(map(len, kept)) / len(kept)
        self.facts = {"examples": round(mean, 2), "with_fewer": fewer, "cut": cut}
        if fewer:
            text = f"{fewer} of {len(kept)} prompts with {self.shots} examples are longer than {room} tokens: " \
                   f"the first examples are left out ({mean:.1f} are shown on average)"  # fmt: skip
            tell("warning", "fewshot", text, **self.facts)
        if cut:
            text = f"{cut} of {len(kept)} texts are longer than {room} tokens even without examples: cut at the end"
            tell("warning", "fewshot", text, **self.facts)


def groups(kept: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Rows with the same examples together, where there are some of them; all others are one group."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, examples in enumerate(kept):
        rows.setdefault(examples, []).append(row)
    many = [some for some in rows.values() if len(some) >= APART]
    few = [row for some in rows.values() if len(some) < APART for row in some]
    return [*many, *([few] if few else [])]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Scores N L to probabilities."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
