"""DPO on a preference with a known answer: does the margin go where theory says, and is the language kept?

    python benchmarks/preference.py --out FOLDER                          # language: sentences that it writes itself
    python benchmarks/preference.py --out FOLDER --data DIR/tinyshakespeare   # language: lines of Shakespeare

A small Llama learns dialogue first (`--steps`): three kinds of questions, each answered in one of two manners, half the
time in either, and half of all records the language: a line is asked, the next one answered. Then it learns a preference,
where of the two manners the first is the chosen one with a probability that belongs to the kind: 0.9, 0.75, 0.6. Once a
LoRA is trained, for two epochs, and once all weights, for one: in a second epoch they learn single labels by heart.

What theory says. The minimum of DPO's loss is a reward margin, beta (ratio - ratio'), equal to the log odds of that
probability, whatever beta (Bradley-Terry; Rafailov et al. 2023, section 4); IPO's is probability - 1/2 (Azar et al. 2023,
section 5). What is learnt are labels that were drawn, 800 a kind, so the minimum is at the log odds of their share, which
lie about those of the probability as widely as 800 draws do. Theory speaks of the minimum, so the last weights are taken,
not those that are best on other labels. Printed for each kind, on questions that neither training
saw: the margin with its 95 % interval over questions, beside the known value and that of the labels with its 95 %
interval, in which the margin should be; the share of labels that the sign of the margin foretells, beside the best
possible; the share of the first manner among the model's two; and perplexity and bits per byte of held-out language,
before and after, which should not be more than 10 % worse.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ADJECTIVES = ["old", "new", "red", "blue", "small", "large", "broken", "heavy", "round", "green", "wooden", "silver"]
NOUNS = ["kettle", "lamp", "chair", "carpet", "mirror", "basket", "ladder", "clock", "violin", "table", "bottle", "ribbon",
         "blanket", "saddle", "drum", "pillow"]  # fmt: skip
PLACES = ["kitchen", "cellar", "garden", "attic", "hall", "stable", "workshop", "library"]
VERBS = ["sees", "hides", "finds", "sells", "mends", "carries", "forgets", "keeps"]
PEOPLE = ["miller", "baker", "sailor", "teacher", "doctor", "gardener", "captain", "tailor"]
WORSE = 0.10  # more than this on the language is a failure
KINDS = {"send": 0.9, "where": 0.75, "cost": 0.6}  # how often the first manner is preferred
CHAT = {
    "family": "llama", "layers": 3, "width": 128, "max_tokens": 96, "optimizer": "muon", "learning_rate": 3e-3,
}  # fmt: skip


def manners(kind: str, thing: str) -> tuple[str, str, str]:
    """A question of a kind, and its two answers."""
    place, price = PLACES[sum(map(ord, thing)) % len(PLACES)], 3 + len(thing) % 7
    return {
        "send": (f"Please send the {thing}.", f"Of course, the {thing} will leave today.", f"The {thing} goes out, wait for it."),
        "where": (f"Where is the {thing}?", f"The {thing} is in the {place}, I think.", f"Look for it in the {place} yourself."),
        "cost": (f"What does the {thing} cost?", f"It costs {price} coins, if you like.", f"The price is {price}, no less."),
    }[kind]  # fmt: skip


def language(data: Path | None, split: str, chance: random.Random, count: int) -> Iterator[dict[str, str]]:
    """A line and the one that follows it."""
    if data is not None:
        from penjing.train.prepare import records_of

        name = "train" if split == "train" else "valid"
        lines = [line for record in records_of(data, name) for line in record["text"].splitlines() if len(line) > 20]
        starts = chance.sample(range(len(lines) - 1), min(count, len(lines) - 1))
        yield from ({"prompt": lines[one], "completion": lines[one + 1]} for one in starts)
        return
    for _ in range(count):
        person, other, one, two, three = (chance.choice(words) for words in (PEOPLE, PEOPLE, VERBS, VERBS, VERBS))
        thing, place = f"{chance.choice(ADJECTIVES)} {chance.choice(NOUNS)}", chance.choice(PLACES)
        yield {"prompt": f"The {person} {one} the {thing} in the {place}.",
               "completion": f"Then the {other} {two} it, and the {person} {three} the rest."}  # fmt: skip


def write(folder: Path, splits: dict[str, list[dict[str, Any]]]) -> Path:
    """Files of JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, records in splits.items():
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def questions(seed: int) -> dict[str, list[tuple[str, str]]]:
    """(kind, thing) of each split: no thing stands in two."""
    things = [f"{one} {two} {noun}" for one in ADJECTIVES for two in ADJECTIVES for noun in NOUNS if one != two]
    random.Random(seed).shuffle(things)
    cuts = {"train": things[:800], "valid": things[800:900], "test": things[900:1100]}
    return {split: [(kind, thing) for thing in some for kind in KINDS] for split, some in cuts.items()}


