"""The rules about answers that are compared, judged or checked: preference, a reward model, reinforcement."""

from __future__ import annotations

from penjing.recipe.advice import Advice, say
from penjing.recipe.advice_changes import chosen
from penjing.recipe.advice_evidence import COUNTED, PREFERRED, TAUGHT_SUMS, paper
from penjing.recipe.advice_facts import OPERATIONS, REACHED, Facts
from penjing.recipe.looking import COMPARED

ANSWERED = 0.1  # share of the measured rate that answering is counted with: it reads all weights for each token
PROMPTS, GROUP = 32, 16  # of a step
SEEN = 10  # times that each prompt is answered
LONGER = 0.65  # share of pairs from which the longer answer wins too often
THINKING = 128  # tokens of an answer that may work its sum out


# ---- which way ----


def began(f: Facts, step: str) -> dict[str, object]:
    """The checkpoint as an option, if there is one."""
    return {f"{step}.model": f.start.folder.as_posix()} if f.start else {}


def better_answers(f: Facts) -> Advice | None:
    if f.data.task == "preference" and f.data.sides.get("pairs") and f.start and f.start.talks:
        sets = {**began(f, "finetune"), "finetune.task.preference.method": "dpo", "finetune.task.preference.beta": 0.1}
        return say(f, "better_answers", "pairs given", PREFERRED, sets)
    return None


def better_answers_anew(f: Facts) -> Advice | None:
    if f.data.task == "preference" and f.data.sides.get("pairs"):
        sets = {**began(f, "finetune"), "finetune.task.preference.method": "orpo"}
        return say(
            f, "better_answers_anew", "pairs given" if f.start else "pairs none", paper("Hong et al. 2024"), sets
        )
    return None


def good_answers(f: Facts) -> Advice | None:
    if f.data.task == "preference":
        sets = {**began(f, "finetune"), "finetune.task.preference.method": "kto"}
        because = "judged given" if f.start else "judged none"
        return say(f, "good_answers", because, paper("Ethayarajh et al. 2024"), sets)
    return None


def judge(f: Facts) -> Advice | None:
    if f.data.task == "reward":
        because = "pairs given" if f.start else "pairs none"
        return say(f, "judge", because, paper("Ouyang et al. 2022"), began(f, "finetune"))
    return None


def checked_answers(f: Facts) -> Advice | None:
    if f.data.task == "reinforce" and f.start:
        sets = {**began(f, "reinforce"), "reinforce.reward": f.data.verifier, "reinforce.method": "grpo"}
        return say(f, "checked_answers", "checked given", TAUGHT_SUMS, sets, reward=f.data.verifier)
    return None


def examples_first(f: Facts) -> Advice | None:
    if f.data.task == "reinforce":
        sets: dict[str, object] = {
            "finetune.task": "chat",
            "reinforce.reward": f.data.verifier,
            "reinforce.method": "grpo",
        }
        return say(f, "examples_first", "checked none", TAUGHT_SUMS, sets, reward=f.data.verifier)
    return None


WAYS_OF_ANSWERS = (better_answers, better_answers_anew, good_answers, judge, checked_answers, examples_first)


# ---- how long ----


def room_for_answer(f: Facts) -> int:
    """Tokens of an answer, its end included."""
    if f.data.verifier == "arithmetic" and f.start and f.start.talks:
        return THINKING
    return max(8, -(-(f.data.answered + 4) // 8) * 8)


def step_minutes(f: Facts, prompts: int) -> float | None:
    """An estimate of one step: answers are made, then learnt from; None where the machine was not measured."""
    if not f.machine.rate or f.given is None:
        return None
    tokens = prompts * GROUP * (f.data.tokens(0.5) + room_for_answer(f))
    work = f.given.working * tokens * (OPERATIONS / REACHED + 2 / ANSWERED)
    return work / (f.machine.rate * 1e9) / 60


def rounds(f: Facts) -> dict[str, object]:
    """The options of reinforcement: so many rounds that each prompt is answered some times, or that the minutes hold."""
    prompts = max(1, min(PROMPTS, f.data.records))
    steps = min(1000, max(100, round(SEEN * f.data.records / prompts)))
    each = step_minutes(f, prompts) if f.start else None
    if f.minutes is not None and each:
        steps = min(4000, max(1, round(f.minutes / each)))
    told = {"steps": steps, "prompts": prompts, "group": GROUP, "max_new_tokens": room_for_answer(f),
            "learning_rate": chosen(f).rate if f.start else 1e-4, "schedule": "linear"}  # fmt: skip
    return {f"reinforce.{name}": value for name, value in told.items()}


def rounds_of_answers(f: Facts) -> Advice | None:
    if f.data.task != "reinforce" or not f.start:
        return None
    sets = rounds(f)
    minutes = step_minutes(f, int(str(sets["reinforce.prompts"])))
    told = {name: sets[f"reinforce.{name}"] for name in ("steps", "prompts", "group", "max_new_tokens")}
    because = "records checked minutes machine" if f.minutes is not None else "records checked machine"
    total = "?" if minutes is None else f"{max(1.0, minutes * int(str(told['steps']))):.0f}"
    return say(f, "rounds_of_answers", because, TAUGHT_SUMS, sets, total=total, **told)


# ---- against learning too much ----


def longer_answers(f: Facts) -> Advice | None:
    sides = f.data.sides
    if f.start and f.data.task in COMPARED and sides.get("longer", 0) > LONGER * max(1, sides.get("pairs", 0)):
        return say(f, "longer_answers", "pairs", paper("Singhal et al. 2023"))
    return None


def slow_preference(f: Facts) -> Advice | None:
    if f.data.task == "preference" and f.start:
        return say(f, "slow_preference", "pairs" if f.data.sides.get("pairs") else "judged", PREFERRED)
    return None


def watched_rewards(f: Facts) -> Advice | None:
    if f.data.task == "reinforce" and f.start:
        return say(f, "watched_rewards", "checked splits", TAUGHT_SUMS)
    return None


# ---- judgements, length, splits ----


def both_judgements(f: Facts) -> Advice | None:
    good, bad = f.data.sides.get("good", 0), f.data.sides.get("bad", 0)
    if f.data.task != "preference" or not good or not bad:
        return None
    heavier, weight = ("undesirable", good / bad) if good > bad else ("desirable", bad / good)
    sets: dict[str, object] = {f"finetune.task.preference.{heavier}": round(weight, 2)} if weight > 4 / 3 else {}
    told = f"{heavier} {weight:.2f}" if sets else "1 : 1"
    return say(f, "both_judgements", "judged", paper("Ethayarajh et al. 2024"), sets, told=told)


def room_in_rounds(f: Facts) -> Advice | None:
    if f.data.task == "reinforce" and f.start:
        return say(f, "room_in_rounds", "longer checked", COUNTED, most=room_for_answer(f))
    return None


def valid_by_hand(f: Facts) -> Advice | None:
    if f.data.task == "reinforce" and f.start and "valid" not in f.data.files:
        return say(f, "valid_by_hand", "splits repeats", COUNTED)
    return None
