"""Long texts: in windows, from the head, from head and tail; nothing lost that was not meant to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from toys import tokenizer, toy_model

from penjing.tasks.pieces import InMemory, Pieces
from penjing.text.token_file import write_token_file
from penjing.train.prepare import Part


def documents(lengths):
    begin = 10
    return InMemory([np.arange(begin, begin + n) for n in lengths])


@settings(max_examples=60, deadline=None)
@given(some.lists(some.integers(0, 400), min_size=1, max_size=12), some.integers(4, 90))
def test_windows_lose_no_token(lengths, window):
    pieces = Pieces(documents(lengths), tokenizer(), window)
    for number, length in enumerate(lengths):
        own = np.flatnonzero(pieces.owner == number)
        inner = np.concatenate([pieces.inner(int(piece)) for piece in own])
        assert inner.tolist() == list(range(10, 10 + length))
        sizes = [len(pieces.inner(int(piece))) for piece in own]
        assert max(sizes) - min(sizes) <= 1
    for piece in range(len(pieces)):
        row = pieces.tokens(piece)
        assert len(row) == pieces.lengths[piece] <= window
        assert row[:1].tolist() == tokenizer().prefix and row[-1:].tolist() == tokenizer().suffix


@pytest.mark.parametrize("long_text", ["head", "head_tail"])
def test_cut_texts(long_text):
    pieces = Pieces(documents([5, 18, 19, 100]), tokenizer(), 20, long_text)
    assert len(pieces) == 4 and pieces.cut == 2
    assert pieces.inner(1).tolist() == list(range(10, 28))
    kept = pieces.inner(3).tolist()
    assert len(kept) == 18 == pieces.lengths[3] - 2
    if long_text == "head":
        assert kept == list(range(10, 28))
    else:
        assert kept == [*range(10, 14), *range(96, 110)]  # a quarter from the beginning, the rest from the end


def test_starts_are_cut_as_the_tokens_are():
    found = [tokenizer().word_starts("unbreakable trees and boxes " * 20)]
    pieces = Pieces(InMemory([t for t, _ in found], [s for _, s in found]), tokenizer(), 16)
    inner = np.concatenate([pieces.starts(piece)[1:-1] for piece in range(len(pieces))])
    assert inner.tolist() == list(found[0][1])
    assert all(len(pieces.starts(p)) == len(pieces.tokens(p)) for p in range(len(pieces)))


def test_empty_documents():
    assert len(Pieces(documents([0, 0]), tokenizer(), 8)) == 2
    assert len(Pieces(documents([0, 3, 0]), tokenizer(), 8, empty=False)) == 1
    bare = tokenizer("bpe")
    pieces = Pieces(documents([0]), bare, 8)  # without special tokens around, a piece still has a token
    assert pieces.tokens(0).tolist() == [bare.end] and pieces.lengths.tolist() == [1]


def test_windows_are_averaged_by_their_tokens():
    model = toy_model("classify", max_tokens=16)
    text = "good tree box was very late and bad " * 5
    pieces = model.pieces([text])
    alone = Pieces(InMemory([pieces.inner(p) for p in range(len(pieces))]), model.tokenizer, 16)
    each = model.averaged_pieces(alone, 2, model.task.probabilities)
    assert len(each) > 2
    expected = np.average(each, axis=0, weights=alone.lengths)
    assert np.allclose(model.probabilities([text])[0], expected, atol=1e-6)
    head = toy_model("classify", max_tokens=16, long_text="head")
    assert np.allclose(head.probabilities([text])[0], head.probabilities([text + " and more"])[0])


def test_records_keep_their_number_in_the_file():
    class Part:
        lengths, numbers = np.asarray([3, 3]), np.asarray([7, 9])

        def document(self, number):
            return np.arange(3)

    assert Pieces(Part(), tokenizer(), 8).records(np.asarray([1, 0])) == [9, 7]


def test_other_words_of_the_same_length_are_other_data():
    """A run must not go on from a state that learnt from other texts: lengths and labels alone do not tell."""
    classify, span, embed = map(toy_model, ("classify", "span", "embed"))
    writer = toy_model("seq2seq", "vaswani")

    def differ(model, record, **other):
        one, same, another = (
            model.task.pieces(model, [model.task.normal(given)], True)
            for given in (record, dict(record), record | other)
        )
        assert one.lengths.tolist() == another.lengths.tolist()
        return one.fingerprint() == same.fingerprint() != another.fingerprint()

    assert differ(classify, {"text": "the box", "label": "good"}, text="the tree")
    assert differ(classify, {"text": "the", "text_b": "box", "label": "good"}, text_b="tree")
    assert differ(span, {"question": "the box", "context": "the tree", "answers": []}, question="the tree")
    assert differ(span, {"question": "the box", "context": "the tree", "answers": []}, context="the box")
    assert differ(embed, {"text": "the box", "text_b": "tree"}, text_b="the")
    assert differ(writer, {"source": "the box", "target": "tree"}, source="the tree")
    assert differ(writer, {"source": "the box", "target": "tree"}, target="box")


def test_parts_of_token_files_have_fingerprints(tmp_path):
    file, other = (
        write_token_file(tmp_path / name, [name + " the box", "the tree"], tokenizer()) for name in ("box", "tree")
    )
    found = [Part(file, np.asarray(rows)).fingerprint() for rows in ((0, 1), (0,), (1,))]
    assert len({*found, Part(other, np.asarray((0, 1))).fingerprint()}) == 4