def records_of_talk(asked: dict[str, list[tuple[str, str]]], data: Path | None, seed: int) -> dict[str, list[Any]]:
    """What the dialogue is learnt from: both manners alike, and as many records of language."""
    chance, found = random.Random(seed + 1), {}
    for split, pairs in asked.items():
        talk = [{"prompt": question, "completion": chance.choice(both)}
                for question, *both in (manners(*one) for one in pairs)]  # fmt: skip
        found[split] = talk + list(language(data, split, chance, len(talk)))
        chance.shuffle(found[split])
    return found


def records_of_preference(asked: dict[str, list[tuple[str, str]]], seed: int) -> dict[str, list[Any]]:
    """Pairs whose first manner is chosen as often as its kind says."""
    chance, found = random.Random(seed + 2), {}
    for split, pairs in asked.items():
        found[split] = []
        for kind, thing in pairs:
            question, first, second = manners(kind, thing)
            best = chance.random() < KINDS[kind]
            chosen, rejected = (first, second) if best else (second, first)
            found[split].append(
                {"prompt": question, "chosen": chosen, "rejected": rejected, "kind": kind, "first": best}
            )
    return found


def logs_of(model: Any, pairs: list[tuple[str, str]]) -> np.ndarray:
    """Log-probabilities of both manners of each question, N 2."""
    from penjing.tasks import task_named
    from penjing.tasks.preference_rows import preference_pieces, reference_of

    task = task_named("preference")
    asked = [dict(zip(("prompt", "chosen", "rejected"), manners(*one), strict=True)) for one in pairs]
    pieces = preference_pieces(model.eval(), [task.normal(one) for one in asked], False, "all")
    return reference_of(model, pieces).astype(float)


def cost(model: Any, records: list[dict[str, str]]) -> dict[str, float]:
    """Perplexity and bits per byte of answers."""
    from penjing.tasks import task_named

    chat = task_named("chat")
    found = chat.costs(model, [chat.normal(one) for one in records], 4096)
    nats = sum(one["nats_per_byte"] * one["bytes"] for one in found)
    return {"perplexity": float(np.exp(nats / sum(one["tokens"] for one in found))),
            "bits_per_byte": nats / sum(one["bytes"] for one in found) / np.log(2)}  # fmt: skip


def theory(method: str, share: float, count: int) -> tuple[float, float]:
    """The margin at the loss's minimum, and how far 95 % of those lie from it that so many labels have."""
    if method == "ipo":
        return share - 0.5, 1.96 * math.sqrt(share * (1 - share) / count)
    return math.log(share / (1 - share)), 1.96 / math.sqrt(count * share * (1 - share))


