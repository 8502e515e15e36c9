"""Tagging: a tag for each token of a text; entities, slots, parts of speech, word boundaries.

Each token is asked at one of its pieces: the first one, or the last one where the network only reads ahead. With `crf`
the likeliest sequence of tags of the whole document is chosen by learnt scores of steps (Lafferty et al. 2001); without,
by the same search with steps that are only allowed or not. So no answer breaks its scheme, and windows cut no entity.

B rows, M tokens asked for in a row, C tags, L tokens of a document
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence, Set
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import DataError, OptionError, raise_all
from penjing.base.progress import tell
from penjing.model import crf as chains
from penjing.model.batch import Batch
from penjing.model.head import ClassHead
from penjing.tasks import tag_records, tag_scores, task
from penjing.tasks.altered import by_name
from penjing.tasks.batches import Batches
from penjing.tasks.pieces import InMemory
from penjing.tasks.tag_altered import AlteredTags
from penjing.tasks.tag_pieces import TagPieces, encoded
from penjing.tasks.task import IGNORED, Line, Record, named, padded
from penjing.tasks.text_task import Augmented
from penjing.text import tagging
from penjing.text.tagging import Scheme, joined, keeps_to_iob1, parsed, scheme_of, spans, strays, tag_names

CELLS = 4_000_000  # numbers of one search for the best sequences


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Options of tagging."""

    tags: Annotated[list[str], Field(min_length=1, description="all tags, in order")]
    scheme: Annotated[Scheme, Field(description="how tags spell entities; none: each tag is a class of tokens")] = "bio"
    crf: Annotated[bool, Field(description="learn scores of steps from tag to tag")] = False
    smoothing: Annotated[float, Field(ge=0, lt=1, description="label smoothing, without crf")] = 0.0
    token_dropout: Annotated[float, Field(ge=0, lt=1, description="share of pieces hidden in training")] = 0.0
    stride: Annotated[int | None, Field(ge=0, description="pieces that two windows share; null: half a window")] = None
    augment: Augmented = None

    name: ClassVar[str] = "tag"
    purpose: ClassVar[str] = "tag"
    needs: ClassVar[tuple[str, ...]] = ("tokens",)
    taught: ClassVar[tuple[str, ...]] = ("tags",)
    main_score: ClassVar[str] = "f1"
    baselines: ClassVar[tuple[str, ...]] = ("tag_dictionary", "tag_linear")
    vocabulary: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.crf and self.smoothing:
            raise OptionError("P-TASK-055")

    @classmethod
    def made(
        cls, records: Sequence[Record], *,
        scheme: Annotated[
            Literal["auto", "bio", "iob1", "bioes", "none"],
            Field(description="how the model's tags spell entities; auto: bioes or bio as the records, none for classes"),
        ] = "auto",
        crf: Annotated[bool, Field(description="learn scores of steps from tag to tag")] = False,
        smoothing: Annotated[float, Field(ge=0, lt=1, description="label smoothing, without crf")] = 0.0,
        token_dropout: Annotated[float, Field(ge=0, lt=1, description="share of pieces hidden in training")] = 0.0,
        stride: Annotated[int | None, Field(ge=0, description="pieces that two windows share; null: half a window")] = None,
        augment: Augmented = None,
    ) -> Task:  # fmt: skip
        """The task for the tags of these records."""
        found = [cls.normal(record) for record in records]
        raise_all(list(tag_records.problems(found, learn=True)))
        lists = [record["tags"] for record in found]
        chosen = scheme_of(tag for tags in lists for tag in tags) if scheme == "auto" else scheme
        if chosen == "none":
            types = {tag for tags in lists for tag in tags}
        else:
            wrong = {tag for tags in lists for tag in tags if parsed(tag) is None}
            raise_all([DataError("P-TASK-053", given=tag, known=("O", "B-…", "I-…")) for tag in sorted(wrong)])
            types = {span.type for tags in lists for span in spans(tags)}
            tell_strays(sum(map(strays, lists)), set(map(keeps_to_iob1, lists)))
        if not types:
            raise DataError("P-TASK-050", count=len(records))
        return cls(tag_names(types, chosen), chosen, crf, smoothing, token_dropout, stride, augment)

    @property
    def types(self) -> list[str]:
        """The types of entities; of the scheme `none` the tags."""
        if self.scheme == "none":
            return list(self.tags)
        return sorted({kind for mark, kind in map(parsed, self.tags) if mark != "O"})  # type: ignore[misc]

    @property
    def rules(self) -> chains.Chain:
        """The scores of steps that the scheme alone gives: 0, or FORBIDDEN."""
        parts = tagging.allowed(self.tags, self.scheme)
        return chains.Chain(*(torch.from_numpy(np.where(part, 0.0, chains.FORBIDDEN)) for part in parts))

    def config(self):
        return named(self.tags)

    # ---- records and batches ----

    @classmethod
    def normal(cls, record):
        return tag_records.normal(record)

    @classmethod
    def look(cls, records, options):
        raise_all(list(tag_records.problems([cls.normal(record) for record in records], learn=True)))

    def check(self, records, learn):
        raise_all(list(tag_records.problems(records, learn, self.tags, self.scheme)))

    def spelled(self, record: Record) -> list[str]:
        """The tags of a record in the scheme of the task."""
        return tag_records.spelled(record, self.scheme)

    def head(self, config, style):
        return ClassHead(config.width, len(self.tags), style, self.crf)

    def pieces(self, model, records, learn):
        found = self.windows(model, records, learn)
        if learn and self.augment is not None:
            rows = [(record["tokens"], self.spelled(record)) for record in records]
            found.altered = AlteredTags(self.augment, rows, self.scheme, lambda drawn: self.windows(model, drawn, True))
        if found.cut:
            text = f"{found.cut} of {len(records)} texts are longer than {found.room} pieces: read in windows"
            tell("note", "finetune" if learn else "answer", text, cut=found.cut)
        return found

    def windows(self, model: Any, records: Sequence[Record], learn: bool) -> TagPieces:
        """The pieces of records as they are."""
        documents, asked = encoded(records, model.tokenizer, last=model.network.config.encoder_layers == 0)
        number = {tag: i for i, tag in enumerate(self.tags)}
        labels = [np.asarray([number[tag] for tag in self.spelled(r)], np.int64) for r in records] if learn else None
        return TagPieces(InMemory(documents), asked, model.tokenizer, model.window, self.stride, labels)

    def collate(self, pieces, rows, tokenizer, random):
        read, numbers = pieces, rows
        if random is not None and pieces.altered is not None:
            read, numbers = pieces.altered.rows(pieces, rows, random)
        tokens, mask = padded([read.tokens(int(row)) for row in numbers], tokenizer.pad)
        if self.token_dropout and random is not None:
            self.drop_tokens(tokens, tokenizer, random)
        batch = Batch(tokens=tokens, mask=mask, records=pieces.records(rows))
        batch.places = padded([read.places(int(row)) for row in numbers], 0)[0]
        if pieces.labels is not None:
            batch.labels = padded([read.labels_of(int(row)) for row in numbers], IGNORED)[0]
            batch.weights = torch.tensor(
                [read.whole(int(row)) for row in numbers]
            )  # does the document begin, end here?
        return batch

    def validating(self):
        return dataclasses.replace(self, token_dropout=0.0, smoothing=0.0, augment=None)

    def record(self):
        return by_name(super().record())

    def drop_tokens(self, tokens: Tensor, tokenizer: Any, random: np.random.Generator) -> None:
        """Hide some pieces, special ones excepted, behind the mask token or, without one, the unknown token."""
        hidden = tokenizer.mask if tokenizer.mask is not None else tokenizer.unknown
        ids = tokens.numpy()
        chosen = (random.random(ids.shape) < self.token_dropout) & ~np.isin(ids, list(tokenizer.special))
        ids[chosen] = tokenizer.pad if hidden is None else hidden

    # ---- what the network says ----

    def emissions(self, model: Any, batch: Batch) -> Tensor:
        """Scores B M C of the tokens asked for, float32."""
        return model.head(model.network(batch), batch).float()

    def says(self, model, batch):
        return self.emissions(model, batch)

    def loss_of(self, model, said, batch):
        if not self.crf:
            return F.cross_entropy(
                said.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, label_smoothing=self.smoothing,
                reduction="sum",
            )  # fmt: skip
        lengths = (batch.labels != IGNORED).sum(1)
        return chains.loss(said, batch.labels, lengths, self.chain(model), batch.weights).float()

    def hears(self, teacher, batch):
        """The log-odds of the tags of each token; of a teacher with a CRF the logarithms of its chances."""
        if self.crf:
            raise OptionError("P-TASK-141")
        scores = teacher.task.emissions(teacher, batch)
        if teacher.task.crf:
            lengths = (batch.labels != IGNORED).sum(1)
            scores = chains.marginals(scores, lengths, teacher.task.chain(teacher)).clamp(min=1e-12).log()
        return scores[..., [teacher.task.tags.index(tag) for tag in self.tags]]

    def apart(self, model, said, theirs, batch, divergence):
        kept = batch.labels != IGNORED
        return divergence(said[kept], theirs[kept]).sum()

    def chain(self, model: Any) -> chains.Chain:
        """The scores of steps: what the scheme allows, and what was learnt."""
        rules = chains.Chain(*(part.to(model.head.output.weight.device) for part in self.rules))
        return model.head.crf.chain(rules) if self.crf else rules

    @torch.inference_mode()
    def scored(self, model: Any, records: Sequence[Record], batch_tokens: int) -> list[Tensor]:
        """Scores L C of each record's tokens, each from the window where it stands best."""
        model.eval()
        pieces = self.pieces(model, records, learn=False)
        found = [torch.zeros(len(asked), len(self.tags)) for asked in pieces.asked]
        for rows in Batches(pieces.lengths, batch_tokens, 0, shuffle=False).epoch(0):
            scores = self.emissions(model, self.collate(pieces, rows, model.tokenizer, None)).cpu()
            for row, piece in zip(scores, rows.tolist(), strict=True):
                first, last = int(pieces.first[piece]), int(pieces.last[piece])
                found[int(pieces.owner[piece])][first:last] = row[: last - first]
        return found

    def chain_here(self, model: Any) -> chains.Chain:
        """The same, where sequences are searched."""
        return chains.Chain(*(part.detach().cpu() for part in self.chain(model)))

    def answer(self, model, records, batch_tokens=4096):
        scores = self.scored(model, records, batch_tokens)
        return best_sequences(self, records, scores, self.chain_here(model), marginal=self.crf)

    def together(self, models, records, batch_tokens=4096):
        from penjing.tasks.tag_together import together

        return together(self, models, records, batch_tokens)

    # ---- scores and print ----

    def statistics(self, answers, records):
        types, pairs = self.types, zip(records, answers, strict=True)
        rows = [tag_scores.counts(self.spelled(r), a["tags"], types, self.scheme) for r, a in pairs]
        return np.asarray(rows, dtype=np.float64).reshape(-1, 3 * len(types) + 2)

    def scores(self, sums):
        return tag_scores.scores(sums, self.types)

    def watched(self, model, records):
        return float(self.scores(self.statistics(self.answer(model, records), records).sum(0))["f1"])

    def truth(self, record: Record) -> str:
        """The lines of the right answer."""
        tags = self.spelled(record)
        right = answered(record, tags, [1.0] * len(tags), self.scheme)
        return "\n".join("".join(text for text, _ in parts) for parts in self.lines(record, right))

    def lines(self, record: Record, answer: Record) -> Iterator[Line]:
        """The text, each entity in brackets and in its colour, with its type; of the scheme `none` each token with its tag."""
        written = "offsets" in record or "tokens" not in record
        text, places = (record["text"], None) if written else joined(answer["tokens"])
        if self.scheme == "none":
            places = places or record.get("offsets") or tagging.cut(text)
            marked = [(*place, tag) for place, tag in zip(places, answer["tags"], strict=True)]
        else:
            marked = [
                (*((e["start"], e["end"]) if places is None else (places[e["start"]][0], places[e["end"] - 1][1])), e["type"])
                for e in answer["entities"]
            ]  # fmt: skip
        numbers, parts, end = {kind: i for i, kind in enumerate(self.types)}, [], 0
        for start, stop, kind in marked:
            name = [("[", "dim"), (text[start:stop], f"label.{numbers[kind]}"), (f" {kind}]", "dim")]
            parts += [(text[end:start], ""), *name]
            end = stop
        yield from by_line([*parts, (text[end:], "")])


