"""Verse: the checker knows good lines from bad ones, and rows under the rule are verse by the checker's measure."""

import sys

import pytest
import torch
from decoders import decoder
from hypothesis import given, settings
from hypothesis import strategies as st
from turns import play, tokenizer

from penjing.base.errors import GenerateError, MachineError
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.generate.verse import VerseRule
from penjing.text import verse_chinese, verse_english
from penjing.text.verse import FORMS, Form, check, even, rhymes

QUIET_NIGHT = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
TOWER = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
STAR = "Twinkle, twinkle, little star,\nHow I wonder what you are!\nUp above the world so high,\nLike a diamond in the sky."
STARS = even("english", 4, 7, 7, "AABB")


def problems(text, form):
    return [line.problems for line in check(text, form).lines]


def test_poems_that_fulfil_their_form():
    for text in (QUIET_NIGHT, TOWER):
        assert check(text, FORMS["五言绝句"]).fulfilled
    assert check(STAR, STARS).fulfilled
    assert [line.units for line in check(STAR, STARS).lines] == [7, 7, 7, 7]
    assert check("An old silent pond\nA frog jumps into the pond\nSplash! Silence again", FORMS["haiku"]).fulfilled


def test_what_a_poem_lacks():
    form = FORMS["五言绝句"]
    assert problems(QUIET_NIGHT.replace("明月光", "月光"), form)[0] == ("length",)
    assert problems(QUIET_NIGHT.replace("故乡", "故人"), form)[3] == ("rhyme",)
    assert problems("白日依山尽，黄河入海流。欲穷千里目，更上一层流。", form)[3] == ("repeat",)
    assert problems("白日依山尽，黄河入海流。", form)[2:] == [("missing",), ("missing",)]
    assert problems(QUIET_NIGHT + "好！", form)[4] == ("extra",)
    assert problems("abc明月，", form)[0] == ("strange",)
    assert not check("", form).fulfilled and check(TOWER, form).share == 1 and check("", form).share == 0
    assert problems(STAR.replace("the sky", "the sea"), STARS)[3] == ("rhyme",)
    assert problems(STAR.replace("little ", ""), STARS)[0] == ("length",)
    assert problems("Star 5 of seven is a star\nhow far", even("english", 2, 2, 7, "AA"))[0] == ("strange",)


def test_sounds():
    pairs = {
        "光乡": True,
        "霜光": True,
        "流楼": True,
        "诗知": True,
        "诗鸡": False,
        "月雪": True,
        "绿雨": True,
        "人明": False,
    }
    for (one, other), wanted in pairs.items():
        assert rhymes(one, other, "chinese") == wanted, (one, other)
    pairs = {("light", "night"): True, ("star", "are"): True, ("love", "move"): False, ("night", "night"): False,
             ("flower", "power"): True, ("blorfing", "snorfing"): True}  # fmt: skip
    for (one, other), wanted in pairs.items():
        assert rhymes(one, other) == wanted, (one, other)
    assert verse_chinese.rhyme_in("银行") == "唐" and verse_chinese.rhyme_of("行") == "庚"  # read in its word
    for word, count in {"fire": 1, "poem": 2, "through": 1, "national": 3, "strengths": 1}.items():
        assert count in verse_english.syllables(word)
    found = verse_english.measure("the blorfing table")
    assert found.guessed == ("blorfing",) and 5 in found.counts
    assert verse_english.measure("-").strange and verse_english.guess("make") == 1


def test_forms_that_cannot_be():
    wrong = (("french", ((5, 5),), "A"), ("chinese", ((5, 5),), "AA"), ("chinese", (), ""), ("english", ((6, 5),), "A"),
             ("english", ((0, 5),), "-"))  # fmt: skip
    for given_form in wrong:
        with pytest.raises(GenerateError) as caught:
            Form(*given_form)
        assert caught.value.code == "P-GENERATE-042"


@pytest.mark.parametrize("kind", ("bpe", "unigram"))
@pytest.mark.parametrize("name", ("五言绝句", "七言律诗", "couplet", "limerick", "haiku"))
def test_rows_are_verse(name, kind):
    inner = tokenizer(kind)
    rule = VerseRule(FORMS[name], inner)
    for tokens in play([rule], 3, 400, rule.stop, inner.size):
        assert tokens[-1] in rule.stop
        text = inner.decode(tokens[:-1])
        assert check(text, FORMS[name]).fulfilled, text


@settings(max_examples=10)
@given(
    language=st.sampled_from(["chinese", "english"]),
    lengths=st.lists(st.tuples(st.integers(3, 6), st.integers(0, 3)), min_size=1, max_size=4),
    letters=st.text("-AB", min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_rows_are_verse_of_any_form(language, lengths, letters, seed):
    form = Form(language, tuple((low, low + more) for low, more in lengths), letters[: len(lengths)])
    inner = tokenizer("bpe")
    rule = VerseRule(form, inner)
    for tokens in play([rule], 2, 200, rule.stop, inner.size, seed):
        assert check(inner.decode(tokens[:-1]), form).fulfilled


def test_with_beams_in_the_real_loop():
    inner = tokenizer("unigram")
    network, form = decoder(vocab_size=inner.size + 3, max_tokens=120), even("chinese", 2, 3, 4, "A")
    options = GenerateOptions(max_new_tokens=40, temperature=0, beams=2, returns=2, stop_tokens=(inner.end,))
    for answers in complete(network, [[5, 6]], options, [VerseRule(form, inner)]):
        for answer in answers:
            assert answer.reason == "stop" and check(inner.decode(answer.tokens), form).fulfilled


def test_what_a_row_may_not_do():
    inner = tokenizer("bpe")
    rule = VerseRule(even("chinese", 1, 1, 1, "-"), inner)

    def code_of(tokens):
        rule.start([[]])
        with pytest.raises(GenerateError) as caught:
            for token in tokens:
                rule.accept([token])
        return caught.value.code

    assert code_of([inner.end]) == code_of(inner.encode("a")) == code_of(inner.encode("月明")) == "P-GENERATE-037"
    rule.start([[], []])
    for token in inner.encode("月"):
        rule.accept([token, token])
    rule.accept([inner.end] * 2)
    rule.select([1])
    assert (rule.apply(torch.zeros(1, inner.size)) == 0).nonzero()[:, 1].tolist() == [inner.end]
    rule.accept([inner.end])  # a row that goes on unasked stays ended
    with pytest.raises(GenerateError) as caught:
        VerseRule(rule.form, inner, stop=[])
    assert caught.value.code == "P-GENERATE-031"


def test_a_vocabulary_that_cannot_write_the_form():
    inner = tokenizer("wordpiece")  # no line breaks
    rule = VerseRule(FORMS["couplet"], inner)
    with pytest.raises(GenerateError) as caught:
        play([rule], 2, 100, rule.stop, inner.size)
    assert caught.value.code == "P-GENERATE-043"


@pytest.mark.parametrize(("module", "form"), [("pypinyin", "五言绝句"), ("pronouncing", "couplet")])
def test_without_the_packages(module, form, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    owner = getattr({"pypinyin": verse_chinese, "pronouncing": verse_english}[module], module)
    with pytest.raises(MachineError) as caught:
        owner.__wrapped__()
    assert caught.value.code == "P-SYSTEM-001" and "verse" in caught.value.text("en")
