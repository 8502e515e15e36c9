"""A recipe from the rules' answers: which steps there are, what the data step is told, and beside each value why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from penjing.base.errors import DataError, RecipeError
from penjing.base.files import whole_file
from penjing.base.options import options_of
from penjing.recipe.advice import LANGUAGES, TASKS, Advice
from penjing.recipe.advice_facts import Facts, Machine
from penjing.recipe.advice_text import Text
from penjing.recipe.columns import RAW
from penjing.recipe.looking import AS_THEY_ARE, COMPARED, TAUGHT, Data, look_at
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN

Stages = Mapping[str, Stage | Callable[..., Any]]
Reasoned = dict[str, tuple[Any, str]]  # option: its value, and why

RECORDS = {  # task: what its records are to the step clean
    "tag": "tags",
    "seq2seq": "pairs",
    "chat": "dialogues",
    "reinforce": "dialogues",
    "preference": "preferences",
    "reward": "preferences",
}
SHARE = 0.1  # of the records, split off for valid and for test
WRITTEN = Text(
    "# Written by Penjing from the data below. Every value is an option: `penjing <stage> --help` lists them all.",
    "# 由 Penjing 根据以下数据写成。每个值都是选项：`penjing <stage> --help` 列出全部。",
)
ABOVE = Text("the step {} above", "上面的步骤 {}")


def draft(file: str | Path, out: str | Path | None = None, stages: Stages = BUILT_IN) -> tuple[Path, list[str]]:
    """Write `out/recipe.yaml` for `file` by what its fields and texts say; returns its path and the findings in words."""
    data = look_at(file)
    facts = Facts(data, Machine(0, 0.0))
    path = write_recipe(facts, answers(facts), out, stages)
    return path, [line.said() for line in describe(data)]


def answers(facts: Facts) -> dict[str, Advice]:
    """The answer to each question that arises, by topic."""
    from penjing.recipe.advice_training import TOPICS

    found = {topic.name: topic.answer(facts) for topic in TOPICS}
    return {name: advice for name, advice in found.items() if advice is not None}


def describe(data: Data) -> list[Text]:
    """What was seen, in words."""
    said = ", ".join(f"{name} {count}" for name, count in sorted(data.languages.items(), key=lambda one: -one[1]))
    middle, longest = data.lengths[len(data.lengths) // 2], data.lengths[-1]
    task, column = TASKS[data.task], "" if data.text is None else f" ({data.text})"
    found = [
        Text(f"{data.path.name}: {data.format}, {data.encoding}, about {data.records:,} records",
             f"{data.path.name}：{data.format}，{data.encoding}，约 {data.records:,} 条记录"),
        Text(f"the fields are for {data.task}: {task.en}{column}", f"字段适合 {data.task}：{task.zh}{column}"),
        Text(f"languages of a sample: {said} ({LANGUAGES[data.language].en})",
             f"抽样文本的语言：{said}（{LANGUAGES[data.language].zh}）"),
        Text(f"characters in a text: {middle} in the middle, {longest} at most",
             f"每条文本的字符数：中位数 {middle}，最多 {longest}"),
    ]  # fmt: skip
    if not data.header:
        found.append(Text("no header row: its first row looks like data, so columns are called by their numbers",
                          "没有表头：第一行像数据，因此列以编号称呼"))  # fmt: skip
    if data.labels:
        name, count = data.rarest
        which = "" if data.label is None else f" ({data.label})"
        found.append(Text(f"{len(data.labels)} labels{which}; the rarest, {name}, is seen {count} times",
                          f"{len(data.labels)} 个标签{which}；最少的 {name} 出现 {count} 次"))  # fmt: skip
    elif data.task in RAW:
        found.append(Text("no column looks like labels, so the recipe only pre-trains on the text",
                          "没有像标签的列，因此配方只在文本上预训练"))  # fmt: skip
    return found


# ---- the recipe ----


def write_recipe(
    facts: Facts, found: Mapping[str, Advice], out: str | Path | None = None, stages: Stages = BUILT_IN
) -> Path:
    """Write the recipe of these answers into a folder (here, named after the data, where none is given)."""
    folder = Path(out) if out else Path(facts.data.path.name.split(".")[0] + "-recipe")
    path = folder / "recipe.yaml"
    if path.exists():
        raise RecipeError("P-RECIPE-013", path=path)
    text = recipe_text(facts, found, folder.resolve().name, stages)
    with whole_file(path) as target:
        target.write(text)
    return path


def recipe_text(facts: Facts, found: Mapping[str, Advice], name: str, stages: Stages) -> str:
    """The recipe with its comments. Options that a stage does not have are not written."""
    order = steps_of(facts)
    lines = [WRITTEN.said(), "", *(f"# {line.said()}" for line in describe(facts.data)), ""]
    lines += [f"name: {flow(recipe_name(name))}", "stages:"]
    for step in order:
        known = options_of(Stage.of(step, stages[step]).function)
        body = options_for(step, facts, found) | links(step, known, order, facts)
        body = {key: value for key, value in body.items() if key in known}
        lines.append(f"  {step}:" + ("" if body else " {}"))
        lines += [f"    {key}: {flow(value)}  # {reason}" for key, (value, reason) in body.items()]
    return "\n".join(lines) + "\n"


def steps_of(facts: Facts) -> list[str]:
    """The steps of the recipe, in order."""
    task, fresh = facts.data.task, facts.start is None
    if task == "reinforce" and not fresh:
        return ["reinforce"]
    found = [] if task in AS_THEY_ARE else ["clean"]
    if facts.prompted:
        return [*found, "fewshot"]
    found += ["tokenizer"] if fresh else []
    if task in RAW:
        return [*found, "pretrain", *(["evaluate"] if task == "causal" and "test" in facts.data.files else [])]
    if task == "reinforce":
        return [*found, "pretrain", "finetune", "reinforce"]
    found += ["pretrain"] if fresh and task in (*TAUGHT, *COMPARED, "tag", "chat") else []
    measured = task not in AS_THEY_ARE or "test" in facts.data.files
    return [*found, "finetune", *(["evaluate", "report"] if measured else [])]


def options_for(step: str, facts: Facts, found: Mapping[str, Advice]) -> Reasoned:
    """What a step is told, by the data and by the answers; `step.choice.name.option` goes inside the choice."""
    if step == "clean":
        return data_options(facts.data)
    chosen: Reasoned = {}
    for advice in found.values():
        reason = advice.because[0].said()
        for place, value in advice.sets.items():
            owner, option, *inside = place.split(".")
            if owner == step:
                before = chosen.get(option, ({}, reason))
                chosen[option] = (within(before[0], inside, value), before[1])
    if step == "finetune" and facts.data.task != "classify":
        chosen.setdefault("task", (facts.data.task, TASKS[facts.data.task].said()))
    return chosen


def within(old: Any, inside: Sequence[str], value: Any) -> Any:
    """`value` at a place inside the mapping `old`; no two answers mean the same place."""
    if not inside:
        return value
    name, *deeper = inside
    return {**old, name: within(old.get(name, {}), deeper, value)}


def recipe_name(folder: str) -> str:
    """A folder's name without what no recipe's name may hold, such as spaces."""
    return re.sub(r"[^\w.-]+", "_", folder).strip("_") or "recipe"


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).removesuffix("...\n").strip()
    )


def links(step: str, known: Mapping[str, Any], order: Sequence[str], facts: Facts) -> Reasoned:
    """Which earlier steps a step reads, by the names of its options; of some tasks the user's own folder."""
    before = order[: order.index(step)]
    model = "finetune" if "finetune" in before else "pretrain"
    inside = "/model" if step == "finetune" else ""
    usual = {
        "data": ("clean", "$clean"),
        "model": (model, f"${model}{inside}"),
        "tokenizer": ("tokenizer", "$tokenizer"),
    }
    usual["evaluation"] = ("evaluate", "$evaluate")
    usual |= {name: (name, f"${name}") for name in before if name not in usual}
    learnt = step == "finetune" and "pretrain" in before  # its model brings the tokenizer
    found: Reasoned = {
        option: (value, ABOVE.said().format(value[1:].split("/")[0]))
        for option, (needs, value) in usual.items()
        if option in known and needs in before and not (option == "tokenizer" and learnt)
    }
    own = facts.data.task in AS_THEY_ARE and step != "report"
    if "data" in known and (own or step == "reinforce"):
        found["data"] = (own_folder(facts.data).as_posix(), WHERE.said())
    return found


