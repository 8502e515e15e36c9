"""Arithmetic: 1 where the last number of the answer is what the expression in the record comes to, exactly.

No answer need be known: the expression, such as `12 + 7 * (3 - 1) =`, is computed in fractions.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import DataError
from penjing.tasks.task import place_of
from penjing.train.rewards import reward

EXPRESSION = re.compile(r"[-+]?[(\d.][\d.\s()+*/×÷·−-]*[\d.)]")
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:/\d+)?")
SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})
DONE: dict[type[ast.AST], Callable[..., Fraction]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
LONGEST = 400  # characters of an expression


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward(reward.Reward):
    """Options of arithmetic."""

    field: Annotated[str, Field(description="where a record has the expression; the longest in it counts")] = "prompt"

    name: ClassVar[str] = "arithmetic"

    def fields(self):
        return (self.field,)

    def check(self, records):
        if absent := super().check(records):
            return absent
        wrong = [number for number, record in enumerate(records) if computed(record[self.field]) is None]
        return [DataError("P-TRAIN-039", field=self.field, given=str(records[n][self.field])[:80], count=len(wrong),
                          **place_of(records[n], n)) for n in wrong[:1]]  # fmt: skip

    def of(self, answers, records):
        return [float(last_number(answer) == computed(record[self.field]))
                for answer, record in zip(answers, records, strict=True)]  # fmt: skip


def last_number(text: str) -> Fraction | None:
    """The last number in a text; thousands may be set apart by commas."""
    found = NUMBER.findall(re.sub(r"(?<=\d),(?=\d{3})", "", text))
    try:
        return Fraction(found[-1].translate(SIGNS)) if found else None
    except ZeroDivisionError:
        return None


def computed(text: Any) -> Fraction | None:
    """What the longest expression in a text comes to; None where there is none."""
    found = max(EXPRESSION.findall(str(text)), key=len, default="")
    if not found or len(found) > LONGEST:
        return None
    try:
        return value(ast.parse(found.translate(SIGNS).strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, KeyError, RecursionError):
        return None


def value(node: ast.AST) -> Fraction:
    """The value of a parsed expression; a KeyError or ValueError where it is none."""
    if isinstance(node, ast.BinOp):
        return DONE[type(node.op)](value(node.left), value(node.right))
    if isinstance(node, ast.UnaryOp):
        return DONE[type(node.op)](value(node.operand))
    if not isinstance(node, ast.Constant):
        raise ValueError(type(node).__name__)
    return Fraction(str(node.value))
