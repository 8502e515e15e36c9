"""BERT's pairs: half of them strangers, the rest as they stood; ALBERT's order; the loss is BertForPreTraining's."""

import numpy as np
import pytest
import torch
from toys_objectives import TEXTS, asked, cutter, objective_model, raw

from penjing.base.errors import TaskError
from penjing.tasks import task_named
from penjing.tasks.pieces import InMemory


def chance(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def pairs(model, rounds=30):
    """(row, first part, second part, label) of many draws."""
    pieces, drawn = raw(model), chance()
    for _ in range(rounds):
        for row in range(len(pieces)):
            (first, second), label = model.task.pair(pieces, row, model.tokenizer, drawn)
            yield pieces, row, first, second, label


def test_half_are_strangers_of_other_documents_that_begin_a_sentence():
    model, labels = objective_model("next_sentence", "bert"), []
    for pieces, row, first, second, label in pairs(model):
        labels.append(label)
        assert first[:2] == (row, 0)
        if label:
            assert pieces.owner[second[0]] != pieces.owner[row]
            assert second[1] in model.tokenizer.sentences.starts(pieces.inner(second[0]))
            assert second[2] - second[1] <= len(pieces.inner(row)) - first[2]
        else:
            assert second == (row, first[2], len(pieces.inner(row)))
        cuts = model.tokenizer.sentences.starts(pieces.inner(row))[1:]
        assert first[2] in cuts or not len(cuts)
    assert set(labels) == {0, 1} and np.mean(labels) == pytest.approx(0.5, abs=0.08)


def test_order_turns_neighbours_around():
    model, labels = objective_model("next_sentence", "bert", order=True), []
    for _, row, first, second, label in pairs(model, 10):
        labels.append(label)
        assert first[0] == second[0] == row
        assert (second[1] == 0 and first[1] == second[2]) if label else (first[1] == 0 and second[1] == first[2])
    assert np.mean(labels) == pytest.approx(0.5, abs=0.1)


def test_rows_are_pairs_with_types_and_hidden_tokens():
    model = objective_model("next_sentence", "bert")
    own, pieces = model.tokenizer, raw(model)
    batch = asked(model, range(len(pieces)), pieces)
    assert batch.tokens.shape[1] <= model.window and (batch.places[:, 0] == 0).all()
    for row in range(len(pieces)):
        tokens = batch.tokens[row].clone()
        kept = batch.labels[row] >= 0
        tokens[batch.places[row, 1:][kept]] = batch.labels[row][kept]
        ends = torch.nonzero(tokens == own.end).flatten().tolist()
        assert tokens[0] == own.begin and len(ends) == 2
        assert batch.segments[row, : ends[1] + 1].tolist() == [0] * (ends[0] + 1) + [1] * (ends[1] - ends[0])


def test_whole_words_are_hidden_in_both_texts():
    model = objective_model("next_sentence", "bert", whole_words=True, rate=0.4)
    found = model.tokenizer.word_starts("盆景 parcel unknowable", chinese_words=False)
    pieces = model.task.raw_pieces(InMemory([found[0] * 4], [found[1] * 4]), model.tokenizer, 40)
    two = model.task.question(pieces, 0, model.tokenizer, chance())
    starts = np.concatenate([[True], np.asarray(found[1] * 4), [True]])
    words = dict(enumerate(np.cumsum(starts)))
    assert len(two.row.places) and len(words) > 4


def test_a_piece_too_short_for_two_and_a_lonely_document():
    model = objective_model("next_sentence", "bert")
    short = model.task.raw_pieces(InMemory([[9], [9, 10, 11, 12]]), model.tokenizer, 32)
    batch = asked(model, [0], short)
    assert batch.more["next"].tolist() == [-100] and torch.isfinite(model(batch))
    alone = model.task.raw_pieces(InMemory([[9, 10, 11, 12]]), model.tokenizer, 32)
    found = {model.task.pair(alone, 0, model.tokenizer, chance(seed)) for seed in range(20)}
    assert found == {(((0, 0, 2), (0, 2, 4)), 0), (((0, 2, 4), (0, 0, 2)), 1)}  # no stranger: turned around


@pytest.mark.parametrize("order", [False, True])
def test_the_loss_is_bert_for_pre_training_s(order, tmp_path):
    from transformers import BertForPreTraining

    model = objective_model("next_sentence", "bert", order=order).eval()
    model.save(tmp_path / "m")
    theirs, loading = BertForPreTraining.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    batch = asked(model)
    labels = torch.full_like(batch.tokens, -100)
    kept = batch.labels >= 0
    labels[torch.arange(8)[:, None].expand_as(kept)[kept], batch.places[:, 1:][kept]] = batch.labels[kept]
    mask = torch.ones_like(batch.tokens) if batch.mask is None else batch.mask.long()
    with torch.no_grad():
        wanted = theirs.eval()(
            input_ids=batch.tokens, attention_mask=mask, token_type_ids=batch.segments, labels=labels,
            next_sentence_label=batch.more["next"],
        ).loss  # fmt: skip
        assert float(model(batch)) / batch.label_count == pytest.approx(float(wanted), rel=1e-5)


def test_scores_of_both_questions():
    model = objective_model("next_sentence", "bert", order=True)
    answers = [
        {"labels": [5, 6], "guesses": [5, 7], "bits": [1.0, 3.0], "next_labels": [0], "next_guesses": [0]},
        {"labels": [5], "guesses": [6], "bits": [2.0], "next_labels": [0], "next_guesses": [1]},
        {"labels": [], "guesses": [], "bits": [], "next_labels": [], "next_guesses": []},
    ]
    found = model.task.score(answers, [{}] * 3)
    wanted = {"accuracy": 1 / 3, "majority": 2 / 3, "bits_per_guess": 2.0, "next_accuracy": 0.5, "next_majority": 1.0}
    assert found == pytest.approx(wanted)


def test_a_tokenizer_that_parts_no_texts():
    with pytest.raises(TaskError, match="P-TASK-103"):
        task_named("next_sentence").suits(cutter("bpe"))


def test_sentences_end_where_people_end_them():
    own = cutter("wordpiece")
    tokens = np.asarray(own.encode(TEXTS[3]))
    assert len(own.sentences.of(tokens)) == TEXTS[3].count(" .")
    assert len(own.sentences.starts(tokens[:0])) == 0 and own.sentences.starts(tokens)[0] == 0
