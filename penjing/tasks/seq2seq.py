"""Sequence to sequence: write the target, one token after the other, when the source was read (arXiv:1409.3215).

Translation, of one pair of languages or of several (a tag before the source names the target's language,
arXiv:1611.04558), and summaries. In training the decoder reads the true target, moved one place to the right after the
token it begins with (teacher forcing), and each place is asked for its next token.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import SHOWN, DataError, OptionError, TaskError, language, raise_all
from penjing.base.progress import tell
from penjing.base.readers.source import Record as FileRecord
from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.pieces import InMemory
from penjing.tasks.scores import bleu, chrf, rouge
from penjing.tasks.task import IGNORED, Vocabulary, labels_loss, padded, place_of, states_for
from penjing.tasks.two_sides import (
    SUMMARIES,
    Sides,
    drawn_more,
    in_our_form,
    pair_of,
    references_of,
    tag_of,
    whole_texts,
)  # fmt: skip
from penjing.text.language import language_of

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer

TAGGED = re.compile(r"\s*<2([\w-]+)>\s*")  # what a user may write before a text
LONGER = 1.5  # times the longest valid target: the most that is written
LOOKED_AT = 200  # targets that tell their language

Smoothing = Annotated[float, Field(ge=0, lt=1, description="label smoothing: share given to all tokens alike")]
Mixing = Annotated[float, Field(ge=1, description="temperature at which pairs of languages are drawn; 1: as they are")]
Beams = Annotated[int, Field(ge=1, description="answers followed at once; 1: the likeliest token each time")]
LengthPenalty = Annotated[float, Field(description="above 0 favours long answers (with beams)")]
Most = Annotated[int | None, Field(ge=1, description="most tokens of an answer; left out: by the valid targets")]
NoRepeat = Annotated[int, Field(ge=0, description="no run of so many tokens comes twice in an answer; 0: may")]
Stemmer = Annotated[bool, Field(description="ROUGE compares English stems")]
Watch = Annotated[Literal["loss", "score"], Field(description="what of the valid records chooses the best weights")]
WatchRecords = Annotated[int, Field(ge=1, description="valid records answered for `watch: score`")]
Languages = Annotated[
    list[str] | Literal["auto"] | None,
    Field(description="target languages told apart by a tag; auto: those of the records"),
]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(Vocabulary, task.Task):
    """Options of sequence to sequence. The first four are found in the training records."""

    summaries: Annotated[bool, Field(description="targets are summaries, measured by ROUGE")] = False
    language: Annotated[str | None, Field(description="of targets that do not say; BLEU cuts words by it")] = None
    languages: Annotated[list[str] | None, Field(description="target languages told apart by a tag")] = None
    pairs: Annotated[list[str], Field(description="pairs of languages that have scores of their own")] = Field(
        default_factory=list
    )
    smoothing: Smoothing = 0.0
    mixing: Mixing = 1.0
    beams: Beams = 4
    length_penalty: LengthPenalty = 1.0
    max_new_tokens: Most = None
    no_repeat_ngram: NoRepeat = 0
    stemmer: Stemmer = False
    watch: Watch = "loss"
    watch_records: WatchRecords = 200

    name: ClassVar[str] = "seq2seq"
    purpose: ClassVar[str] = "seq2seq"
    needs: ClassVar[tuple[str, ...]] = ("source",)
    taught: ClassVar[tuple[str, ...]] = ("target",)
    typed: ClassVar[tuple[str, ...]] = ("source",)
    scale: ClassVar[float] = 1.0  # BLEU, chrF and ROUGE are told in points already

    @classmethod
    def made(
        cls, records: Sequence[task.Record], *, languages: Languages = None, smoothing: Smoothing = 0.0,
        mixing: Mixing = 1.0, beams: Beams = 4, length_penalty: LengthPenalty = 1.0, max_new_tokens: Most = None,
        no_repeat_ngram: NoRepeat = 0, stemmer: Stemmer = False, watch: Watch = "loss", watch_records: WatchRecords = 200,
    ) -> Task:  # fmt: skip
        """Whether these are summaries, and which languages there are, is found in the records."""
        said = {name: value for name, value in locals().items() if name not in ("cls", "records", "languages")}
        summaries = bool(records) and any(name in records[0] for name in SUMMARIES)
        counts = Counter(str(record["target_lang"]) for record in records if record.get("target_lang"))
        known = sorted(counts) if languages == "auto" else languages
        pairs = sorted({pair_of(record) for record in records}) if known is not None else []
        if known is None and len(counts) > 1:
            text = f"the targets are in {len(counts)} languages ({', '.join(sorted(counts))}), which no tag tells apart"
            tell("warning", "finetune", text)
        usual = {"stemmer": False} if not summaries else {}
        usual |= {"mixing": 1.0} if len(pairs) < 2 else {}
        usual |= {"watch_records": 200} if watch == "loss" else {}
        usual |= {"length_penalty": 1.0} if beams == 1 else {}
        needed = {
            "stemmer": "summaries",
            "mixing": "languages",
            "watch_records": "watch: score",
            "length_penalty": "beams > 1",
        }
        raise_all([OptionError("P-OPTION-005", option=n, other=needed[n]) for n, u in usual.items() if said[n] != u])
        language = counts.most_common(1)[0][0] if counts else guessed(records)
        return cls(summaries, language, known, pairs if len(pairs) > 1 else [], **said)

    @property
    def main_score(self) -> str:  # type: ignore[override]
        """The score that a model is judged by."""
        return "rouge_l" if self.summaries else "bleu"

    @property
    def baselines(self) -> tuple[str, ...]:  # type: ignore[override]
        """The classical models of the task."""
        return ("lead",) if self.summaries else ("phrase_translation", "translation_memory")

    # ---- from records to batches ----

    @classmethod
    def normal(cls, record):
        return in_our_form(record)

    @classmethod
    def look(cls, records, options):
        """The first records may all be of one pair of languages, so what is said of several is not looked at."""
        found = [cls.normal(record) for record in records]
        said = {name: value for name, value in options.items() if name not in ("languages", "mixing")}
        cls.made(found, **said).check(found, learn=True)

    def suits(self, tokenizer):
        lacking = [one for one in self.languages or () if tag_of(tokenizer, self.languages, one) is None]
        if lacking:
            raise TaskError("P-TASK-071", given=", ".join(lacking), count=len(self.languages))

    def check(self, records, learn):
        problems: list[DataError] = []
        count = 0
        for number, record in enumerate(records):
            for code, values in self.wrong(record, learn):
                count += 1
                if len(problems) <= SHOWN:
                    problems.append(DataError(code, **values, **place_of(record, number)))
        raise_all(problems + problems[-1:] * (count - len(problems)))

    def wrong(self, record: task.Record, learn: bool) -> list[tuple[str, dict[str, Any]]]:
        """What is wrong with a record: codes and values."""
        found: list[tuple[str, dict[str, Any]]] = []
        for name in self.needs + (self.taught if learn else ()):
            value = record.get(name)
            if value is None:
                found.append(("P-TASK-009", {"field": name, "given": sorted(record), "count": 1}))
            elif not isinstance(value, str):
                found.append(("P-DATA-021", {"field": name, "given": value}))
            elif learn and not value.strip():
                found.append(("P-TASK-070", {"field": name}))
        given = record.get("references")
        if learn and given is not None and not (isinstance(given, list | tuple) and given and all(map(is_text, given))):
            found.append(("P-TASK-073", {"field": "references", "given": given}))
        if self.languages is not None and record.get("target_lang") not in self.languages:
            told = {"field": "target_lang", "given": record.get("target_lang"), "known": self.languages}
            found.append(("P-TASK-072", told))
        return found

    def pieces(self, model, records, learn):
        cutter = model.tokenizer
        sources = [np.asarray(ids, np.int32) for ids in cutter.encode_many(whole_texts(records, "source"))]
        if self.languages is not None:
            tags = {one: tag_of(cutter, self.languages, one) for one in self.languages}
            sources = [np.concatenate([[tags[record["target_lang"]]], ids]).astype(np.int32)
                       for record, ids in zip(records, sources, strict=True)]  # fmt: skip
        answers, chosen = None, None
        if learn:
            answers = self.targets(model, records)
            mixed = self.mixing > 1 and len(self.pairs) > 1
            chosen = drawn_more([pair_of(record) for record in records], self.mixing) if mixed else None
        found = Sides(InMemory(sources), answers, cutter, model.window, chosen)
        if found.cut:
            share = 100 * found.cut / len(records)
            text = f"{found.cut} sources ({share:.1f} %) are longer than {found.room} tokens: cut at the end"
            tell("warning", "finetune" if learn else "answer", text, cut=found.cut)
        return found

    def targets(self, model, records: Sequence[task.Record]) -> InMemory:
        """The targets in tokens with the end; what is too long for the network is told."""
        cutter, room = model.tokenizer, model.window
        ids = cutter.encode_targets(whole_texts(records, "target"))
        ends = len(ended([], cutter))
        long = sum(len(one) + ends > room for one in ids)
        if long:
            share = 100 * long / len(records)
            text = f"{long} targets ({share:.1f} %) are longer than {room} tokens: cut at the end"
            tell("warning", "finetune", text, cut=long)
        return InMemory([ended(one[: max(1, room - ends)], cutter) for one in ids])

    def answered_with(self, record, answer):
        if not answer["text"].strip():
            return None
        fields = {name: value for name, value in record.items() if name != "references"} | {"target": answer["text"]}
        return FileRecord(fields, getattr(record, "file", None), getattr(record, "line", None))

    def collate(self, pieces, rows, tokenizer, random):
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        batch = Batch(tokens=tokens, mask=mask, records=pieces.records(rows))
        if pieces.answers is None:
            return batch
        batch.target, batch.target_mask = padded([pieces.target(int(row)) for row in rows], tokenizer.pad)
        batch.labels = batch.target.clone()
        if batch.target_mask is not None:
            batch.labels[~batch.target_mask] = IGNORED
        return batch

    # ---- learning ----

    def validating(self):
        return dataclasses.replace(self, smoothing=0.0, mixing=1.0)

    def says(self, model, batch):
        return states_for(model.network(delayed(batch, model.network.config.decoder_start)), batch)

    def loss_of(self, model, said, batch):
        return labels_loss(model, said, batch, self.smoothing if model.training else 0.0)

    def watched(self, model, records):
        if self.watch == "loss":
            return None
        numbers = np.linspace(0, len(records) - 1, min(len(records), self.watch_records)).astype(int)
        some = [records[number] for number in numbers]  # all along: a file may be sorted by languages
        return self.score(self.answer(model, some), some)[self.main_score]

    def settled(self, model, records):
        """How much may be written, by the longest target of the valid records."""
        if self.max_new_tokens is not None or not records:
            return self
        longest = int(self.targets(model, records).lengths.max())
        return dataclasses.replace(self, max_new_tokens=min(model.window, int(LONGER * longest) + 8))

    # ---- answers and scores ----

    def answer(self, model, records, batch_tokens=4096):
        from penjing.tasks.writing import written

        return written(self, model, records, batch_tokens)

    def generation(self, model):
        from penjing.tasks.writing import said

        return said(self, model)

    def statistics(self, answers, records):
        """The counts of BLEU and chrF, once for all and once for each pair of languages; or those of ROUGE."""
        texts, wanted = [one["text"] for one in answers], [references_of(record) for record in records]
        if self.summaries:
            return np.asarray(
                [rouge.counts(text, some, self.stemmer) for text, some in zip(texts, wanted, strict=True)]
            )
        cutters = {name: bleu.cut(name) for name in set(self.cutters(records))}
        rows = zip(texts, wanted, self.cutters(records), strict=True)
        each = np.asarray([bleu.counts(t, some, cutters[name]) + chrf.counts(t, some) for t, some, name in rows], float)
        own = np.asarray([[pair_of(record) == pair for pair in self.pairs] for record in records], float)
        blocks = [each] + [each * own[:, place, None] for place in range(len(self.pairs))]
        return np.concatenate(blocks, axis=1)

    def scores(self, sums):
        if self.summaries:
            found = rouge.score(sums)
            return {name: found[name] for name in ("rouge_l", "rouge1", "rouge2")}
        blocks = dict(zip(["", *self.pairs], np.split(sums, 1 + len(self.pairs), axis=-1), strict=True))
        there = {name: block for name, block in blocks.items() if not name or block.any()}  # pairs that are measured
        cut = bleu.COUNTS
        found = {"_".join(filter(None, ("bleu", name))): bleu.score(one[..., :cut]) for name, one in there.items()}
        return found | {"_".join(filter(None, ("chrf", n))): chrf.score(one[..., cut:]) for n, one in there.items()}

    def cutters(self, records: Sequence[task.Record]) -> list[str]:
        """How BLEU cuts the words of each record's target."""
        names = [str(record.get("target_lang") or self.language or "") for record in records]
        known = {name: bleu.cutter_name(name) for name in sorted(set(names))}
        return [known[name] for name in names]

    def notes(self, records):
        """The signatures of the scores."""
        counts = {len(references_of(record)) for record in records}
        references = counts.pop() if len(counts) == 1 else 0
        if self.summaries:
            words = "Latin words and Chinese characters" + (", English stems" if self.stemmer else "")
            return {"rouge": f"F1 as rouge-score 0.1.2, {words}, best of {references or 'several'} references"}
        used = sorted(set(self.cutters(records)))
        return {"bleu": " ".join(bleu.signature(name, references) for name in used), "chrf": chrf.signature(references)}

    def item(self, texts):
        if len(texts) != 1:
            raise TaskError("P-TASK-110", task=self.name, fields="source", given=len(texts))
        found, known = TAGGED.match(texts[0]), self.languages or []
        if found and found[1] in known:
            return {"source": texts[0][found.end() :], "target_lang": found[1]}
        return {"source": texts[0]} | ({"target_lang": known[0]} if len(known) == 1 else {})

    def lines(self, record, answer):
        """The source and below it what was written."""
        source = " ".join(record["source"].split())
        first, second = SIDES[language()][self.summaries]
        second = second if self.summaries else record.get("target_lang") or second
        wide = max(len(first), len(second))
        yield [(f"{first:<{wide}}  ", "dim"), (source if len(source) <= 200 else source[:199] + "…", "")]
        yield [(f"{second:<{wide}}  ", "dim"), (answer["text"], "strong")]


SIDES = {  # what the two sides are called: of a translation, of a summary
    "en": (("source", "target"), ("text", "summary")),
    "zh": (("原文", "译文"), ("原文", "摘要")),
}


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def guessed(records: Sequence[task.Record]) -> str | None:
    """zh, where most targets are Chinese."""
    some = [record["target"] for record in records[:LOOKED_AT] if is_text(record.get("target"))]
    return "zh" if sum(language_of(text) in ("zh", "mixed") for text in some) * 2 > len(some) else None


def ended(tokens: Sequence[int], tokenizer: Tokenizer) -> np.ndarray:
    """An answer with the tokenizer's special tokens, and its end token in any case: how else would writing stop?"""
    built = tokenizer.build(tokens)
    closed = tokenizer.end is None or tokenizer.end in tokenizer.suffix
    return np.asarray(built if closed else [*built, tokenizer.end], dtype=np.int32)


def delayed(batch: Batch, start: int | None) -> Batch:
    """The batch with its target one place later, after `start`; None: after each target's own last token (mBART)."""
    reads = Batch(batch.target, batch.target_mask).shifted(start)
    return Batch(batch.tokens, batch.mask, target=reads.target, target_mask=batch.target_mask, records=batch.records)