def of_others(tags: list[str]) -> dict[str, Any]:
    """The task of a token classifier that others made, by the names of its labels."""
    scheme = scheme_of(tags)
    begun = {kind for mark, kind in filter(None, map(parsed, tags)) if mark == "B"}
    if scheme == "bio" and any(kind not in begun for mark, kind in filter(None, map(parsed, tags)) if mark == "I"):
        scheme = "iob1"  # an entity may begin with I-
    return {"task": "tag", "tags": tags, "scheme": scheme}


def tell_strays(count: int, iob1: Set[bool | None]) -> int:
    """Say once how many tags go on where nothing was open, and return it; in IOB1 that is how an entity begins.

    iob1: what `keeps_to_iob1` says of the records.
    """
    if not count or (True in iob1 and False not in iob1):
        return 0
    text = f"{count} tags I- or E- follow no tag of their type; each is read as the beginning of an entity"
    tell("warning", "tag", text, strays=count)
    return count


@torch.no_grad()
def best_sequences(
    task: Task, records: Sequence[Record], scores: Sequence[Tensor], chain: chains.Chain, marginal: bool
) -> list[dict[str, Any]]:
    """The answers to records by the scores L C of their tokens. marginal: chances are those of the whole chain."""
    found = [answered(record, [], [], task.scheme) for record in records]
    for rows, block, lengths in blocks(scores, len(task.tags)):
        best = chains.best(block, lengths, chain)
        sure = chances_in(block, lengths, chain, marginal).gather(2, best[:, :, None])[:, :, 0].tolist()
        for row, numbers, chance, length in zip(rows, best.tolist(), sure, lengths.tolist(), strict=True):
            tags = [task.tags[number] for number in numbers[:length]]
            found[row] = answered(records[row], tags, chance, task.scheme)
    return found


