"""Tagged tokens read otherwise: tags stay with their tokens, entities stay whole, in English and in Chinese."""

from collections import Counter

import numpy as np
import pytest

from penjing.base.errors import PenjingError
from penjing.text.augment import Augment, Delete, Swap, Synonyms
from penjing.text.augment_tags import Reader, Unit, tagged, units
from penjing.text.tagging import Scheme, spans, strict_spans, tags_of

ENGLISH = (["Ann", "Lee", "saw", "a", "big", "house", "in", "New", "York", "Bern", "today", "."],
           ["B-PER", "I-PER", "O", "O", "O", "O", "O", "B-LOC", "I-LOC", "B-LOC", "O", "O"])  # fmt: skip
CHINESE = (list("王小明的快递公司在北京"), ["B-PER", "I-PER", "I-PER", *"OOOOOO", "B-LOC", "I-LOC"])
SCHEMES: tuple[Scheme, ...] = ("bio", "iob1", "bioes")


def chance(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def drawn(ways, row, scheme="bio", times=100):
    """Many readings of tagged tokens, in a scheme."""
    tokens, tags = row
    own = units(tokens, tags if scheme == "none" else tags_of(spans(tags), len(tags), scheme), scheme)
    reader = Reader(ways, [own], scheme)
    return [reader(own, chance(seed)) for seed in range(times)]


def entities(tokens, tags):
    """Each entity's type and tokens, counted."""
    return Counter((one.type, *tokens[one.start : one.end]) for one in spans(tags))


def test_entities_are_units_and_chinese_characters_words():
    found = units(*ENGLISH, "bio")
    assert found[0] == Unit(("Ann", "Lee"), "PER") and found[1] == Unit(("saw",), "")
    assert [one.tokens for one in found if one.tag == "LOC"] == [("New", "York"), ("Bern",)]
    assert ["".join(one.tokens) for one in units(*CHINESE, "bio")] == ["王小明", "的", "快递", "公司", "在", "北京"]
    odd = (["", "a", "", "王", " "], ["O", "B-X", "I-X", "O", "O"])
    assert tagged(units(*odd, "bio"), "bio") == (list(odd[0]), list(odd[1]))
    assert units(["runs", "fast"], ["VERB", "ADV"], "none") == [Unit(("runs",), "VERB"), Unit(("fast",), "ADV")]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("row", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_tags_stay_with_their_tokens_in_every_scheme(row, scheme):
    whole = entities(*row)
    for tokens, tags in drawn(Augment(swap=Swap(share=0.5)), row, scheme):
        assert sorted(tokens) == sorted(row[0]) and entities(tokens, tags) == whole
        assert scheme == "iob1" or strict_spans(tags, scheme) == spans(tags), "it breaks no rule of its scheme"
    readings = drawn(Augment(delete=Delete(share=0.4)), row, scheme)
    for tokens, tags in readings:
        assert tokens and len(tokens) == len(tags) and entities(tokens, tags) <= whole
    assert len({tuple(tokens) for tokens, _ in readings}) > 20


def test_a_class_moves_with_its_token():
    row = (["she", "runs", "fast"], ["PRON", "VERB", "ADV"])
    pairs = dict(zip(*row, strict=True))
    for tokens, tags in drawn(Augment(swap=Swap(share=0.9), delete=Delete(share=0.3)), row, "none"):
        assert [pairs[token] for token in tokens] == tags


def test_words_outside_entities_are_replaced(tmp_path):
    file = tmp_path / "words.tsv"
    file.write_text("house\tblock of flats\nbern\tparis\n快递\t包裹单\n公司\t企业\n北京\t上海\nyork\tbath\n", "utf-8")
    ways = Augment(synonyms=Synonyms(file=file, share=0.99))
    tokens, tags = drawn(ways, ENGLISH, times=1)[0]
    assert tokens[3:9] == ["a", "big", "block", "of", "flats", "in"] and entities(tokens, tags) == entities(*ENGLISH)
    tokens, tags = drawn(ways, CHINESE, times=1)[0]
    assert "".join(tokens) == "王小明的包裹单企业在北京" and all(len(token) == 1 for token in tokens)
    assert entities(tokens, tags) == entities(*CHINESE) and tags[3:10] == ["O"] * 7
    assert drawn(ways, (["House", "runs"], ["NOUN", "VERB"]), "none", 1)[0] == (
        ["Block of flats", "runs"], ["NOUN", "VERB"])  # fmt: skip
    with pytest.raises(PenjingError, match="P-TEXT-091"):  # only within entities
        drawn(ways, (["New", "York"], ["B-LOC", "I-LOC"]))
