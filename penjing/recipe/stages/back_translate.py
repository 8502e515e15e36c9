"""Stage `back_translate`: training texts said otherwise, by two translators: into another language, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from penjing.base.errors import DataError, OptionError, PenjingError, TaskError, TextError, TrainError

if TYPE_CHECKING:
    from penjing.tasks.model import Model

SPLITS = ("valid", "test")
OF_PLACES = (
    "tokens",
    "tags",
    "entities",
    "answers",
    "messages",
)  # fields that speak of places in the text, or of turns


def back_translate(
    out: Path,
    *,
    data: Annotated[Path, Field(description="a clean step, or a folder with train and perhaps valid and test files")],
    forward: Annotated[Path, Field(description="a seq2seq step or model: from the texts' language into another")],
    back: Annotated[Path, Field(description="a seq2seq step or model: from the other language back")],
    languages: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z_]+-[A-Za-z_]+$",
            description="the texts' and the other language, as en-de, for tags",
        ),
    ] = None,
    classifier: Annotated[
        Path | None, Field(description="a finetune step: a paraphrase that it labels otherwise is dropped")
    ] = None,
    copies: Annotated[int, Field(ge=1, description="paraphrases that are tried for each text")] = 1,
    temperature: Annotated[
        float, Field(ge=0, le=2, description="tokens are drawn; 0: the model's own beams, the same each time")
    ] = 0.7,
    most: Annotated[int | None, Field(ge=1, description="only so many training texts, drawn by chance")] = None,
    least: Annotated[float, Field(ge=0, le=1, description="the least F1 of words that a paraphrase shares")] = 0.2,
    ratio: Annotated[float, Field(ge=1, description="how many times longer or shorter it may be")] = 2.0,
    seed: Annotated[int, Field(ge=0, description="of all that is drawn")] = 0,
) -> dict[str, Any]:
    """Write train.jsonl with the records and their paraphrases (`origin`: the text itself), and valid and test as they are."""
    from penjing.base.files import write_json
    from penjing.base.progress import tell
    from penjing.base.records import write_records
    from penjing.text.paraphrases import Sieve, alike, with_text
    from penjing.train.prepare import records_of

    train, (valid, test) = records_of(data, "train"), (records_of(data, split) for split in SPLITS)
    checked(train, data)
    there, home = (translator(folder, languages, side) for side, folder in ((1, forward), (0, back)))
    if languages is not None and (there[1], home[1]) == (None, None):
        raise OptionError("P-OPTION-005", option="languages", other="a translator of several languages")
    judging = None if classifier is None else judge(classifier)
    chosen = drawn(train, most, seed)
    sieve = Sieve((record["text"] for record in [*train, *valid, *test]), least, ratio)
    found: list[dict[str, Any]] = []
    for copy in range(copies):
        texts = [record["text"] for record in chosen]
        for number, (model, language) in enumerate((there, home)):
            texts = translated(model, texts, language, temperature, 2 * copy + number + 1_000 * seed)
            tell("step", "back_translate", done=2 * copy + number + 1, total=2 * copies)
        found += [with_text(record, text) for record, text in zip(chosen, texts, strict=True)
                  if sieve.passes(text, record["text"])]  # fmt: skip
    if judging is not None:
        same = alike(found, judging.answer([plain_record(record) for record in found]))
        sieve.dropped["label"] = same.count(False)
        found = [record for record, keeps in zip(found, same, strict=True) if keeps]
    write_records(out / "train.jsonl", [*train, *found])
    for split, records in zip(SPLITS, (valid, test), strict=True):
        if records:
            write_records(out / f"{split}.jsonl", records)
    counts = {"records": len(train), "made": copies * len(chosen), "kept": len(found), "dropped": dict(sieve.dropped)}
    write_json(out / "back_translate.json", counts)
    tell("end", "back_translate", **counts)
    return counts


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """Beams write the same each time: several copies need chance."""
    from penjing.recipe.learning import no_effect

    return (
        no_effect(["copies"], "a temperature above 0") if options["copies"] > 1 and not options["temperature"] else []
    )


def checked(train: Sequence[Any], data: Path) -> None:
    """Training records that a paraphrase can stand for."""
    if not train:
        raise TrainError("P-TRAIN-003", what=f"{data}/train.jsonl")
    for number, record in enumerate(train, 1):
        place = {"file": getattr(record, "file", None), "line": getattr(record, "line", None) or number}
        if not isinstance(record.get("text"), str):
            raise DataError("P-TASK-009", field="text", given=sorted(record), count=1, **place)
        wrong = [name for name in OF_PLACES if name in record]
        if wrong:
            raise TextError("P-TEXT-094", field=wrong[0], **place)


def translator(folder: Path, languages: str | None, side: int) -> tuple[Model, str | None]:
    """A model that translates, and the language that it shall write, where it asks for one."""
    from penjing.recipe.learning import folder_of
    from penjing.tasks.model import Model

    model = Model.load(folder_of(folder))
    if model.task.name != "seq2seq":
        raise TaskError("P-TEXT-095", file=folder, task=model.task.name)
    known = model.task.languages  # type: ignore[attr-defined]
    if languages is None or known is None:
        if known is not None:
            raise TextError("P-TEXT-096", file=folder, known=known)
        return model, None
    return model, languages.split("-")[side]


def judge(folder: Path) -> Model:
    """A model that gives labels."""
    from penjing.recipe.learning import folder_of
    from penjing.tasks.model import Model

    model = Model.load(folder_of(folder))
    if not hasattr(model.task, "probabilities"):
        raise TaskError("P-TASK-006", task=model.task.name)
    return model


def drawn(train: Sequence[Any], most: int | None, seed: int) -> list[Any]:
    """All records, or some by chance, in their order."""
    import numpy as np

    if most is None or most >= len(train):
        return list(train)
    order = np.random.Generator(np.random.PCG64([seed, 11])).permutation(len(train))[:most]
    return [train[row] for row in np.sort(order)]


def plain_record(record: dict[str, Any]) -> dict[str, Any]:
    """What a classifier reads."""
    return {name: record[name] for name in ("text", "text_b") if record.get(name) is not None}


def translated(model: Model, texts: Sequence[str], language: str | None, temperature: float, seed: int) -> list[str]:
    """The texts in the other language; those that came out empty stay so."""
    from penjing.tasks.writing import written

    more = {} if language is None else {"target_lang": language}
    kept = [number for number, text in enumerate(texts) if text.strip()]
    records = [{"source": texts[number], **more} for number in kept]
    model.task.check(records, False)
    drawing = {"temperature": temperature, "seed": seed} if temperature else None
    found = [""] * len(texts)
    for number, answer in zip(kept, written(model.task, model, records, 4096, drawing), strict=True):
        found[number] = answer["text"]
    return found