def chances_in(block: Tensor, lengths: Tensor, chain: chains.Chain, marginal: bool) -> Tensor:
    """The probability of each tag at each token, B L C float64."""
    return chains.marginals(block, lengths, chain) if marginal else block.double().softmax(-1)


def blocks(scores: Sequence[Tensor], tags: int) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Sequences of like length as one tensor B L C: their numbers, their scores, their lengths."""
    for rows in alike([len(one) for one in scores], tags):
        lengths = torch.tensor([len(scores[row]) for row in rows])
        yield rows, torch.nn.utils.rnn.pad_sequence([scores[row] for row in rows], batch_first=True), lengths


def alike(lengths: Sequence[int], tags: int) -> Iterator[list[int]]:
    """Numbers of sequences of like length that are searched together; empty ones are left out."""
    held: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if held and (len(held) + 1) * lengths[number] * tags * tags > CELLS:
            yield held
            held = []
        if lengths[number]:
            held.append(number)
    if held:
        yield held


def answered(record: Record, tags: list[str], chances: Sequence[float], scheme: Scheme) -> dict[str, Any]:
    """Tokens, tags and entities of one record. An entity's score is the least probability of its tags; its place counts
    characters where the record is a text, else tokens."""
    tokens, offsets = list(record["tokens"]), record.get("offsets")
    found: list[dict[str, Any]] = []
    for span in spans(tags) if scheme != "none" else ():
        place = (span.start, span.end) if offsets is None else (offsets[span.start][0], offsets[span.end - 1][1])
        text = joined(tokens[span.start : span.end])[0] if offsets is None else record["text"][place[0] : place[1]]
        score = min(chances[span.start : span.end], default=1.0)
        found.append({"type": span.type, "start": place[0], "end": place[1], "text": text, "score": float(score)})
    return {"tokens": tokens, "tags": tags, "entities": found}


def by_line(parts: Sequence[tuple[str, str]]) -> Iterator[Line]:
    """Parts of a text as lines: what stands on both sides of a line break is on two lines."""
    line: Line = []
    for text, style in parts:
        first, *rest = text.split("\n")
        line.append((first, style))
        for more in rest:
            yield [part for part in line if part[0]]
            line = [(more, style)]
    yield [part for part in line if part[0]]
