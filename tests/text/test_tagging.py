"""Schemes of tags against seqeval, conversions, the cut of text."""

import random

import pytest
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Tokens

from penjing.text.tagging import (
    Span,
    allowed,
    cut,
    joined,
    keeps_to_iob1,
    scheme_of,
    spans,
    strays,
    strict_spans,
    tag_names,
    tags_of,
)

TYPES = ("PER", "LOC", "A-B")


def wild(seed, marks):
    """Tags in any order, as a network without rules could give them."""
    chance = random.Random(seed)
    names = ["O", *(f"{mark}-{kind}" for mark in marks for kind in TYPES)]
    return chance.choices(names, k=chance.randint(0, 12))


@pytest.mark.parametrize("marks", ["BI", "BIES"])
def test_entities_are_those_of_seqeval(marks):
    scheme, theirs = ("bio", IOB2) if marks == "BI" else ("bioes", IOBES)
    for seed in range(600):
        tags = wild(seed, marks)
        assert [(s.type, s.start, s.end - 1) for s in spans(tags)] == get_entities(tags), tags
        strict = [(e.tag, e.start, e.end) for e in Tokens(tags, theirs).entities]
        assert [tuple(span) for span in strict_spans(tags, scheme)] == strict, tags


def test_every_scheme_spells_the_same_entities():
    for seed in range(200):
        tags = wild(seed, "BI")
        found = spans(tags)
        for scheme in ("bio", "iob1", "bioes"):
            again = tags_of(found, len(tags), scheme)
            assert spans(again) == found and not (strays(again) and scheme != "iob1")
            names = tag_names(TYPES, scheme)
            steps, first, last = allowed(names, scheme)
            numbers = [names.index(tag) for tag in again]
            assert all(steps[a, b] for a, b in zip(numbers, numbers[1:], strict=False))
            assert not numbers or (first[numbers[0]] and last[numbers[-1]])
        for scheme in ("bio", "bioes"):
            assert strict_spans(tags_of(found, len(tags), scheme), scheme) == found


def test_other_letters_for_the_same():
    for tags in (
        ["B-X", "M-X", "E-X", "O", "S-Y"],
        ["B-X", "I-X", "L-X", "O", "U-Y"],
        ["B_X", "I_X", "E_X", "O", "W_Y"],
    ):
        assert spans(tags) == [("X", 0, 3), ("Y", 4, 5)] and scheme_of(tags) == "bioes"
    assert spans(["B", "E", "S", "B", "M", "E"]) == [("_", 0, 2), ("_", 2, 3), ("_", 3, 6)]
    assert tags_of([Span("_", 0, 2)], 3, "bioes") == ["B", "E", "O"] and tag_names(["_"], "bio") == ["O", "B", "I"]


def test_schemes_are_found():
    assert scheme_of(["B-X", "I-X", "O"]) == "bio" and scheme_of(["O"]) == "bio"
    assert scheme_of(["NN", "VB", "O"]) == scheme_of(["B-X", "VB"]) == "none"
    assert keeps_to_iob1(["I-X", "B-X", "O"]) is keeps_to_iob1(["I-Y"]) is True
    assert keeps_to_iob1(["B-X", "I-X"]) is keeps_to_iob1(["I-Y", "B-X"]) is False and keeps_to_iob1(["O"]) is None
    assert strays(["I-X", "O", "B-X", "I-Y", "I-Y", "E-Y"]) == 2
    assert tag_names(["n", "a"], "none") == ["a", "n"] and allowed(["a", "n"], "none")[0].all()


def test_text_is_cut_into_tokens():
    text = "U.N. official Ekeus's 3.5-day trip (Baghdad).\n北京GDP增长3.2%，don't 😀\ud800"
    words = "U.N.|official|Ekeus|'s|3.5-day|trip|(|Baghdad|)|.|北|京|GDP|增|长|3.2|%|，|do|n't|😀|\ud800"
    assert [text[start:end] for start, end in cut(text)] == words.split("|")
    assert cut("") == cut(" \n") == []
    assert cut("New-York", [3]) == [(0, 3), (3, 8)] and cut("ab cd", [2, 3]) == [(0, 2), (3, 5)]


def test_tokens_are_joined_to_a_text():
    text, places = joined(["Mr", "Li", "在", "北", "京", "，", "said", "so", ""])
    assert text == "Mr Li在北京，said so "
    assert [text[start:end] for start, end in places] == ["Mr", "Li", "在", "北", "京", "，", "said", "so", ""]
    assert joined([]) == ("", [])
