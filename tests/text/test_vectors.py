"""Word vectors: every form of file, the way each piece gets its own, widths, coverage, broken files."""

import gzip
import struct

import numpy as np
import pytest
import zstandard
from toys_text import LINES

from penjing.base.errors import PenjingError
from penjing.text.tokenizer_training import train_tokenizer
from penjing.text.vector_rows import ALIKE, FOLDED, MEAN, OWN, PARTS, piece_vectors
from penjing.text.vectors import read_vectors

WORDS = {"the": [1.0, 2, 3], "box": [0.5, -1, 0.25], "快递": [3, 1, -2], "快": [0, 0, 7.0], ". . .": [1, 1, 1]}


def text_of(words, header):
    first = f"{len(words)} {len(next(iter(words.values())))}\n" if header else ""
    return first + "".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in words.items())


def binary_of(words, end="\n"):
    parts = [f"{len(words)} {len(next(iter(words.values())))}\n".encode()]
    for word, vector in words.items():
        parts.append(word.replace(" ", "_").encode() + b" " + struct.pack(f"<{len(vector)}f", *vector) + end.encode())
    return b"".join(parts)


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def raised(code, path, call=None):
    with pytest.raises(PenjingError) as error:
        (call or (lambda p: list(read_vectors(p))))(path)
    assert error.value.code == code, error.value
    assert error.value.text("en") and error.value.text("zh")
    return error.value


