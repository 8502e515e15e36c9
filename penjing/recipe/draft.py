"""Write a recipe for a user's own file: look at it, choose, and say beside each value why it was chosen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from penjing.base.errors import RecipeError
from penjing.base.files import whole_file
from penjing.base.options import options_of
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN

LOOKED = 20_000  # records read to choose
TEXTS = (
    "text",
    "review",
    "sentence",
    "content",
    "message",
    "comment",
    "body",
    "question",
    "文本",
    "内容",
    "评论",
    "句子",
)
LABELS = (
    "label",
    "labels",
    "class",
    "category",
    "intent",
    "sentiment",
    "target",
    "topic",
    "cat",
    "标签",
    "类别",
    "意图",
)


@dataclass
class Findings:
    """What was seen in the data."""

    file: Path
    format: str
    encoding: str
    columns: list[str]
    records: int
    text: str
    label: str | None
    labels: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)  # characters
    several: bool = False  # a record carries a list of labels
    header: bool = True  # the first row of a table names its columns
    gaps: int = 0  # records without text or label

    @property
    def characters(self) -> float:
        """Characters of all texts, estimated from those that were read."""
        return sum(self.lengths) * max(1.0, self.records / max(1, len(self.lengths)))

    def lines(self) -> list[str]:
        """The findings in words."""
        said = ", ".join(f"{name} {count}" for name, count in self.languages.most_common())
        middle = sorted(self.lengths)[len(self.lengths) // 2]
        found = [
            f"{self.file.name}: {self.format}, {self.encoding}, about {self.records:,} records",
            f"text: column {self.text!r}; languages of a sample: {said}",
            f"characters in a text: {middle} in the middle, {max(self.lengths)} at most",
        ]
        if not self.header:
            found.append("no header row: its first row looks like data, so columns are called by their numbers")
        if self.label:
            rare = min(self.labels.values())
            found.append(
                f"label: column {self.label!r} with {len(self.labels)} labels; the rarest is seen {rare} times"
            )
        else:
            found.append("label: no column looks like labels, so the recipe only pre-trains on the text")
        return found

    @property
    def chinese(self) -> bool:
        """Is a good part of the text Chinese?"""
        return self.languages["zh"] + self.languages["mixed"] > 0.3 * self.languages.total()

    @property
    def tokens(self) -> int:
        """About how many tokens 19 of 20 texts stay below."""
        return round(sorted(self.lengths)[int(0.95 * (len(self.lengths) - 1))] / (1.5 if self.chinese else 4.0)) + 2


def draft(
    file: str | Path, out: str | Path | None = None, stages: Mapping[str, Stage | Callable[..., Any]] = BUILT_IN
) -> tuple[Path, list[str]]:
    """Write `out/recipe.yaml` for `file`; returns its path and the findings in words."""
    found = find(Path(file))
    folder = Path(out) if out else Path(found.file.name.split(".")[0] + "-recipe")
    path = folder / "recipe.yaml"
    if path.exists():
        raise RecipeError("P-RECIPE-013", path=path)
    with whole_file(path) as target:
        target.write(recipe_text(found, folder.resolve().name, stages))
    return path, found.lines()


def find(file: Path) -> Findings:
    """Look at the data and choose the columns. Raises P-RECIPE-021 when no column holds text."""
    from penjing.base.records import look, read_records
    from penjing.text.language import language_of

    seen = look(file)
    records = list(islice(read_records(file), LOOKED))
    columns = list(seen.columns) or list(dict.fromkeys(key for record in records for key in record))
    text = text_column(records, columns)
    if text is None:
        raise RecipeError("P-RECIPE-021", file=file, known=columns)
    label = label_column(records, [column for column in columns if column != text])
    texts = [str(record[text]) for record in records if record.get(text)]
    found = Findings(file, seen.format, seen.encoding, columns, seen.records, text, label)
    found.lengths = [len(one) for one in texts]
    found.languages = Counter(language_of(one) for one in texts[:500])
    found.gaps = sum(record.get(name) is None for record in records for name in (text, label) if name)
    if label:
        found.labels = Counter(one for record in records for one in labels_in(record.get(label)))
        found.several = any(isinstance(record.get(label), list) for record in records)
        if seen.format in ("csv", "tsv") and found.labels[label] > 1:  # the name of the column is one of its labels
            found.header = False
            found.text, found.label = (str(columns.index(name) + 1) for name in (text, label))
    return found


def labels_in(value: Any) -> list[str]:
    """The labels that one record carries."""
    if value is None or value == "" or isinstance(value, dict):
        return []
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


def text_column(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str | None:
    """A column with a usual name for text, else the one with the longest texts (8 characters and more on average)."""
    means = {}
    for column in columns:
        values = [record[column] for record in records if isinstance(record.get(column), str)]
        if values and not all(numeric(value) for value in values[:200]):
            means[column] = sum(map(len, values)) / len(values)
    for column in columns:
        if column.lower() in TEXTS and column in means:
            return column
    best = max(means, key=lambda column: means[column], default=None)
    return best if best is not None and means[best] >= 8 else None


def label_column(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str | None:
    """A column with a usual name for labels, else the one with the fewest different values, each seen often."""
    counts = {column: Counter(one for record in records for one in labels_in(record.get(column))) for column in columns}
    for column in columns:
        if column.lower() in LABELS and len(counts[column]) >= 2:
            return column
    often = {c: n for c, n in counts.items() if 2 <= len(n) <= 200 and len(n) <= n.total() / 5}
    return min(often, key=lambda column: len(often[column]), default=None)


def numeric(text: str) -> bool:
    """Is this text only a number?"""
    try:
        float(text)
    except ValueError:
        return False
    return True


def recipe_text(found: Findings, name: str, stages: Mapping[str, Stage | Callable[..., Any]]) -> str:
    """The recipe with its comments. Options that a stage does not have are not written."""
    steps = {"clean": clean_lines(found), "tokenizer": tokenizer_lines(found), "pretrain": pretrain_lines(found)}
    if found.label:
        steps |= {"finetune": finetune_lines(found), "evaluate": {}, "report": {}}
    lines = ["# Written by `penjing init`. Every value is an option: `penjing <stage> --help` lists them all.", ""]
    lines += [*(f"# {line}" for line in found.lines()), "", f"name: {flow(recipe_name(name))}", "stages:"]
    for step, chosen in steps.items():
        known = options_of(Stage.of(step, stages[step]).function)
        body = {key: value for key, value in (chosen | links(step, known, steps)).items() if key in known}
        lines.append(f"  {step}:" + ("" if body else " {}"))
        lines += [f"    {key}: {flow(value)}  # {reason}" for key, (value, reason) in body.items()]
    return "\n".join(lines) + "\n"


def recipe_name(folder: str) -> str:
    """A folder's name without what no recipe's name may hold, such as spaces."""
    return re.sub(r"[^\w.-]+", "_", folder).strip("_") or "recipe"


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).removesuffix("...\n").strip()
    )


def clean_lines(found: Findings) -> dict[str, tuple[Any, str]]:
    """What the cleaning step is told."""
    folder, pattern = place(found.file.absolute())
    label = "labels" if found.several else "label"
    columns = {ours: theirs for ours, theirs in (("text", found.text), (label, found.label)) if theirs}
    data = "train" if found.label else "raw"
    chosen: dict[str, tuple[Any, str]] = {
        "folder": (folder.as_posix(), "where your data lies"),
        data: (pattern, f"{found.format}, {found.encoding}"),
    }
    if any(ours != theirs for ours, theirs in columns.items()):
        chosen["columns"] = (columns, "our field: your column")
    if found.gaps:
        chosen["empty"] = ("drop", "some records have no text or no label")
    if found.label:
        chosen["valid_share"] = (0.1, "to stop training at the best moment")
        chosen["test_share"] = (0.1, "never trained on: the scores are measured here")
    return chosen


def place(file: Path) -> tuple[Path, str]:
    """The folder that holds the data, and the pattern of the files inside it."""
    if file.is_dir():
        return file, "*"
    parts = file.parts
    first = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    return Path(*parts[:first]), "/".join(parts[first:])


def tokenizer_lines(found: Findings) -> dict[str, tuple[Any, str]]:
    """What the tokenizer step is told: a small vocabulary for little text."""
    amount = found.characters
    size = next(size for least, size in ((5e6, 8000), (5e5, 4000), (1e5, 2000), (0, 1000)) if amount >= least)
    size *= 2 if found.chinese else 1
    reason = f"about {amount:,.0f} characters" + (", many of them Chinese" if found.chinese else "")
    return {"kind": ("wordpiece", "as BERT's"), "size": (size, reason)}


def pretrain_lines(found: Findings) -> dict[str, tuple[Any, str]]:
    """The network, and how long it reads before it sees a label."""
    much = found.characters > 2e6
    most = min(512, max(64, 1 << (found.tokens - 1).bit_length()))
    chosen: dict[str, tuple[Any, str]] = {
        "family": ("modernbert", "an encoder; bert is another"),
        "layers": (2, "small and fast; more text can feed more layers"),
        "width": (192 if much else 128, "features of a token"),
        "max_tokens": (most, f"19 of 20 texts have fewer than about {found.tokens} tokens"),
        "task": (
            {"masked": {"rate": 0.2 if much else 0.3}},
            "share of the tokens to guess; little text teaches more by a higher one",
        ),
        "optimizer": ("muon", "learns faster than adamw here"),
        "learning_rate": (0.002 if much else 0.003, "the highest learning rate"),
        "batch_tokens": (8192 if much else 4096, "tokens of a batch"),
    }
    if most == 512:
        chosen["window"] = (256, "shorter pieces are faster")
    if found.characters > 5e6:
        minutes = 20 if found.characters > 2e7 else 10
        return chosen | {"minutes": (minutes, "more text deserves more time; epochs may stand here instead")}
    epochs = 20 if found.characters < 2e5 else 12 if not much else 6
    return chosen | {"epochs": (epochs, "little text is read more often; minutes may stand here instead")}


def finetune_lines(found: Findings) -> dict[str, tuple[Any, str]]:
    """How often the records with labels are seen, and how."""
    count = found.records
    epochs = 3 if count > 20_000 else 5 if count > 5_000 else 10 if count > 2_000 else 15
    chosen: dict[str, tuple[Any, str]] = {
        "epochs": (epochs, f"about {count:,} records; fewer records are seen more often"),
        "batch_tokens": (8192 if count > 20_000 else 4096 if count > 5_000 else 1024, "small batches for few records"),
        "learning_rate": (0.001, "the highest learning rate"),
    }
    if found.several:
        chosen["task"] = ({"classify": {"several": True}}, "a record may carry several labels")
    elif max(found.labels.values()) > 3 * min(found.labels.values()):
        chosen["task"] = ({"classify": {"weights": "balanced"}}, "some labels are rare")
    if found.tokens > 512:
        chosen["long_text"] = ("head_tail", "of a long text its beginning and end are read; windows reads all")
    return chosen


def links(step: str, known: Mapping[str, Any], steps: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Which earlier steps a step reads, by the names of its options."""
    order = list(steps)
    before = order[: order.index(step)]
    model = "$pretrain/model" if step == "finetune" else "$finetune"
    usual = {"data": ("clean", "$clean"), "model": ("pretrain", model), "tokenizer": ("tokenizer", "$tokenizer")}
    usual["evaluation"] = ("evaluate", "$evaluate")
    usual |= {name: (name, f"${name}") for name in before if name not in usual}
    return {
        option: (value, f"the step {value[1:].split('/')[0]} above")
        for option, (needs, value) in usual.items()
        if option in known and needs in before and not (option == "tokenizer" and step == "finetune")
    }
