"""Distillation: a student learns a task, and how its teacher solves it (Hinton et al. 2015, arXiv:1503.02531).

A task around a task: `{distil: {task: classify, teacher: FOLDER}}` is classification in all but how it is learnt, and a
model of plain classification is what is saved. The loss of a batch is

    hard · the task's own + soft · what the student says from what the teacher says + weight · the loss of each way

where ways compare what is inside the two networks (`distilling/`). The teacher reads each batch as the student does;
where it cuts texts otherwise, and the task answers for whole texts, it reads each text once by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError, PenjingError, TaskError, TrainError, raise_all
from penjing.base.options import Choice, check_options, chosen
from penjing.model.divergence import Divergence
from penjing.tasks import OBJECTIVES, USES, kind_of_task, made_task, said_of, task
from penjing.tasks.distilling import WAYS
from penjing.tasks.distilling.answers import own_answers, retold
from penjing.tasks.distilling.attention import Way as Attention
from penjing.tasks.distilling.copied import copied
from penjing.tasks.distilling.hidden import Way as Hidden
from penjing.tasks.distilling.relations import Way as Relations
from penjing.tasks.distilling.teacher import Teacher, check_same, heard_once
from penjing.tasks.distilling.watching import watching, widened
from penjing.tasks.distilling.way import Way
from penjing.tasks.text_task import TextTask

NUMBERS = ("regress", "embed", "reward")  # tasks whose answers are no choices: nothing is softened
Blocks = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Options of distillation."""

    task: Annotated[
        Choice, Field(description="what is learnt, with its options: classify, or {classify: {smoothing: 0.1}}")
    ]
    teacher: Annotated[
        Path, Field(description="a step or model folder; several models that answer as one may teach too")
    ]
    soft: Annotated[
        float, Field(ge=0, le=1, description="share of the teacher's scores in the loss; the rest is the labels'")
    ] = 0.5
    hard: Annotated[float | None, Field(ge=0, description="weight of the labels' own loss; left out: 1 - soft")] = None
    temperature: Annotated[float, Field(gt=0, description="by what both networks' scores are divided first")] = 2.0
    divergence: Annotated[
        Literal["forward", "reverse", "jsd"],
        Field(description="KL from the teacher; KL to the teacher; between the two (GKD, arXiv:2306.13649)"),
    ] = "forward"
    balance: Annotated[
        float | None, Field(gt=0, lt=1, description="jsd: the teacher's share in the mean; left out: 0.5")
    ] = None
    hidden: Annotated[
        Hidden | None, Field(description="learn hidden states: {}, or {measure: mse, layers: spread}")
    ] = None
    attention: Annotated[Attention | None, Field(description="learn attention: {}, or {measure: kl}")] = None
    relations: Annotated[
        Relations | None, Field(description="learn relations of queries, keys, values: {}, or {layer: 10}")
    ] = None
    copy: Annotated[
        Blocks | Annotated[list[Blocks], Field(min_length=1)] | None,
        Field(description="the student begins as the teacher with so many of its blocks, or with these, from 1"),
    ] = None
    targets: Annotated[
        Literal["own", "teacher"],
        Field(description="chat, seq2seq: answers that are learnt; teacher: what it writes (arXiv:1606.07947)"),
    ] = "own"
    on_policy: Annotated[
        float, Field(ge=0, le=1, description="chat, seq2seq: share of batches whose answers the student writes (GKD)")
    ] = 0.0
    once: Annotated[
        bool, Field(description="classify, regress, embed: the teacher reads each text once, before the first step")
    ] = False

    name: ClassVar[str] = "distil"

    @classmethod
    def around(cls, said, names):
        if "task" not in said:
            raise OptionError("P-OPTION-003", owner="task distil", option="task")
        name, inner = chosen(said["task"], names, "task")
        check_options(said_of(kind_of_task(name)), inner, f"task {name}", needed=False)
        return taught(kind_of_task(name))

    @classmethod
    def made(cls, records, **options):
        """The task inside as the records teach it, with a teacher."""
        how = cls(**options)
        name, said = chosen(how.task, (*OBJECTIVES, *USES), "task")
        raise_all(how.problems())
        inner = made_task(name, records, said)
        if getattr(inner, "rdrop", 0):
            raise TrainError("P-TRAIN-007", option="rdrop", needs="a task without a teacher")
        fields = {one.name: getattr(inner, one.name) for one in dataclasses.fields(inner)}  # type: ignore[arg-type]
        return taught(type(inner))(**fields, how=how)

    def problems(self):
        """Options without an effect, and tasks that cannot be learnt so."""
        name, _ = chosen(self.task, (*OBJECTIVES, *USES), "task")
        kind = kind_of_task(name)
        if kind.loss not in (task.Task.loss, TextTask.loss):
            return [TaskError("P-TASK-137", task=name)]
        found: list[PenjingError] = []
        usual = {"temperature": 2.0, "divergence": "forward", "balance": None, "on_policy": 0.0, "once": False}
        given = [one for one, value in usual.items() if getattr(self, one) != value]
        if not self.soft:
            found += [idle(one, "soft above 0") for one in given]
            if not self.ways and (self.targets == "own" or not self.of_labels):
                found.append(TaskError("P-TASK-150"))
        elif name in NUMBERS:
            found += [
                idle(one, "answers that are choices")
                for one in given
                if one in ("temperature", "divergence", "balance")
            ]
        if self.balance is not None and self.divergence != "jsd":
            found.append(idle("balance", "divergence: jsd"))
        if self.once and kind.same_tokens:
            found.append(idle("once", "classify, regress, embed"))
        if self.once and self.ways:
            found.append(OptionError("P-OPTION-006", option="once", other=self.ways[0].name))
        if kind.answered_with is task.Task.answered_with:
            found += [idle(one, "chat, seq2seq") for one, value in (("targets", "own"), ("on_policy", 0.0))
                      if getattr(self, one) != value]  # fmt: skip
        return found

    @property
    def of_labels(self) -> float:
        """The weight of the labels' own loss."""
        return 1 - self.soft if self.hard is None else self.hard

    @property
    def ways(self) -> list[Way]:
        """What else is learnt of the teacher."""
        return [way for way in (getattr(self, name) for name in WAYS) if way is not None]

    @property
    def wanted(self) -> frozenset[str]:
        """What is watched."""
        return frozenset(way.wanted for way in self.ways)

    @property
    def measure(self) -> Divergence:
        """How far scores are apart."""
        return Divergence(self.divergence, self.temperature, 0.5 if self.balance is None else self.balance)

    @cached_property
    def one(self) -> Teacher:
        """The teacher, shared by all copies of the task."""
        return Teacher(self.teacher)

    def __deepcopy__(self, memo: Any) -> Task:
        return self


