"""Jinja for strangers' templates: what transformers gives them, no way out, and a bounded amount of work.

Everything in a template that can grow is made to pay (`budget.py`): loops and macros by a call put at their head,
operators, calls, filters and literals where the environment is asked for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from functools import cache, wraps
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from penjing.text.budget import CALL, WIDTH, Budget, SpentError

OPERATORS = frozenset(("+", "*", "**", "%"))
BODIES = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)

budget: ContextVar[Budget] = ContextVar("budget")
marks: ContextVar[tuple[str, str]] = ContextVar("marks", default=("", ""))  # put around what the assistant says


class RefusedError(TemplateError):
    """The template itself said no, by raise_exception."""


def refuse(message: Any = "") -> None:
    raise RefusedError(str(message))


def now(form: str) -> str:
    """The date in a form of usual length: one field may fill 256 times as many characters."""
    if len(form) > WIDTH:
        raise SpentError(f"a form of a date of {len(form)} characters")
    return datetime.now().strftime(form)


def to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as it is: Jinja's own filter would write < > & ' as escapes."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class Table:
    """`dict` in templates: it makes tables and has no other attribute."""

    def __call__(self, *given: Any, **named: Any) -> dict[Any, Any]:
        return dict(*given, **named)

    def fromkeys(self, *given: Any) -> dict[Any, Any]:
        return dict.fromkeys(*given)


class Names(Namespace):
    """`namespace` in templates, without underscored names."""

    def __init__(*given: Any, **named: Any) -> None:
        self, *rest = given
        for name in dict(*rest, **named):
            Names.allow(name)
        Namespace.__init__(self, *rest, **named)

    def __setitem__(self, name: str, value: Any) -> None:
        Names.allow(name)
        Namespace.__setitem__(self, name, value)

    def __repr__(self) -> str:
        return "<namespace>"  # what it holds may hold it

    @staticmethod
    def allow(name: Any) -> None:
        if str(name).startswith("_"):
            raise SecurityError(f"the name {name!r} on a namespace")


class Generation(Extension):
    """`{% generation %} … {% endgeneration %}`: what the assistant says."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("said"), [], [], body).set_lineno(line)

    def said(self, caller: Callable[[], str]) -> str:
        first, last = marks.get()
        return f"{first}{caller()}{last}"


class Bounded(NodeTransformer):
    """Joined texts and literals with something computed in them go through the environment, which measures them."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        return asked("joined", self.generic_visit(node).nodes, node.lineno)

    def literal(self, node: Any) -> nodes.Node:
        node = self.generic_visit(node)
        fixed = getattr(node, "ctx", "load") != "load" or not any(node.find_all((nodes.Name, nodes.Call)))
        return node if fixed else asked("made", [node], node.lineno)

    visit_List = visit_Tuple = visit_Dict = literal  # noqa: N815


def asked(name: str, given: list[Any], line: int) -> nodes.Call:
    """A call of a method of the environment."""
    return nodes.Call(nodes.EnvironmentAttribute(name), given, [], None, None).set_lineno(line)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all chat templates."""

    intercepted_binops = OPERATORS

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, LoopControlExtension], finalize=shown
        )
        del self.globals["lipsum"]  # random text has no place in a prompt
        self.globals |= {"raise_exception": refuse, "dict": Table(), "namespace": Names}
        self.globals["strftime_now"] = now
        self.filters = {name: paying(name, filter) for name, filter in (self.filters | {"tojson": to_json}).items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in list(tree.find_all(BODIES)):
            fixed = sum(len(data.data) for part in node.body for data in part.find_all(nodes.TemplateData))
            node.body.insert(
                0, nodes.ExprStmt(asked("turn", [nodes.Const(fixed)], node.lineno)).set_lineno(node.lineno)
            )
        return Bounded().visit(tree)

    def turn(self, units: int) -> None:
        budget.get().turn(units)

    def joined(self, *parts: Any) -> str:
        for part in parts:
            shown(part)
        return str(budget.get().take("".join(map(str, parts))))

    def made(self, value: Any) -> Any:
        return budget.get().take(value, text=False)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """Jinja would wait until the value is used."""
        raise SecurityError(f"the attribute {attribute!r} of a {type(obj).__name__}")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        budget.get().before_operator(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *given: Any, **named: Any) -> Any:  # noqa: B902, N805
        inner = getattr(__obj, "__wrapped__", __obj)
        owner = getattr(inner, "__self__", None)
        left = budget.get()
        if isinstance(owner, str | bytes | int):
            values = [value for name, value in named.items() if not name.startswith("_")]  # Jinja's own have one
            left.before_call(inner.__name__, owner, [*given, *values])
        elif not isinstance(owner, Sandbox):
            left.spend(CALL)
        found = super().call(__context, __obj, *given, **named)
        return found if isinstance(owner, Sandbox) else left.take(found, text=isinstance(found, str))


def shown(value: Any) -> Any:
    """Pay for a value that is about to be written."""
    return budget.get().take(value)


def paying(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that is paid for before it works, and its result after."""
    passed = int(hasattr(function, "jinja_pass_arg"))  # the context comes before the value

    @wraps(function)  # it keeps Jinja's note that the filter wants the context, too
    def filter(*given: Any, **named: Any) -> Any:
        left = budget.get()
        left.before_call(name, given[passed], [*given[passed + 1 :], *named.values()])
        found = function(*given, **named)
        return left.take(found, text=isinstance(found, str))

    return filter


@cache
def sandbox() -> Sandbox:
    return Sandbox()


def plain(value: Any) -> Any:
    """Data as templates get it: rebuilt of plain values, so that none brings methods with it."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return f"<{type(value).__name__}>"
