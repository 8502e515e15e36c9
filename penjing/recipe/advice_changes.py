"""The rules about what of a checkpoint is trained: all of it, a part, or a few numbers beside it, and how fast.

Where the ways were measured side by side (`TRIALS` of `advice_evidence.py`), the table decides: of the ways that this machine
and the minutes allow, those whose interval meets the best one's; of these, for few records the one with the fewest trained
parameters, for more records than were tried the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penjing.recipe.advice import Advice, Topic, say
from penjing.recipe.advice_evidence import PREFERRED, TRIED_EPOCHS, TRIED_RECORDS, WAYS, Trial, paper, tried
from penjing.recipe.advice_facts import Facts
from penjing.recipe.advice_text import Text
from penjing.recipe.columns import RAW
from penjing.recipe.looking import COMPARED

HANDFUL = 200  # records, too few to move a whole checkpoint
TABLED = ("classify", "regress", "tag")  # tasks like the one that was tried: an encoder with a small head
ALL_RATES = {"embed": 2e-5, "preference": 5e-6, "reward": 2e-5, "reinforce": 3e-5}  # where all weights are trained
USUAL_RATE, LOW_RANK_RATE, HEAD_RATE = 5e-5, 3e-4, 3e-3


@dataclass(frozen=True)
class Chosen:
    """What is trained, and how fast."""

    change: object  # as the option has it; None: all weights
    rate: float
    trial: Trial | None = None  # that it was chosen by
    best: Trial | None = None  # beside it


def step_taught(f: Facts) -> str:
    """The step that trains a checkpoint."""
    return "pretrain" if f.data.task in RAW else "reinforce" if f.data.task == "reinforce" else "finetune"


def chosen(f: Facts) -> Chosen:
    """What of the checkpoint is trained for these facts."""
    task = f.data.task
    usual = ALL_RATES.get(task, USUAL_RATE)
    if task in RAW:
        return Chosen(None, 1e-4)
    if (found := by_trials(f)) is not None:
        return found
    if "lora" in f.changes and (task in (*COMPARED, "reinforce") or f.need > f.machine.memory):
        return Chosen({"lora": {"rank": 8}}, LOW_RANK_RATE)
    if "freeze" in f.changes and task in ("classify", "tag") and f.data.records < HANDFUL:
        return Chosen({"freeze": {"top": 0}}, HEAD_RATE)
    return Chosen(None, usual)


def by_trials(f: Facts) -> Chosen | None:
    """The way that the table of trials speaks for; None where it says nothing of such data."""
    known = [one for one in f.trials if name_of(WAYS[one.way]) in (None, *f.changes)]
    full = next((one for one in known if WAYS[one.way] is None), None)
    if full is None or f.data.task not in TABLED:
        return None
    fitting = [one for one in known if fits(f, one, full)]
    if not fitting:
        return None
    best = max(fitting, key=lambda one: one.score)
    near = [one for one in fitting if one.score + one.half >= best.score - best.half]
    few = f.data.records <= TRIED_RECORDS
    taken = min(near, key=lambda one: one.trained) if few else best
    return Chosen(WAYS[taken.way], taken.rate, taken, best)


def name_of(change: object) -> str | None:
    """The name of a change, as it stands in an option."""
    return next(iter(change)) if isinstance(change, Mapping) else None if change is None else str(change)


def fits(f: Facts, one: Trial, full: Trial) -> bool:
    """Do memory and minutes allow it, counted from what all weights need and took in the trials?"""
    minutes = f.epoch_minutes
    late = (
        f.minutes is not None
        and minutes is not None
        and minutes * TRIED_EPOCHS * one.minutes > f.minutes * full.minutes
    )
    return not late and f.need * one.memory <= f.machine.memory * full.memory


def trained(f: Facts, rule: str, because: str, evidence: Any, **values: Any) -> Advice:
    """An advice of this topic: the change stands in the recipe if there is one."""
    change = chosen(f).change
    sets = {} if change is None else {f"{step_taught(f)}.change": change}
    return say(f, rule, because, evidence, sets, **values)


# ---- the rules ----


def measured_change(f: Facts) -> Advice | None:
    if f.start and not f.prompted and (one := chosen(f)).trial and one.best:
        return trained(f, "measured_change", "records given memory", tried(one.trial, one.best), way=one.trial.way,
                       trained=f"{one.trial.trained:,}", rate=one.rate)  # fmt: skip
    return None


def low_rank_of_checkpoint(f: Facts) -> Advice | None:
    if f.start and f.data.task in (*COMPARED, "reinforce") and chosen(f).change:
        evidence = PREFERRED if f.data.task == "preference" else paper("Hu et al. 2021")
        return trained(f, "low_rank_of_checkpoint", "given memory", evidence)
    return None


def part_of_checkpoint(f: Facts) -> Advice | None:
    if f.start and f.need > f.machine.memory and chosen(f).change:
        return trained(f, "part_of_checkpoint", "given memory", paper("Hu et al. 2021"))
    return None


def head_of_checkpoint(f: Facts) -> Advice | None:
    if f.start and not f.prompted and chosen(f).change:
        return trained(f, "head_of_checkpoint", "records given", paper("Howard & Ruder 2018"))
    return None


def all_of_checkpoint(f: Facts) -> Advice | None:
    if f.start and not f.prompted:
        return trained(f, "all_of_checkpoint", "records given memory", paper("Devlin et al. 2019"))
    return None


CHANGING = (
    Topic(
        "change",
        Text("What of it do I train?", "训练其中哪些部分？"),
        (measured_change, low_rank_of_checkpoint, part_of_checkpoint, head_of_checkpoint, all_of_checkpoint),
    ),
)
