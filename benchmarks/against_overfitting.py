"""What helps against overfitting on a few hundred records: each option alone, from the same base, over several seeds.

    python benchmarks/against_overfitting.py --data DIR [--records 300] [--seeds 5] [--model FOLDER] [--vectors FILE]

DIR holds train.* and test.* with text and label (without test.*, a part of train is tested on). Each seed draws its own
training records, the same for all options, and the network's chance. Without --model the base is a small BERT that is
first pre-trained on the texts of train, labels unused. The score is accuracy on the same test records for all; an
interval is Student's over the seeds, and a difference is paired with the plain run of the same seed. No seed is begun
that would not end within --minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.stats import t as student

PLAIN = {"dropout": 0.0, "head_dropout": 0.0, "weight_decay": 0.0}
THREADS = 1  # such small steps gain nothing from a second one
HELD = 5  # one record of so many is held out where the best weights are chosen


def options(vectors: Path | None, synonyms: Path | None) -> dict[str, dict]:
    """What each run does otherwise than the plain one."""
    task = {
        "label smoothing 0.1": {"smoothing": 0.1}, "token dropout 0.15": {"token_dropout": 0.15},
        "cut-off 0.15": {"cut_off": 0.15}, "delete 0.1": {"augment": {"delete": {"share": 0.1}}},
        "swap 0.1": {"augment": {"swap": {"share": 0.1}}},
    }  # fmt: skip
    files = {"neighbours": vectors, "synonyms": synonyms}
    task |= {f"{way} 0.1": {"augment": {way: {"file": file}}} for way, file in files.items() if file}
    loop = {
        "dropout 0.1": {"dropout": 0.1}, "dropout 0.3": {"dropout": 0.3}, "head dropout 0.5": {"head_dropout": 0.5},
        "weight decay 0.1": {"weight_decay": 0.1}, "average of weights 0.3": {"average": 0.3},
        "best of 10 validations": {"validate_times": 10}, "patience 2": {"validate_times": 10, "patience": 2},
        "R-Drop 1, dropout 0.1": {"dropout": 0.1, "task": {"rdrop": 1.0}},
        "R-Drop 5, dropout 0.1": {"dropout": 0.1, "task": {"rdrop": 5.0}},
        "smaller network": {"small": True}, "pairs of labels first": {"pairs": True},
    }  # fmt: skip
    most = {"dropout": 0.1, "weight_decay": 0.1, "average": 0.3}
    most["task"] = {
        "smoothing": 0.1,
        "token_dropout": 0.15,
        "augment": {"swap": {"share": 0.1}, "delete": {"share": 0.1}},
    }
    return {"plain": {}} | loop | {name: {"task": said} for name, said in task.items()} | {"several together": most}


def data(folder: Path, tested: int) -> tuple[list, list]:
    """Training and test records, each text once, of the same labels."""
    from penjing.train.prepare import records_of

    found = {record["text"].strip(): record for record in records_of(folder, "train")}
    test = {record["text"].strip(): record for record in records_of(folder, "test")}
    chance = np.random.default_rng(0)
    train = [record for text, record in found.items() if text not in test]
    if not test:
        train = [train[row] for row in chance.permutation(len(train))]
        return train[tested:], train[:tested]
    held = list(test.values())
    return train, [held[row] for row in np.sort(chance.permutation(len(held))[:tested])]


def drawn(train: list, count: int, seed: int) -> list:
    """Records by chance, each label at least once."""
    order = np.random.default_rng([7, seed]).permutation(len(train))
    first = {str(train[row]["label"]): row for row in reversed(order)}
    rest = [row for row in order if row not in set(first.values())]
    return [train[row] for row in [*first.values(), *rest][: max(count, len(first))]]


def base(texts: list[str], minutes: float, layers: int, width: int, place: Path):
    """A BERT that has read the texts."""
    from penjing.model.size import fresh_config
    from penjing.tasks import task_named
    from penjing.tasks.model import Model
    from penjing.text.token_file import cached_token_file
    from penjing.text.tokenizer_training import train_tokenizer
    from penjing.train.fit import FitOptions, fit

    cutter, task = train_tokenizer(texts, kind="wordpiece", size=4096), task_named("masked", whole_words=True)
    config = fresh_config("bert", vocab_size=-(-cutter.size // 64) * 64, width=width, layers=layers, max_tokens=128,
                          dropout=0.1, purpose="masked", pad=cutter.pad)  # fmt: skip
    model = Model.new(config, "bert", task, cutter, 0)
    whole = cached_token_file(place, texts, cutter, source="texts", word_starts=True)
    how = FitOptions(minutes=minutes, batch_tokens=4096, learning_rate=1e-3, validate_times=0, measure_seconds=5)
    fit(model, task.raw_pieces(whole, cutter, model.window), None, how, place / f"base{width}", what="base")
    return model


def by_pairs(start, records: list, seed: int, rate: float):
    """The base after one epoch of pairs of texts that have one label, or two (SetFit's first half)."""
    from penjing.tasks import made_task
    from penjing.text.label_pairs import label_pairs
    from penjing.train.fit import FitOptions, fit

    pairs = label_pairs(records, 5, np.random.default_rng([8, seed]))
    task = made_task("embed", pairs, {"objective": "cosine"})
    model = start.with_task(task, seed, dropout=0.0)
    how = FitOptions(epochs=1, batch_tokens=1024, learning_rate=rate, validate_times=0, seed=seed, dtype="float32",
                     measure_seconds=0, threads=THREADS)  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        fit(model, task.pieces(model, pairs, True), None, how, Path(place), what="pairs")
    return model


def trained(start, records: list, test: list, said: dict, seed: int, epochs: float, rate: float) -> float:
    """The accuracy on test of one run."""
    from penjing.tasks import made_task
    from penjing.train.fit import FitOptions, fit

    said = PLAIN | said
    task = made_task("classify", records, said.pop("task", {}))
    said.pop("small", None)
    start = by_pairs(start, records, seed, rate) if said.pop("pairs", False) else start
    model = start.with_task(task, seed, dropout=said.pop("dropout"), head_dropout=said.pop("head_dropout"))
    count = len(records) // HELD if "validate_times" in said else 0
    valid, records = records[-count:] if count else [], records[: len(records) - count]
    pieces = task.pieces(model, records, True)
    held = task.validating().pieces(model, valid, True) if valid else None
    usual = {
        "epochs": epochs, "batch_tokens": 512, "learning_rate": rate, "schedule": "linear", "warmup": 0.1, "seed": seed,
        "validate_times": 0, "dtype": "float32", "measure_seconds": 0, "threads": THREADS,
    }  # fmt: skip
    how = FitOptions(**usual | said)
    with tempfile.TemporaryDirectory() as place:
        fit(model, pieces, held, how, Path(place), what="run", score=lambda one: one.task.watched(one, valid))
    return model.task.score(model.eval().answer(test), test)["accuracy"]


def classical(records: list, test: list) -> dict[str, float]:
    """The accuracy of the linear models on the same records."""
    from penjing.evaluate.baselines import fit_baselines

    labels = sorted({str(record["label"]) for record in records})
    truth = [str(record["label"]) for record in test]
    found = {}
    for name, model in fit_baselines(records, None, labels, ("tfidf", "nb_ngrams")).items():
        found[name] = float(np.mean([a["label"] == t for a, t in zip(model.answer(test), truth, strict=True)]))
    return found


def interval(values: list[float]) -> dict[str, float]:
    """Mean and Student's 95 % interval."""
    mean, count = float(np.mean(values)), len(values)
    half = float(student.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5) if count > 1 else float("nan")
    return {"value": mean, "low": mean - half, "high": mean + half}


def table(scores: dict[str, list[float]]) -> list[dict]:
    """A row for each option: its score, and its paired difference to the plain run."""
    rows = []
    for name, values in scores.items():
        rows.append({"option": name, "scores": values, "score": interval(values)})
        if name != "plain":
            rows[-1]["difference"] = interval([a - b for a, b in zip(values, scores["plain"], strict=True)])
    return rows


def show(rows: list[dict]) -> None:
    """The table in points of a hundred."""
    print(f"\n{'option':<26}{'accuracy':>22}{'minus plain':>24}")
    for row in rows:
        cells = [f"{100 * p['value']:5.1f} ({100 * p['low']:5.1f} – {100 * p['high']:5.1f})" if p else ""
                 for p in (row["score"], row.get("difference"))]  # fmt: skip
        print(f"{row['option']:<26}{cells[0]:>22}{cells[1]:>24}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.* and test.*")
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--tested", type=int, default=1000, help="test records, at most")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=30)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--model", type=Path, help="a folder to begin from; else a small BERT is pre-trained")
    parser.add_argument("--base-minutes", type=float, default=2.0, help="pre-training of each of the two bases")
    parser.add_argument("--vectors", type=Path, help="word vectors, for neighbours")
    parser.add_argument("--synonyms", type=Path, help="lines of word, tab, synonyms")
    parser.add_argument("--minutes", type=float, default=24.0, help="no seed is begun that would not end in this time")
    parser.add_argument("--only", nargs="+", help="words that the names of options begin with; plain is always there")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    asked = parser.parse_args()
    from penjing.tasks.model import Model

    begun = time.monotonic()
    train, test = data(asked.data, asked.tested)
    wanted = ("plain", *(asked.only or [""]))
    runs = {name: said for name, said in options(asked.vectors, asked.synonyms).items() if name.startswith(wanted)}
    with tempfile.TemporaryDirectory() as place:
        if asked.model:
            start, small = Model.load(asked.model), None
            runs.pop("smaller network", None)
        else:
            texts = [record["text"] for record in train]
            sizes = ((4, 128), (2, 64)) if "smaller network" in runs else ((4, 128),)
            start, small, *_ = *(base(texts, asked.base_minutes, *size, Path(place)) for size in sizes), None
    print(f"{len(train)} training records, of which {asked.records} are drawn; {len(test)} tested; labels: "
          f"{len(Counter(str(record['label']) for record in train))}", flush=True)  # fmt: skip
    scores: dict[str, list[float]] = {}
    spent = 0.0
    for seed in range(asked.seeds):
        if time.monotonic() - begun + spent > 60 * asked.minutes:
            print(f"stopped before seed {seed}: no time left")
            break
        clock = time.monotonic()
        records = drawn(train, asked.records, seed)
        found = {
            name: trained(
                small if said.get("small") else start, records, test, dict(said), seed, asked.epochs, asked.rate
            )
            for name, said in runs.items()
        }
        for name, value in (found | classical(records, test)).items():
            scores.setdefault(name, []).append(value)
        spent = time.monotonic() - clock
        print(f"seed {seed}: {spent:.0f} s, plain {100 * found['plain']:.1f}", flush=True)
    rows = table(scores)
    show(rows)
    if asked.json:
        asked.json.write_text(
            json.dumps({"records": asked.records, "tested": len(test), "rows": rows}, indent=1), "utf-8"
        )


if __name__ == "__main__":
    main()
