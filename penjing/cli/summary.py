"""What a command says at its end: a table that a person understands in ten seconds, and what to try next."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from penjing.base.errors import language
from penjing.cli.draw import clock
from penjing.recipe.runner import Run

SHOWN = 6  # how many facts of one step
WIDE = 100  # columns of a terminal that hold three scores with their intervals, else two are shown
APART = (
    "model",
    "baselines",
    "ensemble",
    "teacher",
    "verdict",
    "curve",
    "others",
    "before",
    "after",
    "alone",
    "targets",
    "front",
    "drop",
)  # scores, shown in a table of their own
WORDS = {
    "en": {"step": "step", "state": "", "time": "time", "result": "result", "made": "made", "kept": "unchanged",
           "to make": "to make", "to continue": "to continue", "left out": "left out", "model": "the model",
           "ensemble": "both together", "interval": "95 % interval", "next": "Try next:", "predict": "ask it",
           "report": "read the report", "init": "use your own data", "example": "Where is my parcel?",
           "shots": "examples in the prompt: {n}", "trained": "the trained model", "before": "before folding",
           "after": "after folding", "adapter": "adapter {name} alone", "target": "target",
           "size": "size", "apart": "scores apart", "turned": "other answers", "folder": "folder",
           "stack": "what was done", "speed": "times as fast", "alone": "one record", "lost": "points lost (90 % interval)",
           "taken": "", "teacher": "the teacher"},
    "zh": {"step": "步骤", "state": "", "time": "用时", "result": "结果", "made": "已生成", "kept": "未变",
           "to make": "将生成", "to continue": "将继续", "left out": "不做", "model": "本模型", "ensemble": "两者合用",
           "interval": "95% 区间", "next": "接下来可以：", "predict": "向它提问", "report": "查看报告",
           "init": "换成你自己的数据", "example": "我的包裹到哪里了？", "shots": "提示中的示例：{n}", "trained": "训练好的模型",
           "before": "合并前", "after": "合并后", "adapter": "仅适配器 {name}",
           "target": "目标", "size": "大小", "apart": "分数差", "turned": "不同的回答", "folder": "文件夹",
           "stack": "所做修改", "speed": "提速倍数", "alone": "单条用时", "lost": "损失百分点（90% 区间）", "taken": "",
           "teacher": "教师"},
}  # fmt: skip


def show_plan(run: Run) -> None:
    """What `--dry-run` found."""
    words = WORDS[language()]
    rows = [[one.name, words[run.states[one.name]], (run.out / one.folder).as_posix()] for one in run.steps]
    draw(["step", "state", "result"], rows)


def show_run(run: Run) -> None:
    """The steps, the scores, the verdict, the next commands."""
    words, rows = WORDS[language()], []
    for one in run.steps:
        manifest = run.manifests.get(one.name, {})
        seconds = clock(manifest["seconds"]) if manifest else ""
        rows.append([one.name, words[run.states[one.name]], seconds, facts(manifest.get("result", {}))])
    draw(["step", "state", "time", "result"], rows)
    for manifest in run.manifests.values():
        show_result(manifest)
    show_next(run)


def show_stage(manifest: dict[str, Any], out: str | Path) -> None:
    """The result of one stage called on its own."""
    rows = [[manifest["step"], str(out), clock(manifest["seconds"]), facts(manifest["result"])]]
    draw(["step", "state", "time", "result"], rows)
    show_result(manifest)
    if manifest["stage"] == "export":
        show_exports(manifest["result"]["targets"], Path(out))


def show_result(manifest: dict[str, Any]) -> None:
    """A table of scores, where the stage gives scores."""
    if manifest["stage"] in ("evaluate", "distil_linear"):
        show_scores(manifest["result"])
    if manifest["stage"] == "fewshot":
        show_shots(manifest["result"])
    if manifest["stage"] in ("merge", "shrink"):
        show_folding(manifest["result"])
    if manifest["stage"] == "compress":
        show_front(manifest["result"])


def facts(result: dict[str, Any]) -> str:
    """The first plain facts of a stage's summary."""
    plain = plain_facts({key: value for key, value in result.items() if key not in APART})
    return ", ".join(f"{name} {number(value)}" for name, value in islice(plain, SHOWN))