# ---- the data step ----

WHERE = Text("where your data lies", "数据所在的文件夹")
TO_STOP = Text("to stop training at the best moment", "用于在最好的时候停止训练")
NEVER = Text("never trained on: the scores are measured here", "从不参与训练：分数在此测得")


def data_options(data: Data) -> Reasoned:
    """What the step that makes the records is told."""
    folder, pattern = place(data.path.absolute())
    chosen: Reasoned = {"folder": (folder.as_posix(), WHERE.said())}
    if data.task in RECORDS:
        chosen["records"] = (RECORDS[data.task], TASKS[data.task].said())
    chosen |= {} if parallel(data) else named_files(data, pattern)
    columns = columns_of(data)
    if any(ours != theirs for ours, theirs in columns.items()):
        chosen["columns"] = (columns, Text("our field: your column", "我们的字段：您的列").said())
    if data.gaps:
        chosen["empty"] = ("drop", Text("some records have no text or no label", "有的记录缺文本或标签").said())
    shared = data.task not in RAW
    for split, reason in (("valid", TO_STOP), ("test", NEVER)):
        if shared and split not in data.files:
            chosen[f"{split}_share"] = (SHARE, reason.said())
    return chosen


def parallel(data: Data) -> bool:
    """Do pairs lie in two files for each split? The stage finds these by itself."""
    return data.files.get("train") == "train"


def named_files(data: Data, pattern: str) -> Reasoned:
    """The files of each split."""
    reason = f"{data.format}, {data.encoding}"
    if data.files:
        return {split: (name, reason) for split, name in data.files.items()}
    return {"raw" if data.task in RAW else "train": (pattern, reason)}


def columns_of(data: Data) -> dict[str, str]:
    """Our field: their column."""
    label = "labels" if data.several else "label"
    named = (("text", data.text), ("text_b", data.second), (label, data.label))
    return {ours: theirs for ours, theirs in named if theirs}


def own_folder(data: Data) -> Path:
    """The user's folder with files called train.*, which a task reads as it is. Raises P-ADVISE-003."""
    if not data.path.is_dir() or data.files.get("train", "").split(".")[0] != "train":
        raise DataError("P-ADVISE-003", task=data.task, given=data.path.name)
    return data.path.absolute()


def place(file: Path) -> tuple[Path, str]:
    """The folder that holds the data, and the pattern of the files inside it."""
    if file.is_dir():
        return file, "*"
    parts = file.parts
    first = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    return Path(*parts[:first]), "/".join(parts[first:])
