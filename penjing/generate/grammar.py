"""Output that must match: a JSON schema, a regular expression, a choice list or a context-free grammar.

    grammar = Grammar.json({"type": "integer"}, Vocabulary(tokenizer))
    complete(network, prompts, options, rules=[GrammarRule(grammar)])

A grammar is compiled once and serves any number of rows; llguidance walks the vocabulary for the tokens that fit.
What matches is the text of the answer's tokens decoded by themselves. Shapes: R rows, V vocabulary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from penjing.base.errors import GenerateError, known, needs_extra
from penjing.generate.completion import Finder, Found, ended
from penjing.generate.rules import Rule
from penjing.generate.schema import broken_at, check_schema
from penjing.text.token_bytes import token_bytes
from penjing.text.tokenizer import Tokenizer

Style = Literal["compact", "spaced", "free"]
STYLES: dict[str, dict[str, Any]] = {
    "compact": {"whitespace_flexible": False},  # {"a":1,"b":2}
    "spaced": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},  # {"a": 1, "b": 2}
    "free": {"whitespace_flexible": True},
}
HEAD = '%llguidance {"no_forcing": true}\n'  # the network chooses how a forced text is cut into tokens
LEADING = {"kept": "", "dropped": '" "? ', "always": '" " '}  # what decoding takes off the first token
WRAPPINGS = ("failed to compile JSON schema: ", "Failed to convert the grammar from GBNF to Lark: ")
LONGEST = 1000  # tokens of the shortest text that is looked for
BETTER = 200  # states looked at for a still shorter one
LOOK_AHEAD = 64  # tokens of room below which each token is tried before it is allowed
TRIED_AHEAD = 4  # the best tokens of a row, tried when the room is small
TRIED_AT_ONCE = 32  # states looked at behind one of them


def llguidance() -> ModuleType:
    """The engine, from the extra `grammar`."""
    try:
        import llguidance as module
    except ImportError:
        needs_extra("llguidance", "grammar", "Output that follows a grammar")
    return module


class Vocabulary:
    """The tokens of a tokenizer as the engine sees them; made once for all grammars over it.

    `stop`: the tokens that end a row, by default the tokenizer's end token; generation must stop at the same ones.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[int] | None = None):
        stop = [tokenizer.end] if stop is None and tokenizer.end is not None else list(stop or ())
        if not stop or not all(0 <= number < tokenizer.size for number in stop):
            raise GenerateError("P-GENERATE-031", given=stop)
        self.tokens, self.first_space = token_bytes(tokenizer)
        self.stop, self.size = frozenset(stop), tokenizer.size
        self.finder = Finder(self.tokens, stop)
        self.eos_token_id, self.bos_token_id = stop[0], None
        self.special_token_ids = sorted(tokenizer.special | self.stop)
        engine = llguidance()
        slices = engine.LLTokenizer.json_slices()
        self.engine = engine.LLTokenizer(engine.TokenizerWrapper(self), self.size, eos_token=stop, slices=slices)

    def __call__(self, text: bytes) -> list[int]:
        """The engine asks for tokens only where it forces text, and that is off."""
        return []

    def matcher(self, grammar: str) -> Any:
        """A state at the start of a grammar."""
        return llguidance().LLMatcher(self.engine, grammar, log_level=0)

    def complaint(self, grammar: str) -> str:
        """What is wrong with a grammar; "" if nothing."""
        matcher = self.matcher(grammar)
        return matcher.get_error() if matcher.is_error() else ""


