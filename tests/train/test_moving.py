"""Windows cut anew in each epoch: what they cover, and that a stopped run cuts them as the other would have."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from runs import OPTIONS, CutError
from toys import same_weights, tokenizer, toy_model

from penjing.base.errors import TrainError
from penjing.base.progress import listen
from penjing.tasks.pieces import InMemory, MovingPieces, Pieces
from penjing.train.fit import fit

LENGTHS = (150, 3, 40)


def moving(window=12, seed=0, lengths=LENGTHS):
    documents = InMemory([10 + np.arange(length) % 80 for length in lengths])
    return MovingPieces(documents, tokenizer(), window, empty=False, seed=seed)


@settings(max_examples=40, deadline=None)
@given(some.lists(some.integers(1, 300), min_size=1, max_size=6), some.integers(4, 60), some.integers(1, 9))
def test_windows_move_within_their_document(lengths, window, epoch):
    pieces = moving(window, lengths=lengths)
    here, plain = pieces.at_epoch(epoch), Pieces(pieces.documents, tokenizer(), window, empty=False)
    assert pieces.at_epoch(0) is pieces and np.array_equal(pieces.start, plain.start)
    assert np.array_equal(here.lengths, plain.lengths) and (here.start >= 0).all()
    assert (here.stop <= np.asarray(lengths)[here.owner]).all()
    assert [len(here.tokens(piece)) for piece in range(len(here))] == plain.lengths.tolist()
    for number in range(len(lengths)):
        own = here.owner == number
        room = plain.stop[own][0]
        assert (abs(here.start - plain.start)[own] <= room // 2 + 1).all()
        assert (np.diff(here.start[own]) > 0).all()  # no window hides another
        read = np.unique(
            np.concatenate([np.arange(*span) for span in zip(here.start[own], here.stop[own], strict=True)])
        )
        assert len(read) >= lengths[number] - room // 2 - 1


def test_where_they_lie_follows_from_seed_and_epoch():
    pieces, again, other = moving(), moving(), moving(seed=1)
    starts = [pieces.at_epoch(epoch).start.tolist() for epoch in (1, 2, 3, 4, 5, 6, 1)]
    assert starts[0] == starts[6] == again.at_epoch(1).start.tolist() != other.at_epoch(1).start.tolist()
    assert len({tuple(one) for one in starts}) > 3
    assert pieces.at_epoch(1).inner(5).tolist() == (10 + np.arange(150) % 80)[starts[0][5] :][:10].tolist()


def learn(folder, pieces, cut=None):
    folder.mkdir(exist_ok=True)
    model = toy_model("causal", "llama", dropout=0.1)

    def look(event):
        if event.kind == "step" and event.done == cut:
            raise CutError

    with listen(look):
        fit(model, pieces, None, replace(OPTIONS, steps=None, epochs=3.0, batch_tokens=64), folder, what="toy")
    return model


def test_killed_in_a_later_epoch_and_resumed(tmp_path):
    whole = learn(tmp_path / "whole", moving())
    with pytest.raises(CutError):
        learn(tmp_path / "cut", moving(), cut=9)
    with pytest.raises(TrainError, match="P-TRAIN-004") as caught:
        learn(tmp_path / "cut", Pieces(moving().documents, tokenizer(), 12, empty=False))
    assert "cuts" in str(caught.value)
    assert same_weights(whole, learn(tmp_path / "cut", moving()))
    fixed = learn(tmp_path / "fixed", Pieces(moving().documents, tokenizer(), 12, empty=False))
    assert not same_weights(whole, fixed)