def plain_facts(result: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Name and value of every number and text; those inside a mapping carry its name in front."""
    for key, value in result.items():
        name = f"{before} {key}".strip().replace("_", " ")
        if isinstance(value, int | float | str) and key != "fingerprint":
            yield name, value
        elif isinstance(value, dict) and "value" in value:
            yield name, interval(value)
        elif isinstance(value, dict):
            yield from plain_facts(value, name)


def number(value: Any) -> str:
    """12345 -> 12,345; 0.91234 -> 0.912; long text is cut."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:60]


def scored(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Who was measured, with the scores by name: the model, its teacher, each baseline, the ensemble."""
    words = WORDS[language()]
    parts = {words[name]: result.get(name) for name in ("model", "teacher")} | dict(result.get("baselines") or {})
    parts[words["ensemble"]] = result.get("ensemble")
    for name, scores in parts.items():
        found = {k: v for k, v in (scores or {}).items() if isinstance(v, dict) and "value" in v}
        if found:
            yield name, found


def show_scores(result: dict[str, Any]) -> None:
    """One line for each that was measured, then the verdict in words."""
    score_table(dict(scored(result)))
    if result.get("verdict"):
        print(f"\n{result['verdict']}")


def show_folding(result: dict[str, Any]) -> None:
    """The scores before and after, and those of each adapter by itself."""
    words = WORDS[language()]
    alone = {words["adapter"].format(name=name): scores for name, scores in (result.get("alone") or {}).items()}
    score_table(alone | {words[name]: result[name] for name in ("before", "after") if result.get(name)})


def show_front(result: dict[str, Any]) -> None:
    """One line for each model that no other one beats in both size and loss, then the verdict in words."""
    rows = []
    for point in result["front"]:
        drop = {side: point["drop"][side] for side in ("value", "low", "high")}
        lost = f"{drop['value']:+.2f} ({drop['low']:+.2f} – {drop['high']:+.2f})"
        rows.append(["*" if point["chosen"] else "", point["stack"], f"{point['bytes'] / 1e6:.3g} MB",
                     f"{point['speed']:.2f}", f"{point['milliseconds']:.3g} ms", lost])  # fmt: skip
    if rows:
        print()
        draw(["taken", "stack", "size", "speed", "alone", "lost"], rows)
    print(f"\n{result['verdict']}")


def show_exports(targets: dict[str, Any], out: Path) -> None:
    """One line for each target: its size, how far its scores are from the model's, and answers that differ."""
    rows = []
    for name, found in targets.items():
        turned = f"{found['other_answers']} / {found['records']}" if "records" in found else ""
        rows.append([name, f"{found['bytes'] / 1e6:.3g} MB", f"{found['distance']:.2g}", turned, str(out / name)])
    print()
    draw(["target", "size", "apart", "turned", "folder"], rows)


def score_table(measured: dict[str, dict[str, Any]]) -> None:
    """A row for each that was measured, a column for each of the first scores."""
    most = 3 if not sys.stdout.isatty() or shutil.get_terminal_size().columns >= WIDE else 2
    names = list(dict.fromkeys(name for scores in measured.values() for name in scores))[:most]
    rows = [[who, *(interval(scores.get(name)) for name in names)] for who, scores in measured.items()]
    if rows:
        print()
        draw(["", *(f"{name.replace('_', ' ')} ({WORDS[language()]['interval']})" for name in names)], rows)


def show_shots(result: dict[str, Any]) -> None:
    """One line for each number of examples, then the others, then the verdict in words."""
    words = WORDS[language()]
    named = {words["shots"].format(n=number): scores for number, scores in result["curve"].items()}
    named |= {words.get(name, name): scores for name, scores in result["others"].items()}
    rows = [[name, interval(scores["accuracy"]), f"{scores['macro_f1']:.3f}"] for name, scores in named.items()]
    print()
    draw(["", f"accuracy ({words['interval']})", "macro f1"], rows)
    if result.get("verdict"):
        print(f"\n{result['verdict']}")


def interval(score: dict[str, Any] | None) -> str:
    """0.912 (0.901 – 0.923)"""
    if not score:
        return ""
    if score.get("low") is None or score.get("high") is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} ({score['low']:.3f} – {score['high']:.3f})"


def show_next(run: Run) -> None:
    """The commands to try next, as far as the run has what they need."""
    from penjing.tasks import kind_of_task

    words, stages = WORDS[language()], {one.stage.name: one.name for one in run.steps if one.name in run.manifests}
    commands = []
    if "finetune" in stages:
        task = run.manifests[stages["finetune"]]["result"].get("task", "classify")
        asked = f'"{words["example"]}"' if task == "classify" else " ".join(kind_of_task(task).typed).upper()
        commands.append((words["predict"], f"penjing predict {run.out} {asked}"))
    if "report" in stages:
        opener = "open" if sys.platform == "darwin" else "xdg-open"
        commands.append((words["report"], f"{opener} {run.out / stages['report'] / 'report.html'}"))
    commands.append((words["init"], "penjing init YOUR_FILE.csv"))
    print(f"\n{words['next']}")
    for reason, text in commands:
        print(f"  {text}    # {reason}")


def draw(heads: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; without a terminal it is not cut to a width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    words = WORDS[language()]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(words.get(head, head), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else 200
    Console(file=sys.stdout, width=width).print(table)
