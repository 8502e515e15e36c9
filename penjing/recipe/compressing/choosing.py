"""Which point is taken, what may be claimed of it, and how many records a claim would need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from penjing.base.errors import ModelError
from penjing.evaluate.drop import SURE
from penjing.recipe.compressing.limits import Limits
from penjing.recipe.compressing.proposing import HEAL, Stack

Point = Mapping[str, Any]


def told(stack: Stack) -> str:
    """A stack in one line: `layers 3 > heal > int8`."""
    parts = []
    for one in stack:
        name, options = (one, {}) if isinstance(one, str) else next(iter(one.items()))
        values = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in (options or {}).values())
        parts.append(" ".join([name, *values]))
    return " > ".join(parts) or "original"


def shown(point: Point, allowed: float) -> bool:
    """Whether its drop is within the budget with confidence."""
    return bool(point["drop"]["high"] <= allowed)


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both size and drop, from the smallest on."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one["bytes"], one["drop"]["value"])):
        if not found or point["drop"]["value"] < found[-1]["drop"]["value"]:
            found.append(point)
    return found


def chosen(points: Sequence[Point], size: int, allowed: float, limits: Limits) -> Point | None:
    """The smallest point that is smaller than the original, within the budget with confidence, and as small and quick
    as asked; None where nothing can be shown. P-CHANGE-112: what can be shown is not as small or quick as asked."""
    within = sorted((p for p in points if shown(p, allowed) and p["bytes"] < size), key=lambda p: p["bytes"])
    for point in within:
        if limits.met(point["bytes"], point["seconds"]["one"]):
            return point
    if not within:
        return None
    quickest = min(point["seconds"]["one"] for point in within)
    raise ModelError(
        "P-CHANGE-112", given=limits.told(), size=f"{within[0]['bytes'] / 1e6:.3g} MB",
        latency=f"{1000 * quickest:.3g} ms", stack=told(within[0]["stack"]),
    )  # fmt: skip


def needed(points: Sequence[Point], size: int, allowed: float) -> int | None:
    """How many records would show the point that is nearest to being shown, if it is as good as it looks; None where
    no smaller model even looks good enough."""
    hopes = [point["drop"] for point in points if point["bytes"] < size and point["drop"]["value"] < allowed]
    return min((ceil(drop["records"] * ((drop["high"] - drop["value"]) / (allowed - drop["value"])) ** 2)
                for drop in hopes), default=None)  # fmt: skip


def verdict(
    point: Point | None,
    confirmed: Mapping[str, Any] | None,
    allowed: float,
    mark: float,
    more: int | None,
    records: int,
) -> dict[str, str]:
    """outcome, and the words for it in both languages. `confirmed`: the drop on the test split, if there is one."""
    per = 100 / mark
    budget, sure = f"{per * allowed:.3g}", f"{100 * SURE:g}"
    if point is None:
        return nothing(budget, sure, records, more)
    drop = point["drop"] if confirmed is None else confirmed
    value, high = (f"{per * drop[name]:+.2f}" for name in ("value", "high"))
    split, count, stack = ("valid" if confirmed is None else "test"), drop["records"], told(point["stack"])
    en = f"{stack}: {value} points lost on {count} {split} records, at most {high} with {sure} % confidence"
    zh = f"{stack}：在 {count} 条 {split} 记录上损失 {value} 个百分点，以 {sure}% 的置信度至多 {high}"
    if confirmed is None:
        return {"outcome": "unconfirmed",
                "en": f"not confirmed: {en}; the search looked at them, and there is no test split",
                "zh": f"未经确认：{zh}；搜索过程使用过这些记录，而没有测试集"}  # fmt: skip
    if drop["high"] <= allowed:
        return {"outcome": "confirmed",
                "en": f"confirmed on records that the search never saw: {en}, within the budget of {budget}",
                "zh": f"已在搜索未见过的记录上确认：{zh}，在预算 {budget} 之内"}  # fmt: skip
    return {"outcome": "not_confirmed",
            "en": f"not confirmed: {en}, and the budget is {budget}; no claim is made",
            "zh": f"未能确认：{zh}，而预算为 {budget}；不作任何结论"}  # fmt: skip


def nothing(budget: str, sure: str, records: int, more: int | None) -> dict[str, str]:
    """The verdict where no smaller model can be shown to be within the budget."""
    en = f"no smaller model can be shown to lose at most {budget} points with {sure} % confidence on {records} valid records"
    zh = f"用 {records} 条 valid 记录无法以 {sure}% 的置信度证明任何更小的模型损失不超过 {budget} 个百分点"
    if more is None:
        return {"outcome": "nothing",
                "en": f"{en}, and none looks as if it did: no model is left",
                "zh": f"{zh}，且没有模型看起来达标：不保留模型"}  # fmt: skip
    return {"outcome": "not_shown",
            "en": f"{en}; about {more} would be needed: no claim is made, and no model is left",
            "zh": f"{zh}；约需 {more} 条：不作任何结论，也不保留模型"}  # fmt: skip


def healed(stack: Stack) -> bool:
    """Whether a stack ends with training."""
    return bool(stack) and stack[-1] == HEAL
