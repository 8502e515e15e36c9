"""A look at somebody's data: which task its fields are for, its splits, languages, lengths, labels, duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from penjing.base.errors import DataError, RecipeError, known
from penjing.base.readers.source import format_of
from penjing.recipe.columns import (
    FORMS,
    LABELS,
    RAW,
    Rows,
    forms_in,
    fractions,
    label_column,
    labels_in,
    number_column,
    pair_in,
    text_column,
)
from penjing.recipe.looking_answers import (
    SHORT_ANSWER,
    answer_in,
    answered,
    are_judged,
    asked_and_answered,
    best_of,
    check_sides,
    incomplete,
    judgement,
    sides_in,
    verifier_of,
)
from penjing.tasks import USES

LOOKED = 50_000  # records of a split that are read
SAMPLE, SHORT = 500, 2000  # texts that tell the language, and characters of each that are kept
SPLITS = {"train": ("train", "training"), "valid": ("valid", "validation", "dev", "val"), "test": ("test",)}
UNLABELLED = ("raw", "unlabelled", "unlabeled", "unsup", "unsupervised")  # a file of text alone, beside the splits
KNOWN_TASKS = (*USES, *RAW, "reinforce")  # the last is a stage: prompts whose answers can be checked
PER_TOKEN = 4.0, 1.5  # characters: of English, of Chinese
TAUGHT = ("classify", "regress")  # tasks of a text, or of two, and a column beside it
AS_THEY_ARE = ("span", "embed")  # tasks that read the user's own folder
COMPARED = ("preference", "reward")  # tasks of answers that are better or worse


@dataclass(frozen=True)
class Data:
    """What was seen in the data. Counts of records are of whole files; the rest is of those that were read."""

    path: Path
    format: str
    encoding: str
    columns: tuple[str, ...]
    records: int  # to learn from
    task: str
    text: str | None = None  # their column of text, where one is chosen
    label: str | None = None
    second: str | None = None  # of a pair of texts
    labels: Mapping[str, int] = field(default_factory=dict)  # of records; of entities in `tag`
    languages: Mapping[str, int] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()  # characters of each text, sorted
    several: bool = False  # a record carries a list of labels
    header: bool = True  # the first row of a table names its columns
    gaps: int = 0  # records without text or label
    files: Mapping[str, str] = field(default_factory=dict)  # split: its file in the folder
    counts: Mapping[str, int] = field(default_factory=dict)  # records of valid and test
    duplicates: int = 0  # texts that were there before
    conflicts: int = 0  # those that then had another label
    leaks: int = 0  # training texts that stand in valid or test
    answers: tuple[int, int] = (0, 0)  # of chat and reinforce: different ones, and all
    answered: int = 0  # of reinforce: characters that 19 of 20 answers stay below
    sides: Mapping[str, int] = field(default_factory=dict)  # of preferences: pairs, longer, good, bad, useless
    verifier: str = ""  # of reinforce: the reward that can check answers
    sample: tuple[str, ...] = ()  # some texts
    unlabelled: float = 0.0  # characters in a file of text alone, about

    @property
    def characters(self) -> float:
        """Characters of all texts that can be read, estimated from those that were."""
        return sum(self.lengths) * max(1.0, self.records / max(1, len(self.lengths))) + self.unlabelled

    @property
    def chinese(self) -> bool:
        """Is a good part of the text Chinese?"""
        return self.languages.get("zh", 0) + self.languages.get("mixed", 0) > 0.3 * sum(self.languages.values())

    @property
    def language(self) -> str:
        """The commonest language: en, zh, mixed or other."""
        return max(self.languages, key=self.languages.__getitem__) if self.languages else "other"

    @property
    def per_token(self) -> float:
        """About how many characters a token has."""
        return PER_TOKEN[self.chinese]

    def tokens(self, share: float) -> int:
        """About how many tokens this share of the texts stays below."""
        return round(self.lengths[int(share * (len(self.lengths) - 1))] / self.per_token) + 2

    def longer(self, tokens: int) -> float:
        """The share of texts that have more tokens than these."""
        return sum(length / self.per_token + 2 > tokens for length in self.lengths) / max(1, len(self.lengths))

    def lost(self, tokens: int) -> float:
        """The share of all text that lies behind so many tokens."""
        most = (tokens - 2) * self.per_token
        return sum(max(0.0, length - most) for length in self.lengths) / max(1, sum(self.lengths))

    @property
    def rarest(self) -> tuple[str, int]:
        """The rarest label and how often it is seen."""
        return min(self.labels.items(), key=lambda one: one[1])

    @property
    def skew(self) -> float:
        """How many times oftener the commonest label is than the rarest."""
        return max(self.labels.values()) / self.rarest[1] if self.labels else 1.0


def look_at(path: str | Path, task: str | None = None) -> Data:
    """Look at a file, folder or pattern; `task`: what the user wants of it. Raises P-ADVISE-001, -002, P-RECIPE-021."""
    from penjing.base.records import look

    path, wanted = Path(path), None if task is None else known(task, KNOWN_TASKS, "task")
    parallel = two_files(path)
    if parallel:
        return looked_at_pairs(path, parallel, wanted)
    files = split_files(path)
    source = path / files["train"] if files else path
    seen, records = look(source), read(source)
    columns = list(seen.columns) or list(dict.fromkeys(key for record in records for key in record))
    found, fields = meant(records, columns, path, wanted)
    if found in (*TAUGHT, *RAW):
        files |= text_alone(path) if files else {}
    others = {split: path / name for split, name in files.items() if split not in ("train", "raw")}
    parts = {split: read(file) for split, file in others.items()}
    inside = filled(records, parts, found, fields, path) | unlabelled(path, files, fields)
    counts = {split: look(file).records for split, file in others.items()}
    data = Data(
        path, seen.format, seen.encoding, tuple(columns), seen.records, found, **fields, files=files, counts=counts, **inside
    )  # fmt: skip
    return without_header(data)


def read(source: Path) -> list[Mapping[str, Any]]:
    """The first records of a file, folder or pattern."""
    from penjing.base.records import read_records

    return list(islice(read_records(source), LOOKED))


def two_files(path: Path) -> dict[str, tuple[Path, Path]]:
    """The parallel files of each split of a folder, if its training texts lie so."""
    from penjing.base.readers.parallel import parallel_files

    if not path.is_dir() or split_files(path):
        return {}
    found = {split: parallel_files(path, split) for split in SPLITS}
    return {split: two for split, two in found.items() if two} if found["train"] else {}


def looked_at_pairs(path: Path, two: Mapping[str, tuple[Path, Path]], wanted: str | None) -> Data:
    """What is seen in two files whose lines belong together."""
    from penjing.base.readers.parallel import read_parallel

    if wanted not in (None, "seq2seq"):
        raise lacking(wanted, ("source", "target"), path)
    rows = {split: list(read_parallel(*files)) for split, files in two.items()}
    train, counts = rows.pop("train"), {split: len(records) for split, records in rows.items()}
    return Data(path, "text", "utf-8", ("source", "target"), len(train), "seq2seq", counts=counts,
                files={split: split for split in two}, **filled(train[:LOOKED], rows, "seq2seq", {}, path))  # fmt: skip


def split_files(path: Path) -> dict[str, str]:
    """The file of each split in a folder, by name; none where no file is called train."""
    if not path.is_dir():
        return {}
    names = [one.name for one in sorted(path.iterdir()) if one.is_file() and format_of(one)[0]]
    found = {
        split: next((name for word in words for name in names if name.lower().split(".")[0] == word), None)
        for split, words in SPLITS.items()
    }
    return {split: name for split, name in found.items() if name} if found["train"] else {}


def text_alone(path: Path) -> dict[str, str]:
    """The file of unlabelled text in a folder, as the split raw."""
    names = [one.name for one in sorted(path.iterdir()) if one.is_file() and format_of(one)[0]]
    found = next((name for name in names if name.lower().split(".")[0] in UNLABELLED), None)
    return {"raw": found} if found else {}


def unlabelled(path: Path, files: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, float]:
    """About how many characters the file of unlabelled text holds."""
    from penjing.base.records import look

    if "raw" not in files:
        return {}
    rows = read(path / files["raw"])
    lengths = [len(str(row.get(fields["text"]) or row.get("text") or "")) for row in rows]
    return {"unlabelled": sum(lengths) * max(1.0, look(path / files["raw"]).records / max(1, len(rows)))}


# ---- which task ----


def meant(records: Rows, columns: Sequence[str], path: Path, wanted: str | None) -> tuple[str, dict[str, Any]]:
    """The task, and the columns it reads where they are chosen."""
    forms = sound_forms(records, columns, path, wanted)
    if wanted in forms or (wanted is None and forms):
        return wanted or forms[0], {}
    if wanted not in (None, *TAUGHT, *RAW):
        raise lacking(wanted, columns, path)
    pair = pair_in(columns)
    text = pair[0] if pair else text_column(records, columns)
    if text is None:
        raise RecipeError("P-RECIPE-021", file=path, known=columns)
    if wanted in RAW:
        return str(wanted), {"text": text}
    others = [column for column in columns if column not in (text, *(pair or ()))]
    label, number = label_column(records, others), number_column(records, others)
    if wanted == "regress" or (wanted is None and number and (label is None or fractions(records, label))):
        label, wanted = number, "regress"
    if label is None and wanted in TAUGHT:
        raise lacking(wanted, columns, path)
    if label is None:
        return "causal", {"text": text}
    return wanted or "classify", {"text": text, "label": label, "second": pair and pair[1]}


def sound_forms(records: Rows, columns: Sequence[str], path: Path, wanted: str | None) -> list[str]:
    """The tasks whose fields are there and hold what the task reads. Raises P-ADVISE-045."""
    forms = forms_in(columns)
    pairs = {"chosen", "rejected"} <= set(columns)
    if "preference" in forms and not pairs and not are_judged(records):
        forms.remove("preference")
    if "reinforce" in forms and not verifier_of(records):
        if wanted == "reinforce":
            gaps = sum(map(incomplete, records))
            raise DataError("P-ADVISE-045", file=path, most=SHORT_ANSWER, given=answered(records), count=gaps)
        forms.remove("reinforce")
    return forms


def lacking(task: str | None, columns: Sequence[str], path: Path) -> DataError:
    """The error of a task whose fields the records do not have."""
    forms = [" + ".join(fields) for name, fields in FORMS if name == task] or [f"text + {LABELS[0]}"]
    return DataError("P-ADVISE-001", file=path, task=task, needs="; ".join(forms), known=columns)


# ---- what is in it ----


def filled(
    records: Rows, others: Mapping[str, Rows], task: str, fields: Mapping[str, Any], path: Path
) -> dict[str, Any]:
    """Languages, lengths, labels and duplicates of the records that were read."""
    from penjing.text.language import language_of

    text, label = fields.get("text"), fields.get("label")
    texts = [one for record in records if (one := whole(record, task, fields))]
    if not texts:
        raise DataError("P-ADVISE-002", file=path, count=len(records), what=text or task)
    found = {
        "languages": dict(Counter(language_of(one) for one in texts[:SAMPLE])),
        "lengths": tuple(sorted(map(len, texts))),
        "sample": tuple(one[:SHORT] for one in texts[:SAMPLE]),
        "labels": dict(Counter(one for record in records for one in said(record, task, label))),
        "gaps": sum(record.get(name) is None for record in records for name in (text, label) if name),
        "several": bool(label) and any(isinstance(record.get(label), list) for record in records),
    }
    if task in ("chat", "reinforce"):
        last = answer_in if task == "reinforce" else last_answer
        answers = [answer for record in records if (answer := last(record))]
        found["answers"] = len(set(answers)), len(answers)
    if task == "reinforce":
        found |= {"verifier": verifier_of(records), "answered": answered(records)}
    if task in COMPARED:
        found["sides"] = sides_in(records)
        found["gaps"] = found["sides"].get("useless", 0)
        check_sides(found["sides"], path)
    return found | repeated(records, others, task, fields)


def text_in(record: Mapping[str, Any], task: str, text: str | None) -> str:
    """What is read of one record, as one text."""
    if text is not None:
        return str(record.get(text) or "")
    if task == "tag" and isinstance(record.get("tokens"), list):
        from penjing.text.tagging import joined

        return joined([str(token) for token in record["tokens"]])[0]
    if task in COMPARED:
        return best_of(record)
    if task == "reinforce":
        return asked_and_answered(record)
    if task == "chat":
        return "\n".join(words_in(record))
    if isinstance(record.get("translation"), dict):
        return str(next(iter(record["translation"].values()), "") or "")
    fields = next((fields for name, fields in FORMS if name == task and set(fields) <= set(record)), ())
    return str(record.get(fields[0]) or "") if fields else ""


def whole(record: Mapping[str, Any], task: str, fields: Mapping[str, Any]) -> str:
    """What is read of one record, the second text of a pair too."""
    first, second = text_in(record, task, fields.get("text")), record.get(fields.get("second") or "")
    return f"{first}\n{second}" if first and second else first


def words_in(record: Mapping[str, Any]) -> Iterator[str]:
    """What is said in a conversation of any form; nothing of one that is broken."""
    from penjing.base.errors import PenjingError
    from penjing.text.dialogues import conversation

    try:
        messages = conversation(record)["messages"]
    except PenjingError:
        return
    yield from (one["content"] for one in messages if isinstance(one.get("content"), str))


def last_answer(record: Mapping[str, Any]) -> str:
    """The last thing that is said in a conversation."""
    return (list(words_in(record)) or [""])[-1]


def said(record: Mapping[str, Any], task: str, label: str | None) -> list[str]:
    """The labels of a record; of tagged tokens the types of their entities."""
    if task == "regress":
        return []
    if label is not None:
        return labels_in(record.get(label))
    if task == "preference":
        return judgement(record)
    if task != "tag":
        return []
    if isinstance(record.get("entities"), list):
        return [str(one.get("label", one.get("type"))) for one in record["entities"] if isinstance(one, Mapping)]
    from penjing.text.tagging import spans

    return [span.type for span in spans([str(tag) for tag in record.get("tags") or ()])]


def repeated(records: Rows, others: Mapping[str, Rows], task: str, fields: Mapping[str, Any]) -> dict[str, int]:
    """Equal texts: within train, there with another label, and in valid or test."""
    text, second, label = (fields.get(name) for name in ("text", "second", "label"))
    seen: dict[Any, Any] = {}
    found = {"duplicates": 0, "conflicts": 0, "leaks": 0}
    apart = {folded(one, task, text, second) for part in others.values() for one in part} - {""}
    for record in records:
        key, truth = folded(record, task, text, second), sorted(said(record, task, label)) if label else None
        found["leaks"] += key in apart
        if key and key in seen:
            found["duplicates"] += 1
            found["conflicts"] += seen[key] != truth
        seen.setdefault(key, truth)
    return found


def folded(record: Mapping[str, Any], task: str, text: str | None, second: str | None) -> str:
    """A record's text without case and spaces; of some tasks the second text or the question belongs to it."""
    more = str(record.get(second) or "") if second else str(record.get("question") or "") if task == "span" else ""
    return "".join(f"{text_in(record, task, text)}{more}".lower().split())


def without_header(data: Data) -> Data:
    """Where the name of the label's column is one of its labels, the first row names nothing: columns are numbers."""
    import dataclasses

    if data.format not in ("csv", "tsv") or data.label is None or data.labels.get(data.label, 0) <= 1:
        return data
    places = {name: str(data.columns.index(str(name)) + 1) for name in (data.text, data.label)}
    return dataclasses.replace(data, header=False, text=places[data.text], label=places[data.label])