class Grammar:
    """A compiled grammar over a vocabulary. Make one by `json`, `regex`, `choice` or `context_free`."""

    def __init__(self, vocabulary: Vocabulary, rules: str, kind: str):
        """`rules`: a Lark grammar whose first rule is `start`."""
        self.vocabulary, self.kind = vocabulary, kind
        self.root = vocabulary.matcher(HEAD + rules)
        if self.root.is_error():
            raise broken(kind, self.root.get_error())
        if self.leading():
            self.root = vocabulary.matcher(f"{HEAD}start: {self.leading()}%lark {{\n{rules}\n}}\n")
        if self.shortest.impossible:
            raise GenerateError("P-GENERATE-034", kind=kind)

    def leading(self) -> str:
        """What stands before the text because decoding takes it off the first token."""
        first = self.vocabulary.first_space
        if first == "dropped" and self.begins_with_space():
            return LEADING["always"]  # else the text's own space would be taken off
        return LEADING[first]

    def begins_with_space(self) -> bool:
        """May the text itself begin with a space?"""
        allowed = np.flatnonzero(self.vocabulary.finder.allowed(self.root))
        return any(self.vocabulary.tokens[number][:1] == b" " for number in allowed)

    @cached_property
    def shortest(self) -> Found:
        """A shortest text, as far as a search of limited length finds one."""
        return self.vocabulary.finder.search(self.root, LONGEST, better=BETTER)

    @classmethod
    def json(cls, schema: dict[str, Any] | str, vocabulary: Vocabulary, style: Style = "compact") -> Grammar:
        """JSON text that a schema (draft 2020-12) allows, its properties in the schema's order.

        style: without white space, with one space after `,` and `:`, or with any white space.
        """
        known(style, STYLES, "JSON style")
        schema = parsed(schema)
        check_schema(schema)

        def rules(part: dict[str, Any]) -> str:
            return "start: %json " + json.dumps({**part, "x-guidance": STYLES[style]})

        if vocabulary.complaint(HEAD + rules(schema)):
            place, reason = broken_at(schema, lambda part: vocabulary.complaint(HEAD + rules(part)))
            raise broken("JSON schema", reason, place)
        return cls(vocabulary, rules(schema), "JSON schema")

    @classmethod
    def regex(cls, pattern: str, vocabulary: Vocabulary) -> Grammar:
        r"""Text that a regular expression matches as a whole; \d, \w and \s are those of ASCII."""
        return cls(vocabulary, f"start: /{llguidance().regex_to_lark(pattern, 'dws')}/", "regular expression")

    @classmethod
    def choice(cls, choices: Sequence[str], vocabulary: Vocabulary) -> Grammar:
        """One of these texts."""
        if not choices or not all(isinstance(choice, str) for choice in choices):
            raise GenerateError(
                "P-GENERATE-032", kind="choice list", reason="it needs at least one text", given=choices
            )
        return cls(vocabulary, "start: " + " | ".join(json.dumps(choice) for choice in choices), "choice list")

    @classmethod
    def context_free(cls, text: str, vocabulary: Vocabulary) -> Grammar:
        """Text that a context-free grammar derives, in Lark's notation (`start: …`) or GBNF's (`root ::= …`)."""
        if "::=" in text:
            try:
                text = llguidance().grammar_from("gbnf", text).removeprefix("%llguidance {}\n")
            except ValueError as error:
                raise broken("grammar", str(error)) from error
        return cls(vocabulary, text, "grammar")


def parsed(schema: dict[str, Any] | str) -> dict[str, Any]:
    """A schema given as a table or as JSON text; `true` allows everything."""
    try:
        schema = json.loads(schema) if isinstance(schema, str) else schema
    except ValueError as error:
        raise GenerateError("P-GENERATE-032", kind="JSON schema", reason=f"not JSON ({error})") from error
    if schema is False:
        raise GenerateError("P-GENERATE-034", kind="JSON schema")
    return {} if schema is True else schema


def broken(kind: str, complaint: str, place: str | None = None) -> GenerateError:
    """The engine's complaint with the line of the grammar where it is known."""
    told = re.split(r"\n\s+\d+ \| |\n<state>", complaint)[0]  # without the engine's own listing of the grammar
    found = re.match(r"(?:at )?(\d+)\(\d+\): ", told)
    reason = " ".join(told[found.end() if found else 0 :].split())
    for phrase in WRAPPINGS:
        reason = reason.removeprefix(phrase)
    if "nsatisfiable" in reason:
        return GenerateError("P-GENERATE-034", kind=kind, field=place, given=reason)
    line = int(found[1]) - HEAD.count("\n") if found and kind == "grammar" else None
    return GenerateError("P-GENERATE-032", kind=kind, line=line, field=place, reason=reason)


@dataclass
class Row:
    """What the rule knows of one row."""

    matcher: Any
    tokens: list[int] = field(default_factory=list)
    done: bool = False  # its stop token was taken
    left: int | None = None  # tokens it may still take, its stop token included; None: any number
    look_at: int | None = None  # the number of tokens left at which the way to the end is looked for again

    def copy(self) -> Row:
        return replace(self, matcher=self.matcher.deep_copy(), tokens=list(self.tokens))


