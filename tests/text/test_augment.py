"""Texts read otherwise: what is drawn, what stays, English and Chinese, files of words and broken ones."""

import numpy as np
import pytest

from penjing.base.errors import PenjingError
from penjing.text.augment import Augment, Delete, Neighbours, Reader, Swap, Synonyms, cut, in_case, read_synonyms

TEXTS = [
    "The parcel was late, and the box is broken!",
    "我的快递公司很慢 today",
    "Good",
    "",
    " ... ",
    "don't re-send it",
]


def chance(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def drawn(ways, texts, times=200):
    """Many readings of each text."""
    reader = Reader(ways, texts)
    return {text: [reader(text, chance(seed)) for seed in range(times)] for text in texts}


def test_words_and_what_stands_between():
    assert cut(TEXTS[0]).words == ["The", "parcel", "was", "late", "and", "the", "box", "is", "broken"]
    assert cut(TEXTS[1]).words == ["我", "的", "快递", "公司", "很", "慢", "today"]
    assert cut("型号X5快递 a1").words == ["型号", "X5", "快递", "a1"] and cut("don't re-send").words == [
        "don't",
        "re-send",
    ]
    for text in [*TEXTS, "😀 é\u0301 x\n\n y", "\ud800 half"]:
        assert cut(text).text == text


def test_deleted_words_leave_no_hole():
    found = drawn(Augment(delete=Delete(share=0.4)), TEXTS)
    for text, readings in found.items():
        for reading in readings:
            assert "  " not in reading and (not cut(text).words or cut(reading).words)
            assert set(cut(reading).words) <= set(cut(text).words) or text == TEXTS[1]
    lost = np.mean([1 - len(cut(reading).words) / 9 for reading in found[TEXTS[0]]])
    assert 0.35 < lost < 0.45
    assert set(found["Good"]) == {"Good"} and set(found[""]) == {""} and set(found[" ... "]) == {" ... "}


def test_swapped_words_are_the_same_words():
    found = drawn(Augment(swap=Swap(share=0.3)), TEXTS)
    for text, readings in found.items():
        for reading in readings:
            assert sorted(reading) == sorted(text)
    moved = [np.mean([a != b for a, b in zip(cut(r).words, cut(TEXTS[0]).words, strict=True)]) for r in found[TEXTS[0]]]
    assert 0.15 < np.mean(moved) < 0.35 and len(set(found[TEXTS[0]])) > 50


def test_synonyms_in_the_words_own_case(tmp_path):
    file = tmp_path / "words.tsv"
    file.write_text(
        "\ufeffparcel\tpackage, packet\nlate\tdelayed\nthe\ta\n快递\t包裹，快件\n\nlate\toverdue\n", "utf-8"
    )
    assert read_synonyms(file)["late"] == ["delayed", "overdue"] and "parcel" in read_synonyms(file)
    found = drawn(Augment(synonyms=Synonyms(file=file, share=0.9)), TEXTS)
    readings = set(found[TEXTS[0]])
    assert "A package was overdue, and a box is broken!" in readings
    assert {cut(reading).words[2] for reading in found[TEXTS[1]]} == {"快递", "包裹", "快件"}
    assert in_case("package", "PARCEL") == "PACKAGE" and in_case("package", "A") == "Package"


def test_neighbours_are_the_nearest_words(tmp_path):
    file = tmp_path / "words.vec"
    rows = {
        "late": [1, 0],
        "Late": [1, 0],
        "delayed": [0.9, 0.1],
        "slow": [0.7, 0.3],
        "box": [0, 1],
        "crate": [0.1, 1],
        "!!": [1, 0],
    }
    file.write_text(f"{len(rows)} 2\n" + "".join(f"{w} {a} {b}\n" for w, (a, b) in rows.items()), "utf-8")
    reader = Reader(Augment(neighbours=Neighbours(file=file, share=0.9, nearest=2, least=0.8)), TEXTS)
    assert reader.neighbours == {"late": ["delayed", "slow"], "box": ["crate"]}
    fewer = Neighbours(file=file, nearest=1, least=0.8, words=4)
    assert Reader(Augment(neighbours=fewer), TEXTS).neighbours == {"late": ["delayed"]}
    with pytest.raises(PenjingError, match="P-TEXT-092"):
        Reader(Augment(neighbours=Neighbours(file=file, least=1.0)), ["box"])


def test_the_same_chance_gives_the_same_reading():
    ways = Augment(swap=Swap(share=0.2), delete=Delete(share=0.2))
    assert drawn(ways, TEXTS) == drawn(ways, TEXTS)
    reader, other = (Reader(Augment(swap=Swap(share=share)), TEXTS) for share in (0.2, 0.3))
    assert reader.fingerprint() != other.fingerprint()


def test_files_and_options_that_would_change_nothing(tmp_path):
    with pytest.raises(PenjingError, match="P-TEXT-093"):
        Augment()
    file = tmp_path / "words.tsv"
    file.write_bytes(b"parcel package\nbox\t,\nlate\tdelayed\n" + b"caf\xe9\tbar\n")
    with pytest.raises(PenjingError, match="P-TEXT-090") as caught:
        read_synonyms(file)
    assert [problem.line for problem in (caught.value, *caught.value.others)] == [1, 2, 4]
    file.write_text("strange\todd\n", "utf-8")
    with pytest.raises(PenjingError, match="P-TEXT-091"):
        Reader(Augment(synonyms=Synonyms(file=file)), TEXTS)
    with pytest.raises(PenjingError, match="P-FILE-001"):
        read_synonyms(tmp_path / "absent.tsv")
