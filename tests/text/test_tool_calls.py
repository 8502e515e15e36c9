"""Tool calls in answers, and word overlap."""

import numpy as np
import pytest

from penjing.text.overlap import Runs, f1, words
from penjing.text.tool_calls import calls_of, parsed, same_calls, shown

ONE = {"name": "f", "arguments": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "rest", "calls"),
    [
        ('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>', "", [ONE]),
        ('Let me see.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', "Let me see.", [ONE]),
        ('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>\n<tool_call>{"name": "g"}</tool_call>', "",
         [ONE, {"name": "g", "arguments": {}}]),
        ('<tool_call>{"name": "f", "arguments": {"a": 1}}', "", [ONE]),
        ('[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}, "id": "x"}]', "", [ONE]),
        ('{"name": "f", "parameters": {"a": 1}}', "", [ONE]),
        ('{"name": "f", "arguments": "{\\"a\\": 1}"}', "", [ONE]),
        ('<tool_call>{"name": "f", "arg</tool_call>', None, []),
        ('<tool_call>{"arguments": {}}</tool_call>', None, []),
        ('[{"name": "f"}, 5]', None, []),
        ("plain [1] text {x}", None, []),
        ('{"name": "f", "arguments": "{broken"}', None, []),
        ("", None, []),
        ("[" * 100_000, None, []),
    ],
)  # fmt: skip
def test_calls_are_read(text, rest, calls):
    assert parsed(text) == (text if rest is None else rest, calls)


def test_bare_json_is_a_call_only_where_there_are_tools():
    text = '{"name": "Ada", "arguments": {}}'
    assert parsed(text, bare=False) == (text, []) and parsed(text)[1]


def test_equal_calls():
    same = [({"a": 1, "b": [2.0, "x"]}, {"b": [2, "x"], "a": 1.0}), ({}, {})]
    other = [
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1, "b": None}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
    ]
    for one, two in same:
        assert same_calls([{"name": "f", "arguments": one}], [{"name": "f", "arguments": two}])
    for one, two in other:
        assert not same_calls([{"name": "f", "arguments": one}], [{"name": "f", "arguments": two}])
    assert same_calls([ONE, {"name": "g", "arguments": {}}], [{"name": "g", "arguments": {}}, ONE])
    assert not same_calls([ONE], [ONE, ONE]) and not same_calls([ONE], [ONE | {"name": "g"}]) and same_calls([], [])
    assert calls_of({"tool_calls": [{"function": ONE}, {"name": 5}]}) == [ONE] and shown(ONE) == 'f({"a": 1})'


def test_words_in_common():
    assert words("It's 3°, 零下三 DEGREES!") == ["it's", "3", "零", "下", "三", "degrees"]
    assert f1("the red box", "The box.") == pytest.approx(0.8) and f1("a a a", "a") == 0.5
    assert (
        f1("", "") == 1
        and f1("", "box") == 0
        and f1("!", "?") == 0
        and f1("!", "!") == 1
        and f1("谢谢你", "谢谢") == 0.8
    )


def test_distinct_runs():
    runs = Runs([["a b a", "a b"], [], ["c"]], 2)
    assert runs.distinct() == 2 / 3  # ab, ba of ab, ba, ab
    assert Runs([["a b a", "a b"], ["c"]], 1).distinct() == 3 / 6
    assert runs.distinct(np.asarray([1.0, 1, 1])) == runs.distinct() and runs.distinct(np.asarray([0.0, 2, 1])) == 0
    assert runs.distinct(np.asarray([2.0, 0, 0])) == runs.distinct() and Runs([], 1).distinct() == 0
    several = Runs([["a b"], ["b c"], ["a c"], ["c d"]], 1)
    assert several.among(np.asarray([True, False, False, True])) == (4, 4) and several.growth == pytest.approx(
        np.log2(4 / 3)
    )
    assert several.distinct(np.asarray([2.0, 0, 0, 2])) == pytest.approx(1 * 0.5 ** (1 - np.log2(4 / 3)))
