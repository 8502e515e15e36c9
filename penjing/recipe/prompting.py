"""From the options of the stage `fewshot` to a curve: records, examples, the form of the prompt, who answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from penjing.base.errors import (
    DataError,
    MachineError,
    OptionError,
    PenjingError,
    TaskError,
    language,
    raise_all,
)
from penjing.base.progress import tell
from penjing.base.texts import paired, two_texts
from penjing.evaluate.fewshot import TRAINED, Curve, classical_answers, trained_answers
from penjing.evaluate.measuring import chosen_split
from penjing.evaluate.prompted_folder import DRAWN, chooser_of, save_prompted
from penjing.recipe.learning import LOOKED_AT_FIRST, no_effect, problems_of
from penjing.recipe.models import NETWORKS, load_answerer, model_folder
from penjing.tasks.prompted import Prompted
from penjing.text.prompts import Form
from penjing.text.shots import Chooser

SEEDS = 3  # draws of examples where nothing is said
SOME = 100  # records whose language is looked at
NAMES = ("choice", "calibration", "normalise", "template", "instruction", "words", "seed")

Record = Mapping[str, Any]


class Prompting:
    """What one run of the stage needs, made of its options."""

    def __init__(self, options: Mapping[str, Any]):
        from penjing.tasks import made_task
        from penjing.train.prepare import records_of

        self.options = options
        self.train = checked(records_of(options["data"], "train"))
        self.task = made_task("classify", self.train, {})
        self.split, records = chosen_split(options["data"], options["split"])
        self.records = sample(checked(records), options["most"], options["seed"])
        self.pool = self.train if options["examples"] is None else checked(file_records(options["examples"]))
        for some in (self.train, self.records, self.pool):
            self.task.check(some, learn=True)
        self.labels: list[str] = self.task.labels  # type: ignore[attr-defined]
        self.numbers = sorted(set(shot_numbers(options["shots"])))
        if self.numbers[-1] > len(self.pool):
            raise TaskError("P-SHOT-007", given=self.numbers[-1], most=len(self.pool))
        if "text_b" not in options["template"] and paired([*self.train, *self.pool, *self.records]) is None:
            raise DataError("P-SHOT-016")
        self.known = known_already(self.records, self.pool)

    def curve(self) -> Curve:
        """Everything measured."""
        found, options = Curve(self.task, self.records), self.options
        found.ask(self.prompted, self.numbers, self.seeds)
        if options["baselines"]:
            from penjing.train.prepare import records_of

            valid = [] if self.split == "valid" else records_of(options["data"], "valid")
            answers = classical_answers(self.train, valid, self.labels, self.records, options["seed"])
            for name, given in answers.items():
                found.set_beside(name, given)
        if options["trained"] is not None:
            model = load_answerer(options["trained"])
            found.set_beside(TRAINED, trained_answers(model, self.labels, self.records))
        return found

    def prompted(self, shots: int, seed: int) -> Prompted:
        """Who answers with so many examples, drawn by a seed."""
        options = self.options
        return Prompted(
            self.writer, self.labels, self.form, self.pool, self.chooser(seed), shots=shots, words=options["words"],
            calibration=options["calibration"], normalise=options["normalise"], chat=self.chat,
        )  # fmt: skip

    @property
    def seeds(self) -> list[int]:
        """The seeds of the draws; one where nothing is drawn."""
        number = self.options["seeds"] or (SEEDS if self.options["choice"] in DRAWN else 1)
        return [self.options["seed"] + one for one in range(number)]

    def chooser(self, seed: int) -> Chooser:
        """What chooses examples. What takes no seed is made once."""
        choice = self.options["choice"]
        return chooser_of(choice, self.pool, seed) if choice in DRAWN else self.likest

    @cached_property
    def likest(self) -> Chooser:
        """The choice of the nearest examples, by words or by vectors."""
        encoder = None if self.encoder is None else load_answerer(self.encoder)
        return chooser_of(self.options["choice"], self.pool, encoder=encoder)

    @cached_property
    def encoder(self) -> Path | None:
        return None if self.options["encoder"] is None else model_folder(self.options["encoder"], NETWORKS)

    @cached_property
    def folder(self) -> Path:
        """The folder with the weights of the model."""
        return model_folder(self.options["model"], ("finetune", "pretrain"))

    def save(self, folder: Path) -> None:
        """The classifier with the most examples as a folder, to be asked by `predict`."""
        prompted = self.prompted(self.numbers[-1], self.options["seed"])
        save_prompted(folder, prompted, self.options["choice"], self.folder, self.encoder)

    @cached_property
    def writer(self) -> Any:
        from penjing.tasks.writer import Writer

        return Writer.load(self.folder)

    @cached_property
    def chat(self) -> bool:
        """Whether examples are turns of a conversation."""
        told = bool(self.writer.tokenizer.templates) and not self.writer.encoder_decoder
        return told if self.options["form"] == "auto" else self.options["form"] == "chat"

    @cached_property
    def form(self) -> Form:
        return form_for(self.options, self.train)

    def about(self) -> dict[str, Any]:
        """What was asked, for the result."""
        options = {name: self.options[name] for name in NAMES}
        return {"model": self.options["model"].name, "split": self.split, "labels": self.labels, "among_examples": self.known,
                "form": "chat" if self.chat else "text", "prompt": self.example_prompt(), **options}  # fmt: skip

    def example_prompt(self) -> str:
        """A whole prompt with the fewest examples there are, to look at."""
        shots = next((number for number in self.numbers if number), 0)
        prompted = self.prompted(shots, self.options["seed"])
        chosen = prompted.chooser.choose(self.records[:1], shots)[0] if prompted.chooser else ()
        return prompted.prompt(self.records[0], chosen)


def problems(options: Mapping[str, Any]) -> list[PenjingError]:
    """What is wrong before anything is loaded; options that name earlier steps are left out."""
    found = problems_of(lambda: shot_numbers(options["shots"]))
    choice, encoder = options["choice"], options.get("encoder", "a step")
    if choice not in DRAWN and options["seeds"] is not None:
        found += no_effect(["seeds"], "choice: fixed or balanced")
    if choice == "embedding" and encoder is None:
        found.append(OptionError("P-OPTION-003", owner="fewshot", option="encoder"))
    if choice != "embedding" and encoder is not None:
        found += no_effect(["encoder"], "choice: embedding")
    if "{" in options["template"] and options["language"] != "auto":
        found += no_effect(["language"], "a built-in template")
    if options["baselines"] and find_spec("sklearn") is None:
        found.append(MachineError("P-SYSTEM-001", module="sklearn", extra="evaluate", what="baselines"))
    return found + problems_of(lambda: form_for(options, first_records(options)))


def first_records(options: Mapping[str, Any]) -> list[Record]:
    """The first training records, sound; none while the data is a step that is not made yet."""
    from penjing.tasks.classify import label_lists
    from penjing.train.prepare import records_in

    if "data" not in options:
        return []
    first = checked(list(islice(records_in(options["data"], "train"), LOOKED_AT_FIRST)))
    label_lists(first, False)
    return first


def checked(records: Sequence[Any]) -> list[Any]:
    """Records of one label each. Raises P-SHOT-005."""
    several = [record for record in records if record.get("label") is None and record.get("labels") is not None]
    raise_all([DataError("P-SHOT-005", file=getattr(record, "file", None), line=getattr(record, "line", None))
               for record in several[:1]])  # fmt: skip
    return list(records)


def file_records(path: Any) -> list[Any]:
    """The records of a file that examples are chosen from."""
    from penjing.base.records import read_records

    return list(read_records(path))


def form_for(options: Mapping[str, Any], records: Sequence[Record]) -> Form:
    """The form that the options ask for, for records like these."""
    pairs = bool(records) and all(record.get("text_b") for record in records)
    spoken = options["language"]
    if spoken == "auto":
        from penjing.text.language import language_of

        found = [language_of(str(record.get("text") or "")) for record in records[:SOME]]
        spoken = "zh" if found.count("zh") > found.count("en") else "en"
    return Form.named(options["template"], spoken, pairs, options["instruction"])


def shot_numbers(given: Any) -> list[int]:
    """Numbers of examples from a list, or from a text such as 0,1,2. Raises P-SHOT-011."""
    parts = str(given).replace(",", " ").split() if isinstance(given, str | int) else list(given)
    if not parts or not all(str(part).strip().isdecimal() for part in parts):
        raise OptionError("P-SHOT-011", option="shots", given=given)
    return [int(part) for part in parts]


def known_already(records: Sequence[Record], pool: Sequence[Record]) -> int:
    """How many records' texts stand among the examples too; this is told, as a prompt may show them with their labels."""
    seen = {two_texts(record) for record in pool}
    found = sum(two_texts(record) in seen for record in records)
    if found:
        text = f"{found} of {len(records)} texts that are asked stand among the examples: their labels may be shown"
        tell("warning", "fewshot", text, among_examples=found)
    return found


def sample(records: list[Any], most: int | None, seed: int) -> list[Any]:
    """Some of the records, drawn, in their order."""
    import numpy as np

    if most is None or most >= len(records):
        return records
    places = np.random.default_rng([seed, 13]).permutation(len(records))[:most]
    return [records[place] for place in sorted(places.tolist())]


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that a table shows, and the verdict in the user's language."""
    verdict = found["verdict"]
    curve = {
        str(row["shots"]): {key: row[key] for key in ("accuracy", "macro_f1", "examples")} for row in found["curve"]
    }
    return {"split": found["split"], "records": found["records"], "curve": curve, "others": found["others"],
            "verdict": verdict and verdict[language()], "outcome": verdict and verdict["outcome"]}  # fmt: skip
