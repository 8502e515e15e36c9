"""Grammars: what rows say matches and ends; what cannot be honoured or matched is told with its place."""

import contextlib
import json
import math
import re
import sys

import jsonschema
import pytest
import torch
from decoders import decoder
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import decoders as joiners
from turns import play, tokenizer

from penjing.base.errors import GenerateError, MachineError, OptionError
from penjing.generate.grammar import Grammar, GrammarRule, Vocabulary
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.text.token_bytes import token_bytes
from penjing.text.tokenizer import Tokenizer

KINDS = ("bpe", "unigram", "wordpiece")
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", "blue", "北京"]}, "minItems": 1, "maxItems": 3},
        "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    },
    "required": ["name", "tags"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def vocabularies():
    return {kind: Vocabulary(tokenizer(kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def bpe(vocabularies):
    return vocabularies["bpe"]


def said(grammar, kind="bpe", rows=4, steps=200, budget=None, seed=0, size=None):
    """Texts of rows under a grammar; each must have ended."""
    stop = grammar.vocabulary.stop
    drawn = play([GrammarRule(grammar, budget)], rows, steps, stop, size or grammar.vocabulary.size, seed)
    assert all(tokens[-1] in stop for tokens in drawn), "a row did not end"
    return [tokenizer(kind).decode(tokens[:-1]) for tokens in drawn]


def code_of(call, *given, **options):
    with pytest.raises(GenerateError) as caught:
        call(*given, **options)
    return caught.value


# ---- bytes ----


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_what_decoding_adds(kind):
    inner, (found, first) = tokenizer(kind), token_bytes(tokenizer(kind))
    generator = torch.Generator().manual_seed(1)
    plain = [number for number in range(inner.size) if found[number] and found[number].isascii()]
    plain += inner.encode("北京的月光")
    for _ in range(200):
        tokens = [plain[i] for i in torch.randint(len(plain), (6,), generator=generator).tolist()]
        text = b"".join(found[token] for token in tokens)
        if first == "always" and not text.startswith(b" "):
            continue
        text = text.removeprefix(b" ") if first != "kept" else text
        with contextlib.suppress(UnicodeDecodeError):  # parts of characters
            assert text.decode() == inner.decode(tokens)
    assert all(found[number] == b"" for number in inner.special)
    assert first == {"bpe": "kept", "unigram": "dropped", "wordpiece": "always"}[kind]


def test_bytes_of_parts_of_characters():
    for kind in ("bpe", "unigram"):
        found, tokens = token_bytes(tokenizer(kind)).of, tokenizer(kind).encode("龘")
        assert len(tokens) >= 3 and b"".join(found[token] for token in tokens).strip() == "龘".encode()


def test_a_decoder_that_is_not_known():
    inner = tokenizer("bpe").inner.__class__.from_str(tokenizer("bpe").inner.to_str())
    for strange in (joiners.CTC(), joiners.Sequence([joiners.Replace("a", "b"), joiners.Fuse()])):
        inner.decoder = strange
        assert code_of(token_bytes, Tokenizer(inner)).code == "P-GENERATE-030"


# ---- what is said matches ----


@pytest.mark.parametrize("kind", ("bpe", "unigram"))
def test_json(kind, vocabularies):
    for style, sign in (("compact", '":"'), ("spaced", '": "'), ("free", '"')):
        grammar = Grammar.json(PERSON, vocabularies[kind], style=style)
        for text in said(grammar, kind, rows=8, budget=120, steps=120):
            jsonschema.validate(json.loads(text), PERSON)
            assert sign in text


@pytest.mark.parametrize("pattern", (r"[a-z]{2,5}", r"(red|blue) [a-z]+;", r"\d{3}-\d{2}", r"a/b|x", r" ?red"))
@pytest.mark.parametrize("kind", ("bpe", "unigram"))
def test_regex(kind, pattern, vocabularies):
    for text in said(Grammar.regex(pattern, vocabularies[kind]), kind, rows=12, budget=30, steps=30):
        assert re.fullmatch(pattern, text), (kind, text)


def test_regex_of_joined_words(vocabularies):
    for pattern in (r"[a-z]{2,5}", r"(red|blue)( [a-z]+)*"):
        for text in said(Grammar.regex(pattern, vocabularies["wordpiece"]), "wordpiece", rows=12, budget=30, steps=30):
            assert re.fullmatch(pattern, text), text


@pytest.mark.parametrize("kind", ("bpe", "unigram"))
def test_choice(kind, vocabularies):
    choices = ["red", "red wine", "北京", 'a "quoted"\nline', "/x/"]
    texts = said(Grammar.choice(choices, vocabularies[kind]), kind, rows=60)
    assert set(texts) <= set(choices) and len(set(texts)) > 2


def test_context_free_in_both_notations(bpe):
    lark = 'start: sum\nsum: number | sum "+" number | "(" sum ")"\nnumber: /[1-9][0-9]{0,2}/'
    gbnf = 'root ::= number | root "+" number | "(" root ")"\nnumber ::= [1-9] [0-9]?'
    for text in (lark, gbnf):
        for answer in said(Grammar.context_free(text, bpe), budget=30, steps=30):
            assert isinstance(eval(answer), int)


def test_a_wider_network_and_other_stop_tokens():
    vocabulary = Vocabulary(tokenizer("bpe"), stop=[2, 0])
    grammar = Grammar.regex("[ab]{1,3}", vocabulary)
    assert all(re.fullmatch("[ab]{1,3}", text) for text in said(grammar, rows=20, size=vocabulary.size + 60))
    assert code_of(Vocabulary, tokenizer("bpe"), stop=[]).code == "P-GENERATE-031"
    assert code_of(Vocabulary, tokenizer("bpe"), stop=[10**6]).code == "P-GENERATE-031"


def test_stop_only_where_the_text_may_end(bpe):
    rule = GrammarRule(Grammar.regex("ab?", bpe))
    rule.start([[]])
    (stop,) = bpe.stop
    for word, may_end in (("", False), ("a", True), ("b", True)):
        if word:
            rule.accept(tokenizer("bpe").encode(word))
        scores = rule.apply(torch.zeros(1, bpe.size))[0]
        assert (scores[stop] == 0) == may_end
    assert int((scores == 0).sum()) == 1  # complete: nothing but the stop token
    rule.accept([stop])
    assert int((rule.apply(torch.zeros(1, bpe.size)) == 0).sum()) == 1  # a row that goes on unasked stays ended
    rule.accept([stop])


def test_rows_keep_their_own_state(bpe):
    rule = GrammarRule(Grammar.choice(["ax", "by"], bpe))
    letters = {letter: tokenizer("bpe").encode(letter)[0] for letter in "abxy"}
    rule.start([[], []])
    rule.accept([letters["a"], letters["b"]])
    rule.select([1, 0, 1])  # beams: a row twice
    allowed = rule.apply(torch.zeros(3, bpe.size)) == 0
    assert [int(row.nonzero()) for row in allowed] == [letters["y"], letters["x"], letters["y"]]
    rule.accept([letters["y"], letters["x"], letters["y"]])
    assert (rule.apply(torch.zeros(3, bpe.size)) == 0).sum(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("ways", ({"returns": 6, "seed": 1}, {"temperature": 0, "beams": 3, "returns": 3}))
def test_in_the_real_loop(ways, bpe):
    network = decoder(vocab_size=bpe.size + 7, max_tokens=128)
    options = GenerateOptions(max_new_tokens=80, stop_tokens=tuple(bpe.stop), **ways)
    rule = GrammarRule(Grammar.json(PERSON, bpe), budget=80)
    for answers in complete(network, [[5, 6, 7], [8]], options, [rule]):
        for answer in answers:
            jsonschema.validate(json.loads(tokenizer("bpe").decode(answer.tokens)), PERSON)
            assert answer.reason == "stop" and all(math.isfinite(log) for log in answer.log_probabilities)
        assert len({tuple(answer.tokens) for answer in answers}) > 1


# ---- random schemas ----

TEXT = st.builds(
    lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
    st.integers(0, 4),
    st.integers(0, 6),
)
NUMBER = st.builds(
    lambda low, more, kind: {"type": kind, "minimum": low, "maximum": low + more},
    st.integers(-50, 50), st.integers(0, 200), st.sampled_from(["integer", "number"]),
)  # fmt: skip
LEAF = st.one_of(
    TEXT, NUMBER, st.just({"type": "boolean"}), st.just({"type": "null"}), st.just({"const": {"a": [1, "x"]}}),
    st.lists(st.sampled_from(["red", 3, None, True, "a b", 2.5]), min_size=1, max_size=3).map(lambda e: {"enum": e}),
    st.sampled_from(["^[a-c]{2}$", "^x|y$", r"^\d{1,3}$"]).map(lambda p: {"type": "string", "pattern": p}),
    st.sampled_from(["date", "time", "ipv4", "uuid"]).map(lambda f: {"type": "string", "format": f}),
)  # fmt: skip


def grown(inner):
    names = st.sampled_from(["name", "age", "北京", 'a"b', "x/y"])
    objects = st.dictionaries(names, inner, max_size=3).flatmap(
        lambda table: st.builds(
            lambda needed, more: {
                "type": "object", "properties": table, "required": needed, "additionalProperties": more,
            },
            st.lists(st.sampled_from(sorted(table)), unique=True) if table else st.just([]),
            st.sampled_from([False, {"type": "integer"}]),
        )
    )  # fmt: skip
    arrays = st.builds(
        lambda item, low, more: {"type": "array", "items": item, "minItems": low, "maxItems": low + more},
        inner, st.integers(0, 2), st.integers(0, 2),
    )  # fmt: skip
    either = st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    pairs = st.lists(inner, min_size=1, max_size=2).map(
        lambda parts: {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}
    )
    return st.one_of(objects, arrays, either, pairs)


def two_of(item):
    return {"type": "array", "items": item, "minItems": 2, "maxItems": 2}


@settings(max_examples=40)
@example(schema=two_of({"type": "string", "pattern": "^x|y$"}), seed=0)
@example(schema=two_of(two_of({"type": "string", "pattern": "^x|y$"})), seed=0)
@given(schema=st.recursive(LEAF, grown, max_leaves=6), seed=st.integers(0, 1000))
def test_any_schema(bpe, schema, seed):
    grammar = Grammar.json(schema, bpe)
    assert grammar.shortest.way is not None
    check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    shortest = tokenizer("bpe").decode(grammar.shortest.way)
    budget = len(grammar.shortest.way) + 30
    for text in [shortest, *said(grammar, rows=2, steps=budget, budget=budget, seed=seed)]:
        assume('"0000-' not in text)  # a year of RFC 3339, but not of Python
        check.validate(json.loads(text))


# ---- budgets ----


def test_a_budget_ends_every_row(bpe):
    schema = {"type": "array", "items": PERSON, "minItems": 1}  # open at every end: strings, arrays, notes
    grammar = Grammar.json(schema, bpe)
    needed = len(grammar.shortest.way) + 1
    for budget in (needed, needed + 5, 150):
        for text in said(grammar, rows=4, budget=budget, steps=budget, seed=budget):
            jsonschema.validate(json.loads(text), schema)
    assert code_of(GrammarRule, grammar, needed - 1).code == "P-GENERATE-035"
    with pytest.raises(AssertionError, match="did not end"):
        said(grammar, rows=6, steps=40)  # without a budget they do not


def test_a_budget_leaves_the_choice_while_there_is_room(bpe):
    grammar = Grammar.regex("[a-z]*", bpe)
    texts = said(grammar, rows=20, budget=200, steps=200, seed=3)
    assert max(map(len, texts)) > 8 and len(set(texts)) > 10


def test_a_budget_needs_a_way_to_the_end(bpe):
    grammar = Grammar.regex(".*wxyzzzzzzzzzwx", bpe)
    assert code_of(GrammarRule, grammar, 1000).code == "P-GENERATE-035"


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("schema", "code", "place"),
    [
        ({"minLenght": 3}, "P-GENERATE-038", "#"),
        ({"properties": {"a/b": {"not": {}}}}, "P-GENERATE-033", "#/properties/a~1b"),
        ({"items": {"uniqueItems": True}}, "P-GENERATE-033", "#/items"),
        ({"anyOf": [{"type": "null"}, {"if": {}}]}, "P-GENERATE-033", "#/anyOf/1"),
        ({"minProperties": 2}, "P-GENERATE-033", "#"),
        ({"properties": {"a": {"type": "string", "pattern": "[a"}}}, "P-GENERATE-032", "#/properties/a"),
        ({"$defs": {"n": {"type": "strin"}}, "$ref": "#/$defs/n"}, "P-GENERATE-032", "#/$defs/n"),
        ({"properties": {"a": 3}}, "P-GENERATE-032", "#/properties/a"),
        ({"$ref": "#/$defs/x"}, "P-GENERATE-032", "#"),
        ({"$ref": "http://example.com/x"}, "P-GENERATE-032", "#"),
        ({"type": "string", "format": "poem"}, "P-GENERATE-032", "#"),
        ({"items": {"type": "integer", "minimum": 3, "maximum": 2}, "type": "array", "minItems": 1}, "P-GENERATE-034", "#/items"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "P-GENERATE-034", "#"),
        ("{", "P-GENERATE-032", None),
        (False, "P-GENERATE-034", None),
    ],
)  # fmt: skip
def test_broken_schemas(schema, code, place, bpe):
    error = code_of(Grammar.json, schema, bpe)
    assert (error.code, error.field) == (code, place)
    assert "llguidance" not in error.text("en")


def test_all_problems_of_a_schema_are_told_at_once(bpe):
    error = code_of(Grammar.json, {"not": {}, "items": {"minlength": 2}}, bpe)
    assert [one.code for one in (error, *error.others)] == ["P-GENERATE-033", "P-GENERATE-038"]
    assert error.others[0].nearest == "minLength"
    with pytest.raises(OptionError):
        Grammar.json({}, bpe, style="spacd")


def test_broken_grammars(bpe):
    for pattern in ("[a", "a(?=b)", r"(a)\1", "a{5,2}"):
        assert code_of(Grammar.regex, pattern, bpe).code == "P-GENERATE-032"
    for text, line in (('start: "a" b', 1), ('start: "a"\n\nx y', 3), ("root ::= (", None), ('root ::= "a" b', None)):
        error = code_of(Grammar.context_free, text, bpe)
        assert (error.code, error.line) == ("P-GENERATE-032", line)
    for choices in ([], ["a", 3]):
        assert code_of(Grammar.choice, choices, bpe).code == "P-GENERATE-032"


def test_impossible_grammars(bpe, vocabularies):
    for text in ('start: A\nA: "a" & "b"', 'start: "x" A\nA: "a" & "b"'):
        assert code_of(Grammar.context_free, text, bpe).code == "P-GENERATE-034"
    assert code_of(Grammar.choice, ["€"], vocabularies["wordpiece"]).code == "P-GENERATE-034"
    assert code_of(Grammar.json, {"enum": ["龘"]}, vocabularies["wordpiece"]).code == "P-GENERATE-034"


def test_a_row_that_cannot_go_on(vocabularies):
    grammar = Grammar.choice(["red", "red sea€"], vocabularies["wordpiece"])
    rule, tokens = GrammarRule(grammar), tokenizer("wordpiece").encode("red sea")
    rule.start([[]])
    with pytest.raises(GenerateError) as caught:
        for token in tokens:
            assert rule.apply(torch.zeros(1, grammar.vocabulary.size))[0, token] == 0
            rule.accept([token])
        rule.apply(torch.zeros(1, grammar.vocabulary.size))
    assert caught.value.code == "P-GENERATE-036" and "red sea" in caught.value.given


def test_a_forbidden_token_taken(bpe):
    rule = GrammarRule(Grammar.regex("[0-9]+", bpe))
    for token in (tokenizer("bpe").encode("x")[0], *bpe.stop):
        rule.start([[]])
        assert code_of(rule.accept, [token]).code == "P-GENERATE-037"


def test_without_the_engine(monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MachineError) as caught:
        Vocabulary(tokenizer("bpe"))
    assert caught.value.code == "P-SYSTEM-001" and "grammar" in caught.value.text("en")