def idle(option: str, needs: str) -> PenjingError:
    """An option that nothing would read."""
    return TrainError("P-TRAIN-007", option=option, needs=needs)


class Taught(task.Task):
    """What stands around the methods of a task that has a teacher. `how`: the options of distillation."""

    how: Task
    plain_kind: ClassVar[type[task.Task]]

    @classmethod
    def made(cls, records, **options):
        return Task.made(records, **options)

    @classmethod
    def look(cls, records, options):
        """As the task inside looks, at its own options."""
        raise_all(Task(**check_options(Task, options, "task distil")).problems())
        super().look(records, chosen(options["task"], [cls.name], "task")[1])

    # ---- the plain task ----

    @property
    def plain(self) -> Any:
        """The task without a teacher."""
        names = [one.name for one in dataclasses.fields(self.plain_kind)]  # type: ignore[arg-type]
        return self.plain_kind(**{name: getattr(self, name) for name in names})

    def validating(self):
        return self.plain.validating()

    def settled(self, model, records):
        """The student alone: the teacher and what was learnt to compare them are gone."""
        told = self.how.one.about() | {"soft": self.how.soft, "temperature": self.how.temperature}
        told |= {
            "ways": [way.name for way in self.how.ways],
            "targets": self.how.targets,
            "on_policy": self.how.on_policy,
        }
        model.lineage, model.companion = model.lineage | {"distil": told}, None
        return self.plain.settled(model, records)

    def record(self):
        found = super().record()
        return found | {"how": found["how"] | {"weights": self.how.one.digest}}

    # ---- the student ----

    @classmethod
    def brings(cls, said):
        return said.get("copy") is not None

    def begun(self, seed, **more):
        """A copy of the teacher with fewer blocks, if that is asked for."""
        if self.how.copy is None:
            return None
        return copied(self.how.one.single, self, self.how.copy, seed, **more)

    def inherits(self, before):
        """A copied student begins with its teacher's head, where both answer in the same order."""
        names = [name for name in ("labels", "tags") if hasattr(self, name)]
        alike = bool(names) and all(getattr(self, name) == getattr(before, name, None) for name in names)
        return super().inherits(before) or (self.how.copy is not None and alike and self.name == before.name)

    @classmethod
    def unheeded(cls, said, options):
        """What watches a network needs it computed whole, and as it is written."""
        if all(said.get(way) is None for way in WAYS):
            return []
        usual = {"compiled": False, "keep_states": None, "checkpointing": False}
        other = " ".join(way for way in WAYS if said.get(way) is not None)
        return [
            OptionError("P-OPTION-006", option=name, other=other)
            for name, value in usual.items()
            if options.get(name, value) != value
        ]

    def companion(self, config):
        """What the ways learn beside the student."""
        made = {way.name: way.module(config, self.how.one.single.network.config) for way in self.how.ways}
        found = nn.ModuleDict({name: module for name, module in made.items() if module is not None})
        return found if len(found) else None

    # ---- lessons ----

    def by_text(self, model: Any) -> bool:
        """Whether the teacher reads each text by itself, before training."""
        if not self.how.soft or self.same_tokens:
            return False
        return self.how.once or not self.how.one.same_tokens(model)

    def ready(self, model: Any) -> None:
        """Raise why this student cannot learn from this teacher."""
        how, teacher = self.how, self.how.one
        problems = teacher.unlike(self) if how.soft or how.targets == "teacher" else []
        if how.soft and getattr(self, "crf", False):
            problems.append(TaskError("P-TASK-141"))
        if how.ways or (how.soft and self.same_tokens):
            what = ", ".join(way.name for way in how.ways) or self.name
            check_same(self, teacher, model, what)
        for way in how.ways:
            problems += way.problems(model.network, teacher.single.network)
        if how.ways and any(map(widened, (model.network, teacher.single.network))):
            problems.append(TaskError("P-TASK-153", given=", ".join(way.name for way in how.ways)))
        raise_all(problems)

    def pieces(self, model, records, learn):
        return self.lessons(model, records, None) if learn else super().pieces(model, records, learn)

    def kept_pieces(self, model, records, file):
        return self.lessons(model, records, file)

    def lessons(self, model: Any, records: Sequence[Mapping[str, Any]], file: Path | None) -> Any:
        """The rows to learn from, with what the teacher says of them where it says it once."""
        self.ready(model)
        if self.how.targets == "teacher":
            records = retold(self.plain, self.how.one, records, file)
        found = super().pieces(model, records, True)
        if self.by_text(model):
            found.heard = heard_once(self.plain, self.how.one, records, file)
        return found

    def collate(self, pieces, rows, tokenizer, random):
        batch = super().collate(pieces, rows, tokenizer, random)
        if (heard := getattr(pieces, "heard", None)) is not None:
            batch.more = (batch.more or {}) | {"heard": torch.from_numpy(heard[batch.records])}
        return batch

    # ---- learning ----

    def loss(self, model, batch):
        """In training all that is learnt of labels and teacher; else the plain task's loss."""
        if not model.training:
            return super().loss(model, batch)
        how, own = self.how, batch
        drawn = bool(how.on_policy) and float(torch.rand(())) < how.on_policy
        if drawn:
            own = own_answers(model, batch)
        with watching(model.network, how.wanted) as mine:
            said = self.says(model, own)
        heard, theirs = self.hear(own, mine)
        total = said.new_zeros((), dtype=torch.float32)
        if how.soft:
            apart = self.apart(model, said, heard, own, how.measure)
            model.seen.add("from_teacher", apart[None] / max(1, own.label_count))
            total = total + (1 if drawn else how.soft) * apart
        if how.of_labels and not drawn:
            total = total + how.of_labels * self.loss_of(model, said, own)
        for way in how.ways:
            total = total + own.label_count * self.way_loss(way, model, mine, theirs)
        return total * (batch.label_count / max(1, own.label_count))

    @torch.no_grad()
    def hear(self, batch: Any, mine: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """What the teacher says of a batch, and what is seen inside it meanwhile."""
        how = self.how
        known = None if batch.more is None else batch.more.get("heard")
        if known is not None:
            return known, {}
        batch = dataclasses.replace(batch, below=None)  # the states there are the student's
        with ExitStack() as held:
            theirs = held.enter_context(watching(how.one.single.network, how.wanted)) if how.wanted else {}
            if how.soft:
                return self.hears(how.one.single, batch), theirs
            if how.wanted:
                how.one.single.network(next(iter(mine.values())).batch)
        return None, theirs

    def way_loss(self, way: Way, model: Any, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Tensor:
        """What a way adds to the loss of each label."""
        module = None if model.companion is None else dict(model.companion.items()).get(way.name)
        value = way.loss(mine, theirs, (model.network, self.how.one.single.network), module)
        model.seen.add(way.name, value[None])
        return way.weight * value


@cache
def taught(kind: type[task.Task]) -> type[Taught]:
    """The class of a task with a teacher beside it."""
    made = type("Task", (Taught, kind), {"__annotations__": {"how": Any}, "plain_kind": kind, "__module__": __name__})
    return dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(made)  # type: ignore[return-value]
