"""The model card of an export: the model's own card, and what was done and lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penjing.base.messages.message import Both
from penjing.export.target import Source

HEAD = "---\nlibrary_name: {library}\ntags:\n- penjing\n- {family}\n---\n\n# {family}, {task}\n"
WORDS = {
    "en": {
        "title": "Export", "read": "Written by Penjing as `{target}`, read by: {runtimes}.",
        "folded": "Folded into the weights: {folded}.", "lost": "Not in it, or not the same:",
        "scores": "Beside the model it was made of: the same token ids of {texts} texts, the same chat templates and stop "
                  "tokens; scores at most {distance:.2g} apart (of the largest; allowed {allowed_distance:.2g}), another "
                  "best choice in {other_choices} of {rows} rows.",
        "answers": "Of {records} records {other_answers} are answered otherwise.",
    },
    "zh": {
        "title": "导出", "read": "由 Penjing 以 `{target}` 格式写出，可用于：{runtimes}。",
        "folded": "已合并进权重：{folded}。", "lost": "没有包含或不尽相同的部分：",
        "scores": "与原模型相比：{texts} 个文本的词元编号、对话模板与结束词元均相同；分数最多相差 {distance:.2g}"
                  "（相对于最大分数；允许 {allowed_distance:.2g}），{rows} 行中有 {other_choices} 行的最佳选择不同。",
        "answers": "{records} 条记录中有 {other_answers} 条的回答不同。",
    },
}  # fmt: skip


def card(source: Source, found: Mapping[str, Any], lost: Sequence[Both], lang: str) -> str:
    """The whole README.md."""
    words, own = WORDS[lang], source.folder / "README.md"
    if own.is_file():
        text = own.read_text(encoding="utf-8").rstrip()
    else:
        library = "onnxruntime" if found["target"].startswith("onnx") else "transformers"
        text = HEAD.format(library=library, family=source.model.family, task=source.model.task.name).rstrip()
    lines = [words["read"], words["scores"]]
    lines += [words["answers"]] if "records" in found else []
    lines += [words["folded"]] if found["folded"] else []
    values = {**found, "folded": ", ".join(found["folded"])}
    parts = [line.format(**values) for line in lines]
    if lost:
        parts.append("\n".join([words["lost"], "", *(f"- {getattr(one, lang)}" for one in lost)]))
    return "\n\n".join([text, f"## {words['title']}", *parts]) + "\n"
