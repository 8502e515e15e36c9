"""Facts for the tests of advice: toy records that suit every task, and facts of any size by hypothesis."""

import dataclasses
from pathlib import Path

from hypothesis import strategies as st

from penjing.base.records import write_records
from penjing.recipe.advice_evidence import Trial
from penjing.recipe.advice_facts import Curve, Facts, Given, Machine
from penjing.recipe.columns import RAW
from penjing.recipe.looking import KNOWN_TASKS, Data

FILES = {"train": "train.jsonl", "valid": "valid.jsonl", "test": "test.jsonl"}
EVERY = {  # a record that every task can learn from
    "text": "Ann lives in Bern.", "text_b": "Ann has a flat in Bern.", "score": 4.0, "label": "place", "labels": ["place"],
    "tokens": ["Ann", "lives"], "tags": ["B-PER", "O"], "context": "Ann lives in Bern.", "question": "Where does Ann live?",
    "answers": [{"text": "Bern", "start": 13}], "source": "Ann lives.", "target": "Ann lebt.",
    "messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "In Bern."}],
    "prompt": "What is 1 + 1?", "answer": "2", "chosen": "It is 2.", "rejected": "No idea.",
}  # fmt: skip


def folder_for_every_task(place: Path) -> Path:
    """A folder with train, valid and test that any recipe may name, and one that stands for a checkpoint."""
    for name in FILES.values():
        write_records(place / name, [EVERY | {"text": f"Text {n}.", "label": "ab"[n % 2]} for n in range(4)])
    (place / "checkpoint").mkdir(exist_ok=True)
    return place


def data(place=Path("toy"), task="classify", records=6000, length=60, labels=None, files=None, **more) -> Data:
    """Data of one task; `length`: characters of each text."""
    chosen = {"text": "text"} if task in ("classify", "regress", *RAW) else {}
    chosen |= {"label": "label"} if task in ("classify", "regress") else {}
    counted = {"a": 3000, "b": 3000} if labels is None and task in ("classify", "tag") else labels or {}
    lengths = more.pop("lengths", (length,) * 20)
    languages = more.pop("languages", {"en": 20})
    return Data(place, "jsonl", "utf-8", ("text",), records, task, labels=counted, languages=languages, lengths=lengths,
                files=files or {}, sample=("a text",), **chosen | more)  # fmt: skip


def facts(given=None, minutes=None, curve=None, changes=(), memory=16.0, rate=100.0, trials=(), **more) -> Facts:
    """Facts around such data."""
    return Facts(data(**more), Machine(2, memory, "", rate), minutes, given, curve, changes, trials)


def checkpoint(
    place=Path("toy"),
    family="bert",
    able=True,
    parameters=22_000_000,
    unknown=0.0,
    window=512,
    writes=False,
    talks=False,
) -> Given:
    """A checkpoint at hand."""
    return Given(place / "checkpoint", family, able, parameters, parameters // 2, window, 4.2, unknown, writes, talks)


TRIALS = (
    Trial("full", 22_000_000, 2.0, 1000, 0.900, 0.004, 1e-4),
    Trial("lora", 74_000, 1.5, 600, 0.896, 0.004, 1e-3),
    Trial("head alone", 800, 0.5, 400, 0.820, 0.004, 3e-3),
)
PAIRED, JUDGED = {"pairs": 300, "longer": 150}, {"good": 300, "bad": 100}
CHECKED = {"task": "reinforce", "verifier": "arithmetic", "answered": 3, "answers": (40, 300)}
CURVE = Curve((50, 100, 200), (0.6, 0.7, 0.8), "accuracy")
FLAT = dataclasses.replace(CURVE, scores=(0.8, 0.8, 0.8))


def any_facts(place: Path):
    """Facts of any kind about the records of `folder_for_every_task`."""
    counts = st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 10**5), min_size=2)
    splits = st.sampled_from([FILES, {"train": "train.jsonl"}, {"train": "train.jsonl", "test": "test.jsonl"}])
    lengths = st.lists(st.integers(1, 10**5), min_size=1, max_size=30).map(sorted).map(tuple)
    languages = st.dictionaries(st.sampled_from(["en", "zh", "mixed", "other"]), st.integers(1, 500), min_size=1)
    seen = st.builds(
        data, place=st.just(place),
        task=st.sampled_from(KNOWN_TASKS),
        records=st.integers(1, 60) | st.integers(1, 10**7), labels=counts,
        files=splits, lengths=lengths, languages=languages, several=st.booleans(), gaps=st.integers(0, 3),
        conflicts=st.integers(0, 500), answers=st.tuples(st.integers(0, 9), st.integers(0, 500)),
    ).map(tidy)  # fmt: skip
    model = st.builds(
        checkpoint, place=st.just(place), able=st.booleans(), parameters=st.integers(10**4, 10**10),
        unknown=st.floats(0, 1), window=st.none() | st.integers(16, 4096), writes=st.booleans(), talks=st.booleans(),
    )  # fmt: skip
    return st.builds(
        Facts, seen, st.builds(Machine, st.integers(1, 64), st.floats(1, 512), st.just(""), st.just(0.0) | st.floats(1, 5000)),
        st.none() | st.floats(0.01, 10**4), st.none() | model, st.sampled_from([None, CURVE, FLAT]),
        st.sampled_from([(), ("lora", "freeze")]), st.sampled_from([(), TRIALS]),
    )  # fmt: skip


def tidy(seen: Data) -> Data:
    """What only some tasks have: labels, sides, what can check."""
    own = {
        "preference": {"sides": PAIRED},
        "reward": {"sides": PAIRED},
        "reinforce": {"verifier": "arithmetic", "answered": 1},
    }
    seen = dataclasses.replace(seen, **own.get(seen.task, {}))
    if seen.task == "classify":
        return seen
    return dataclasses.replace(seen, several=False, labels=seen.labels if seen.task == "tag" else {})