FORMS = {
    "glove.txt": text_of(WORDS, False), "fast.vec": text_of(WORDS, True), "spaced.vec": text_of(WORDS, True).replace("\n", " \n"),
    "w2v.bin": binary_of(WORDS), "plain.bin": binary_of(WORDS, ""), "glove.txt.gz": gzip.compress(text_of(WORDS, False).encode()),
    "fast.vec.zst": zstandard.compress(text_of(WORDS, True).encode()), "w2v.bin.gz": gzip.compress(binary_of(WORDS)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_words(name, tmp_path):
    found = list(read_vectors(written(tmp_path / name, FORMS[name])))
    assert [entry.word.replace("_", " ") for entry in found] == list(WORDS)
    assert all(entry.vector.tolist() == WORDS[entry.word.replace("_", " ")] for entry in found)
    assert found[0].vector.dtype == np.float32


def test_only_wanted_numbers_are_read(tmp_path):
    for name in ("glove.txt", "w2v.bin"):
        found = list(read_vectors(written(tmp_path / name, FORMS[name]), lambda place, word: word == "box"))
        kept = [entry.word for entry in found if entry.vector is not None]
        assert "box" in kept and "快" not in kept and len(found) == 5


def broken(number, line, header=True):
    lines = text_of(WORDS, header).splitlines()
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("content", "code", "lines"),
    [
        (broken(3, "box 1 2"), "P-TEXT-080", [3]),
        (broken(4, "快递 1 zwei 3"), "P-TEXT-080", [4]),
        (broken(2, "box 1 nan 3", False), "P-TEXT-080", [2]),
        (broken(3, "box 1 2").replace("快 0 0 7.0", "快 0"), "P-TEXT-080", [3, 5]),
        ("one two three\nfour five six\n", "P-TEXT-080", [1]),
        ("", "P-TEXT-081", []),
        ("\n\n", "P-TEXT-081", []),
        ("word\n", "P-TEXT-080", [1]),
        ("5 0\na\n", "P-TEXT-081", []),
        (text_of(WORDS, True).replace("快 0 0 7.0\n", ""), "P-TEXT-082", []),
        (binary_of(WORDS)[:-3], "P-TEXT-082", []),
        (binary_of(WORDS)[:40], "P-TEXT-082", []),
        (binary_of(WORDS | {"the": [float("nan"), 0, 0]}), "P-TEXT-084", []),
        ((793712314).to_bytes(4, "little") + b"\x0c\0\0\0", "P-TEXT-083", []),
    ],
)
def test_broken_files_name_the_line(content, code, lines, tmp_path):
    error = raised(code, written(tmp_path / "file.vec", content))
    assert [one.line for one in (error, *error.others) if one.line] == lines and "file.vec" in str(error)


def test_a_missing_or_cut_file_is_told(tmp_path):
    raised("P-FILE-001", tmp_path / "absent.vec")
    raised("P-DATA-006", written(tmp_path / "cut.vec.gz", gzip.compress(text_of(WORDS, True).encode() * 99)[:-40]))


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def cutter(request):
    sizes = {"wordpiece": 120, "bpe": 400}
    return train_tokenizer(LINES, kind=request.param, size=sizes[request.param])


def vectors_for(tokenizer, folder, words):
    return piece_vectors(written(folder / "some.vec", text_of(words, True)), tokenizer)


def piece(tokenizer, text):
    """The one piece that a word in a running text is."""
    found = [number for number in tokenizer.encode(f"tree {text}") if number not in tokenizer.encode("tree")]
    assert len(found) == 1, [tokenizer.token(number) for number in found]
    return found[0]


def test_a_word_gives_its_vector_to_its_piece(cutter, tmp_path):
    made = vectors_for(cutter, tmp_path, {"parcel": [1.0, 2], "tree": [3.0, 4]})
    number = piece(cutter, "parcel")
    assert made.ways[number] == OWN and made.rows[number].tolist() == [1, 2] and made.words == 2
    assert not made.ways[list(cutter.special)].any()


def test_pieces_of_cut_words_have_the_mean_of_their_words(cutter, tmp_path):
    """Weighed by one over the place: here lines 2 and 3 of the file."""
    words = {"zqzq": [6.0, 0], "qzqz": [0.0, 6]}
    made = vectors_for(cutter, tmp_path, words)
    shared = set(cutter.encode("tree zqzq")) & set(cutter.encode("tree qzqz")) - set(cutter.encode("tree"))
    inside = [number for number in shared if made.ways[number] == MEAN]
    if inside:
        assert np.allclose(made.rows[inside[0]], np.array([6 / 2, 6 / 3]) / (1 / 2 + 1 / 3), atol=1e-5)
    assert made.ways.any()


def test_a_unigram_piece_carries_its_space(tmp_path):
    cutter = train_tokenizer(LINES, kind="unigram", size=110)
    words = {line for text in LINES for line in text.split()}
    whole = {word: ids for word in words if len(ids := cutter.encode(word)) == 1}
    made = vectors_for(cutter, tmp_path, {word: [1.0, place] for place, word in enumerate(sorted(whole))})
    assert whole and all(made.ways[number] == OWN for (number,) in whole.values())


def test_case_is_folded_where_the_file_has_no_other(tmp_path):
    cased = train_tokenizer(LINES * 3, kind="bpe", size=420)
    made = vectors_for(cased, tmp_path, {"the": [1.0, 2], "box": [9.0, 9]})
    start, running = cased.encode("The")[0], piece(cased, "Box")
    assert cased.token(start) == "The" and made.ways[start] == ALIKE and made.rows[start].tolist() == [1, 2]
    assert made.ways[running] == FOLDED and made.rows[running].tolist() == [9, 9]
    own = vectors_for(cased, tmp_path, {"box": [9.0, 9], "Box": [4.0, 4]})
    assert own.ways[running] == OWN and own.rows[running].tolist() == [4, 4]


def test_chinese_characters_and_words(tmp_path):
    cutter = train_tokenizer(LINES, kind="wordpiece", size=120)
    made = vectors_for(cutter, tmp_path, {"快": [1.0, 0], "快递": [0.0, 8]})
    own, part = cutter.encode("快递")
    assert made.rows[own].tolist() == [1, 0] and made.rows[part].tolist() == [0, 8]
    assert (made.ways[own], made.ways[part]) == (OWN, MEAN)


def test_a_chinese_word_of_the_tokenizer_has_the_mean_of_its_characters(tmp_path):
    cutter = train_tokenizer(LINES * 3, kind="bpe", size=420)
    made = vectors_for(cutter, tmp_path, {"快": [1.0, 0], "递": [0.0, 8]})
    (number,) = cutter.encode("快递")
    assert made.ways[number] == PARTS and made.rows[number].tolist() == [0.5, 4]
    missed = made.coverage(cutter, [np.array(cutter.encode("tree\n"))])["missed"]
    assert set(missed) == {"tree", repr("\n")}


def test_rows_take_the_networks_width_and_deviation(tmp_path):
    cutter = train_tokenizer(LINES, kind="wordpiece", size=120)
    chance = np.random.default_rng(0)
    words = {line: chance.standard_normal(6).round(3).tolist() for line in {w for text in LINES for w in text.split()}}
    made = vectors_for(cutter, tmp_path, words)
    whole = made.rows[made.ways > 0] - made.rows[made.ways > 0].mean(0)
    for width in (3, 6, 11):
        numbers, rows = made.fitted(width, 0.05, 4)
        assert rows.shape == (len(numbers), width) and rows.dtype == np.float32
        assert abs(rows.std() - 0.05) < 1e-5 and np.abs(rows.mean(0)).max() < 1e-6
        if width > 3:  # all angles are kept
            assert np.allclose(np.corrcoef((rows @ rows.T).ravel(), (whole @ whole.T).ravel())[0, 1], 1, atol=1e-4)
    assert np.array_equal(made.fitted(11, 0.05, 4)[1], rows) and not np.array_equal(made.fitted(11, 0.05, 5)[1], rows)


def test_coverage_counts_the_vocabulary_and_running_text(tmp_path):
    cutter = train_tokenizer(LINES, kind="wordpiece", size=120)
    made = vectors_for(cutter, tmp_path, {"parcel": [1.0, 2]})
    parcel, tree = piece(cutter, "parcel"), cutter.encode("tree")[0]
    found = made.coverage(cutter, [np.array([parcel, parcel, tree, cutter.special and min(cutter.special)])])
    assert found["running"] == round(2 / 3, 4) and found["missed"][0] == "tree"
    assert found["own_vocabulary"] == round(1 / (len(cutter) - len(cutter.special)), 4)


def test_a_file_that_fits_no_piece(tmp_path):
    cutter = train_tokenizer(["快递 盆景"] * 9, kind="wordpiece", size=20)
    raised(
        "P-TEXT-085",
        written(tmp_path / "a.vec", text_of({"zebra": [1.0, 2]}, True)),
        lambda p: piece_vectors(p, cutter),
    )
