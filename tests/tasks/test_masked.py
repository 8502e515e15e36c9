"""What is hidden: how much, how, where, and whole words."""

import importlib.util

import numpy as np
import pytest
import torch
from toys import TEXTS, tokenizer, toy_model, toy_pieces, toy_task

from penjing.base.errors import MachineError, TaskError
from penjing.tasks.pieces import InMemory, Pieces
from penjing.tasks.task import IGNORED


def chance(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def long_pieces(rows=200, length=100, words=None, seed=1):
    """Documents of ordinary random tokens, in words of the given length."""
    cutter = tokenizer()
    ordinary = [i for i in range(cutter.size) if i not in cutter.special]
    documents = chance(seed).choice(ordinary, (rows, length))
    starts = None if words is None else [np.arange(length) % words == 0] * rows
    return Pieces(InMemory(list(documents), starts), cutter, length + 2)


def spread(batch):
    """Where the places are, as a table of the batch's shape: the label, or IGNORED."""
    table = torch.full_like(batch.tokens, IGNORED)
    kept = batch.labels != IGNORED
    rows = torch.arange(len(batch.tokens))[:, None].expand_as(batch.places)
    table[rows[kept], batch.places[kept]] = batch.labels[kept]
    return table


@pytest.mark.parametrize("rate", [0.15, 0.3])
@pytest.mark.parametrize("words", [None, 1, 3])
def test_the_rate_is_kept(rate, words):
    pieces = long_pieces(words=words)
    task = toy_task("masked", rate=rate, whole_words=words is not None)
    batch = task.collate(pieces, np.arange(200), tokenizer(), chance())
    assert batch.label_count / (200 * 100) == pytest.approx(rate, abs=0.01)


def test_the_shares_of_mask_random_and_same():
    pieces = long_pieces()
    original = torch.from_numpy(np.stack([pieces.tokens(row) for row in range(200)]))
    batch = toy_task("masked", rate=0.5).collate(pieces, np.arange(200), tokenizer(), chance())
    labels = spread(batch)
    asked = labels != IGNORED
    assert torch.equal(labels[asked], original[asked])
    assert torch.equal(batch.tokens[~asked], original[~asked])
    now, before = batch.tokens[asked], original[asked]
    masked = (now == tokenizer().mask).float().mean()
    same = (now == before).float().mean()
    assert masked == pytest.approx(0.8, abs=0.02) and same == pytest.approx(0.1, abs=0.02)
    other = now[(now != tokenizer().mask) & (now != before)]
    assert len(other) / len(now) == pytest.approx(0.1, abs=0.02)
    assert not set(other.tolist()) & tokenizer().special


def test_never_a_special_token():
    model = toy_model("masked")
    pieces = model.pieces(
        ["good [SEP] bad [MASK] fine [PAD] \u0e01\u0e01 tree box"] * 50 + [""] * 3 + ["[SEP]", "\u0e01"]
    )
    batch = model.task.collate(pieces, np.arange(len(pieces)), model.tokenizer, chance())
    labels = spread(batch)
    assert not set(labels[labels != IGNORED].tolist()) & model.tokenizer.special
    assert batch.label_count >= 50 and not (labels[50:] != IGNORED).any()


def test_every_text_with_a_word_is_asked_something():
    model = toy_model("masked")
    pieces = model.pieces(["good", "a", "tree box"])
    batch = model.task.collate(pieces, np.arange(3), model.tokenizer, chance())
    assert ((batch.labels != IGNORED).sum(1) == 1).all()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_whole_words(kind):
    cutter = tokenizer(kind)
    texts = ["unbreakable extraordinary trees, boxes and parcels 盆景 today"] * 40
    found = [cutter.word_starts(text) for text in texts]
    pieces = Pieces(InMemory([t for t, _ in found], [s for _, s in found]), cutter, 512)
    batch = toy_task("masked", whole_words=True, rate=0.3).collate(pieces, np.arange(40), cutter, chance())
    asked = (spread(batch) != IGNORED).numpy()
    assert 0 < asked.sum() < asked.size
    for row in range(40):
        starts, begin = pieces.starts(row), len(pieces.prefix)
        word = np.cumsum(starts)
        inner = slice(begin, begin + len(found[row][0]))
        able = ~np.isin(pieces.tokens(row)[inner], list(cutter.special))
        for number in set(word[inner]):
            part = asked[row, inner][(word[inner] == number) & able]
            assert part.all() or not part.any()


def test_chinese_words_need_jieba_or_use_it():
    text = "我的盆景迟到了"
    if importlib.util.find_spec("jieba") is None:
        with pytest.raises(MachineError, match="P-SYSTEM-001") as caught:
            tokenizer().word_starts(text, chinese_words=True)
        assert "jieba" in str(caught.value)
    else:
        plain, joined = (tokenizer().word_starts(text, chinese_words=flag)[1] for flag in (False, True))
        assert sum(joined) < sum(plain)


def test_each_draw_follows_from_the_generator():
    model = toy_model("masked")
    pieces = toy_pieces(model)
    one, two, other = (model.task.collate(pieces, np.arange(20), model.tokenizer, chance(s)) for s in (1, 1, 2))
    assert torch.equal(one.tokens, two.tokens) and torch.equal(one.places, two.places)
    assert not torch.equal(one.tokens, other.tokens)
    assert one.records == list(range(20)) and TEXTS


def test_a_tokenizer_without_mask():
    from penjing.text.tokenizer import Tokenizer

    model = toy_model("masked")
    inner = model.tokenizer.inner.from_str(model.tokenizer.inner.to_str().replace("[MASK]", "[OTHER]"))
    bare = Tokenizer(inner, {"pad_token": "[PAD]"})
    assert bare.mask is None
    with pytest.raises(TaskError, match="P-TASK-001"):
        model.task.collate(toy_pieces(model), np.arange(2), bare, chance())
