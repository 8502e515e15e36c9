"""The round-trip certificate of an export: the same questions to the model and to what was written, through its own runtime.

Written into a folder aside; what fails leaves nothing at its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.errors import ModelError, PenjingError, language
from penjing.base.files import whole_folder, write_json
from penjing.base.messages.message import Both
from penjing.export.card import card
from penjing.export.target import Source, Target
from penjing.tasks.defaults import ids, without_repeats
from penjing.tasks.likeness import Records, compared, seen
from penjing.tasks.model import Model
from penjing.text.chat import Chat
from penjing.text.tokenizer import Tokenizer

CERTIFICATE = "export.json"
TALK = (
    {"role": "user", "content": "Where is my parcel?"},
    {"role": "assistant", "content": "它在路上。"},
    {"role": "user", "content": "  Thanks\n"},
)
WHOLE = Both("what stood for fewer numbers (low rank, fewer bits) is whole matrices again",
             "以更少数字代替的部分（低秩、低位宽）已还原为完整矩阵")  # fmt: skip
WORDS = {  # of a certificate: what is told when it is not so
    "same_tokens": Both("the tokens of {texts} texts are others", "{texts} 个文本的词元不同"),
    "same_template": Both("chat templates are missing or write another text", "对话模板缺失或写出的文本不同"),
    "same_stops": Both("answers end at other tokens: {stops}", "结束词元不同：{stops}"),
    "near": Both("scores are {distance:.2g} apart, {allowed_distance:.2g} is allowed",
                 "分数相差 {distance:.2g}，最多允许 {allowed_distance:.2g}"),
    "same_choices": Both("{other_choices} of {rows} rows have another best choice",
                         "{rows} 行中有 {other_choices} 行的最佳选择不同"),
    "same_answers": Both("{other_answers} of {records} answers are others", "{records} 个回答中有 {other_answers} 个不同"),
}  # fmt: skip


def said(model: Model, generation: Mapping[str, Any], records: Records, measured: Callable[..., Any]) -> dict[str, Any]:
    """What a model, or an export standing in for it, says: tokens, scores, answers, rendered talks, stop tokens."""
    return seen(model, records, measured) | {
        "templates": rendered(model.tokenizer),
        "stops": stops(model.tokenizer, generation),
    }


def rendered(tokenizer: Tokenizer) -> dict[str, str]:
    """A conversation by each chat template, or what hinders it."""
    found = {}
    for name in tokenizer.templates:
        try:
            found[name] = Chat(tokenizer, name).render(TALK, add_generation_prompt=True)
        except PenjingError as error:
            found[name] = error.code
    return found


def stops(tokenizer: Tokenizer, generation: Mapping[str, Any]) -> list[int]:
    """The tokens at which an answer ends: by generation_config.json, by the tokenizer, and by its chat templates."""
    own = () if tokenizer.end is None else (tokenizer.end,)
    turns = Chat(tokenizer).ends if tokenizer.templates else ()
    told = ids(generation.get("eos_token_id"), "eos_token_id", "generation_config.json")
    return sorted(without_repeats(told, own, turns))


def judged(before: Mapping[str, Any], after: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The certificate of what was said before and after."""
    found = compared(before, after, target.limits()) | {
        "same_template": before["templates"] == after["templates"],
        "same_stops": before["stops"] == after["stops"],
        "stops": after["stops"],
    }
    found["passed"] = found["passed"] and found["same_template"] and found["same_stops"]
    return found


def findings(found: Mapping[str, Any], target: Target) -> list[Both]:
    """What a certificate that failed says, in words."""
    limits = target.limits()
    so = {
        **{name: found[name] for name in ("same_tokens", "same_template", "same_stops")},
        "near": found["distance"] <= limits.distance,
        "same_choices": limits.choices is None or found["other_choices"] <= limits.choices * found["rows"],
        "same_answers": found.get("other_answers", 0) <= limits.answers * found.get("records", 0),
    }
    return [Both(*(text.format(**found) for text in WORDS[name])) for name, well in so.items() if not well]


def export(
    place: Path, target: Target, source: Source, before: Mapping[str, Any], records: Records,
    measured: Callable[..., Any],
) -> dict[str, Any]:  # fmt: skip
    """Write one target to `place` and prove it; on any failure nothing is left there. Raises P-EXPORT-002."""
    with whole_folder(place) as part:
        target.write(source, part)
        after = said(target.read(part, source), target.generation(part), records, measured)
        found = {"target": target.name, "runtimes": target.runtimes} | judged(before, after, target)
        if not found["passed"]:
            told = findings(found, target)
            raise ModelError("P-EXPORT-002", given=target.name, findings=listed(told))
        lost = target.lost(source) + ([WHOLE] if source.model.changes.standing and not target.changes else [])
        folded = [] if target.changes else [one.change.name for one in source.model.changes]
        about = {"folded": folded, "lost": [one.en for one in lost], "bytes": size(part)}
        write_json(part / CERTIFICATE, found | about)
        (part / "README.md").write_text(card(source, found | about, lost, language()), encoding="utf-8")
    return found | about


def listed(several: Sequence[Both]) -> Both:
    """Several parts of a message as one."""
    return Both("; ".join(one.en for one in several), "；".join(one.zh for one in several))


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