class GrammarRule(Rule):
    """Every row matches the grammar: a stop token may come only where the text may end, and must where it has to.

    `budget`: the tokens that a row may take, its stop token included (`max_new_tokens`). With it a row is steered to the
    end of the grammar before its tokens run out: when little room is left, only tokens are allowed behind which a short
    way to the end fits. Without it, rows can end in the middle (their reason is then "length").
    Raises P-GENERATE-035 (budget), -036 (a row cannot go on) and -037 (another option took a forbidden token).
    """

    def __init__(self, grammar: Grammar, budget: int | None = None):
        self.grammar, self.vocabulary, self.budget = grammar, grammar.vocabulary, budget
        self.rows: list[Row] = []
        self.first_look = None if budget is None else self.next_look(budget, self.shortest())

    def shortest(self) -> int:
        """The tokens of the shortest text found. Raises P-GENERATE-035 if they are too many."""
        way = self.grammar.shortest.way or self.vocabulary.finder.search(self.grammar.root, self.budget - 1).way
        if way is None or len(way) + 1 > self.budget:
            needed = "?" if way is None else len(way) + 1
            raise GenerateError("P-GENERATE-035", kind=self.grammar.kind, given=self.budget, needed=needed)
        return len(way)

    @staticmethod
    def next_look(left: int, way: int) -> int:
        """Half of the room beyond LOOK_AHEAD is left to the network before the way to the end is looked for again."""
        return left - (left - 1 - way - LOOK_AHEAD + 1) // 2 if left - 1 - way > LOOK_AHEAD else left

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        self.rows = [Row(self.grammar.root.deep_copy(), left=self.budget, look_at=self.first_look) for _ in prompts]

    def apply(self, scores: Tensor) -> Tensor:
        """Forbid what does not fit, in place."""
        forbidden = np.ones((len(self.rows), scores.shape[1]), dtype=bool)
        for number, row in enumerate(self.rows):
            allowed = self.allowed(row, number)[: scores.shape[1]]
            if row.left is not None and row.left <= row.look_at and not row.done:
                self.steer(row, allowed, scores[number])
            np.logical_not(allowed, out=forbidden[number, : len(allowed)])
        return scores.masked_fill_(torch.from_numpy(forbidden).to(scores.device), float("-inf"))

    def allowed(self, row: Row, number: int) -> np.ndarray:
        """V bool: what the grammar lets this row take."""
        if row.done:
            return np.isin(np.arange(self.vocabulary.size), list(self.vocabulary.stop))
        allowed = self.vocabulary.finder.allowed(row.matcher)
        if row.matcher.is_stopped() and not ended(row.matcher):
            raise GenerateError("P-GENERATE-036", kind=self.grammar.kind, row=number, given=self.text(row))
        return allowed

    def steer(self, row: Row, allowed: np.ndarray, scores: Tensor) -> None:
        """Take back what would leave no room for the end."""
        way = self.vocabulary.finder.search(row.matcher, row.left - 1).way
        if way is None:
            return
        row.look_at = self.next_look(row.left, len(way))
        if row.look_at == row.left:
            fits = [
                *way[:1],
                *(token for token in self.best(allowed, scores) if token not in way[:1] and self.fits(row, token)),
            ]
            if ended(row.matcher):
                fits += self.vocabulary.stop
            allowed &= np.isin(np.arange(len(allowed)), fits)

    def best(self, allowed: np.ndarray, scores: Tensor) -> list[int]:
        """The allowed tokens that the network likes best."""
        fitting = scores[: len(allowed)].masked_fill(torch.from_numpy(~allowed).to(scores.device), float("-inf"))
        values, tokens = fitting.topk(min(TRIED_AHEAD, len(allowed)))
        return [token for token, value in zip(tokens.tolist(), values.tolist(), strict=True) if value > float("-inf")]

    def fits(self, row: Row, token: int) -> bool:
        """Is there a way to the end behind this token?"""
        after = row.matcher.deep_copy()
        if token in self.vocabulary.stop or not after.consume_token(token):
            return False
        return self.vocabulary.finder.search(after, row.left - 2, TRIED_AT_ONCE).way is not None

    def accept(self, tokens: Sequence[int]) -> None:
        for number, (row, token) in enumerate(zip(self.rows, tokens, strict=True)):
            row.left = None if row.left is None else row.left - 1
            if row.done:
                continue
            if token in self.vocabulary.stop and ended(row.matcher):
                row.done = True
            elif not row.matcher.consume_token(token):
                raise GenerateError(
                    "P-GENERATE-037", kind=self.grammar.kind, row=number, token=token, given=self.text(row)
                )
            row.tokens.append(token)

    def select(self, rows: Sequence[int]) -> None:
        taken: set[int] = set()
        chosen = []
        for row in rows:
            chosen.append(self.rows[row].copy() if row in taken else self.rows[row])
            taken.add(row)
        self.rows = chosen

    def text(self, row: Row) -> str:
        """The end of what a row has said, for messages."""
        return b"".join(self.vocabulary.tokens[token] for token in row.tokens).decode("utf-8", "replace")[-80:]