def report(
    said: argparse.Namespace, base: Any, tuned: Any, asked: list[Any], pairs: dict[str, list[Any]], held: list[Any]
) -> dict[str, Any]:
    """Print the table of one run; returns its figures."""
    before, after = logs_of(base, asked), logs_of(tuned, asked)
    ratios = after - before
    margins = said.beta * (ratios[:, 0] - ratios[:, 1])
    found: dict[str, Any] = {}
    print("kind    known   labels (95 %)     margin (95 %)     labels foretold (best)   first manner before -> after")
    for kind, share in KINDS.items():
        rows = np.asarray([number for number, (one, _) in enumerate(asked) if one == kind])
        drawn = [one["first"] for one in pairs["train"] if one["kind"] == kind]
        goal, around = theory(said.method, float(np.mean(drawn)), len(drawn))
        values = margins[rows]
        known, wide = theory(said.method, share, 1)[0], 1.96 * values.std(ddof=1) / np.sqrt(len(values))
        first = np.asarray([pairs["test"][row]["first"] for row in rows])
        right, best = float(((values > 0) == first).mean()), max(first.mean(), 1 - first.mean())
        odds = [float((1 / (1 + np.exp(logs[rows, 1] - logs[rows, 0]))).mean()) for logs in (before, after)]
        met = bool(abs(values.mean() - goal) <= around)
        found[kind] = {"known": known, "labels": goal, "labels_interval": around, "margin": values.mean(),
                       "interval": wide, "met": met, "foretold": right, "best": best, "first": odds}  # fmt: skip
        print(f"{kind:7} {known:5.3f}   {goal:5.3f} ± {around:5.3f}     {values.mean():5.3f} ± {wide:5.3f}     "
              f"{right:.3f} ({best:.3f})            {odds[0]:.3f} -> {odds[1]:.3f}"
              f"   {'as theory says' if met else 'NOT as theory says'}")  # fmt: skip
    costs = [cost(model, held) for model in (base, tuned)]
    for name in costs[0]:
        one, other = (values[name] for values in costs)
        print(f"{name} of held-out language: {one:.4f} -> {other:.4f} ({other / one - 1:+.2%})")
    kept = costs[1]["perplexity"] <= (1 + WORSE) * costs[0]["perplexity"]
    print(f"the language is {'kept' if kept else 'NOT kept'}: at most {WORSE:.0%} worse is asked")
    return {"kinds": found, "language": costs, "kept": kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, help="a folder with train and valid files of texts, such as tinyshakespeare"
    )
    parser.add_argument("--steps", type=int, default=200, help="of the dialogue's training")
    parser.add_argument("--epochs", type=float, nargs="+", default=[1, 2], help="of full training, and of lora")
    parser.add_argument("--method", choices=["dpo", "ipo"], default="dpo")
    parser.add_argument("--beta", type=float, default=0.5)
    parser.add_argument("--changes", nargs="+", choices=["none", "lora"], default=["lora", "none"])
    parser.add_argument("--rate", type=float, nargs="+", default=[1.2e-4, 4e-4], help="of full training, and of lora")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()

    import penjing
    from penjing.tasks.model import Model

    common = {"batch_tokens": 2048, "baselines": False, "seed": said.seed, "threads": said.threads, "dtype": "float32",
              "measure_seconds": 0}  # fmt: skip
    asked = questions(said.seed)
    talk, pairs = records_of_talk(asked, said.data, said.seed), records_of_preference(asked, said.seed)
    held = list(language(said.data, "test", random.Random(said.seed + 3), 400))
    chat, preferences = write(said.out / "talk", talk), write(said.out / "pairs", pairs)
    texts = [{"text": f"{one['prompt']}\n{one['completion']}"} for one in talk["train"]]
    write(said.out / "texts", {"train": texts})
    if not (said.out / "base" / "model").exists():
        penjing.tokenizer(said.out / "tokenizer", data=said.out / "texts" / "train.jsonl", kind="bpe", size=1024)
        penjing.finetune(said.out / "base", data=chat, tokenizer=said.out / "tokenizer", task="chat", steps=said.steps,
                         **CHAT, **common)  # fmt: skip
    base, figures = Model.load(said.out / "base" / "model"), {}
    for change in said.changes:
        folder = said.out / f"{said.method}_{change}"
        found = penjing.finetune(
            folder, data=preferences, model=said.out / "base", task={"preference": {"method": said.method, "beta": said.beta}},
            change=None if change == "none" else {"lora": {"rank": 8, "where": "query|key|value|mlp.*"}},
            epochs=said.epochs[change == "lora"],
            learning_rate=said.rate[change == "lora"], validate_times=0, **common,
        )  # fmt: skip
        print(f"\n{said.method}, beta {said.beta}, change {change}: {found['trained']} of {found['parameters']} parameters, "
              f"{found['steps']} steps, {found['seconds']:.0f} s")  # fmt: skip
        figures[change] = report(said, base, Model.load(folder / "model"), asked["test"], pairs, held)
        text = json.dumps(figures, indent=1, default=float)
        (said.out / f"{said.method}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
