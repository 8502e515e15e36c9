"""Denoising: what is damaged and what is written, by T5's and BART's rules; the loss is theirs."""

from collections import Counter

import numpy as np
import pytest
import torch
from toys import tokenizer
from toys_objectives import TEXTS, asked, cutter, objective_model, raw

from penjing.base.errors import TaskError
from penjing.tasks import task_named
from penjing.tasks.pieces import InMemory
from penjing.tasks.seq2seq import delayed


def chance(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def damaged(text, seed=0, **options):
    own = cutter("wordpiece")
    tokens = np.asarray(own.encode(text), np.int64)
    task = task_named("denoise", style="bart", **options)
    return tokens, task.damaged(tokens, own, chance(seed)), own


def test_t5_reads_sentinels_and_writes_what_they_stand_for():
    model = objective_model("denoise", "t5")
    own, pieces = model.tokenizer, raw(model)
    names = {own.inner.token_to_id(f"<extra_id_{i}>"): i for i in range(20)}
    for row in range(len(pieces)):
        source, target = model.task.question(pieces, row, own, chance(row))
        assert source[-1] == target[-1] == own.end and len(source) == pieces.lengths[row] <= model.window
        read, written = ([names[token] for token in part.tolist() if token in names] for part in (source, target))
        assert read == written == list(range(len(read))) and target[0] in names
        spans = dict(zip(read, np.split(target[:-1], np.flatnonzero(np.isin(target, list(names))))[1:], strict=True))
        parts = [spans[names[one]][1:].tolist() if one in names else [one] for one in source[:-1].tolist()]
        assert sum(parts, []) == pieces.inner(row).tolist()


def test_pieces_are_as_long_as_their_damaged_form_fills_the_window():
    model = objective_model("denoise", "t5", max_tokens=64)
    pieces = model.task.raw_pieces(InMemory([[9] * 700]), model.tokenizer, 64)
    assert pieces.room > 64 and (pieces.lengths <= 64).all()
    assert model.task.question(pieces, 0, model.tokenizer, chance())[0].shape == (pieces.lengths[0],)
    half = task_named("denoise", rate=0.5).raw_pieces(InMemory([[9] * 700]), model.tokenizer, 64)
    assert half.room > pieces.room


def test_each_kind_of_bart_s_damage():
    text = " ".join(TEXTS[:4])
    tokens, masked, own = damaged(text, mask=0.5)
    assert (masked == own.mask).sum() == round(0.5 * len(tokens)) and (
        masked[masked != own.mask] == tokens[masked != own.mask]
    ).all()
    tokens, shorter, _ = damaged(text, delete=0.25)
    assert len(shorter) == len(tokens) - round(0.25 * len(tokens)) and not Counter(shorter.tolist()) - Counter(
        tokens.tolist()
    )
    tokens, filled, _ = damaged(text, infill=0.3)
    assert len(tokens) - (filled != own.mask).sum() == round(0.3 * len(tokens)) and 0 < (
        filled == own.mask
    ).sum() < 0.3 * len(tokens)
    tokens, turned, _ = damaged(text, rotate=1.0)
    assert any((turned == np.roll(tokens, -start)).all() for start in range(1, len(tokens)))
    tokens, moved, _ = damaged(text, permute=1.0)
    sentences = [sorted(map(tuple, own.sentences.of(one))) for one in (tokens, moved)]
    assert sentences[0] == sentences[1] and (tokens != moved).any() and len(sentences[0]) > 4
    assert (damaged(text, permute=0.0, mask=0.1)[1] == own.mask).any()
    for kind in ("mask", "delete", "infill", "rotate", "permute"):
        for short in ("", "tree"):
            assert len(damaged(short, **{kind: 1.0 if kind != "delete" else 0.9})[1]) <= len(own.encode(short))


def test_as_published_where_nothing_is_named():
    assert {k: v for k, v in task_named("denoise", style="bart").damage.items() if v} == {"infill": 0.3, "permute": 1.0}
    assert {k: v for k, v in task_named("denoise", style="bart", mask=0.2).damage.items() if v} == {"mask": 0.2}


def test_bart_writes_the_text_as_it_was():
    model = objective_model("denoise", "bart")
    pieces = raw(model)
    batch = asked(model, range(len(pieces)), pieces)
    for row in range(len(pieces)):
        kept = batch.labels[row] >= 0
        assert batch.labels[row][kept].tolist() == pieces.tokens(row).tolist()


@pytest.mark.parametrize("family", ["t5", "bart", "mbart", "marian"])
def test_the_loss_is_transformers(family, tmp_path):
    from transformers import AutoModelForSeq2SeqLM

    model = objective_model(
        "denoise", family, **({} if family in ("t5", "mbart", "marian") else {"style": "bart"})
    ).eval()
    model.save(tmp_path / "m")
    theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "m").eval()
    batch = asked(model)
    mask = torch.ones_like(batch.tokens) if batch.mask is None else batch.mask.long()
    more = {} if family != "mbart" else {"decoder_input_ids": delayed(batch, None).target}  # theirs knows no such batch
    with torch.no_grad():
        wanted = theirs(input_ids=batch.tokens, attention_mask=mask, labels=batch.labels, **more).loss
        assert float(model(batch)) / batch.label_count == pytest.approx(float(wanted), rel=1e-5)


def test_sentinels_and_ends_are_no_guesses():
    model = objective_model("denoise", "t5").eval()
    answers = model.answer([{"text": text} for text in TEXTS])
    labels = {label for answer in answers for label in answer["labels"]}
    assert labels and not labels & model.tokenizer.special


def test_options_of_the_other_style_and_what_a_tokenizer_lacks():
    def codes(**options):
        return [error.code for error in task_named("denoise", **options).problems()]

    assert codes(mask=0.1, permute=1.0) == ["P-TRAIN-007"] * 2 and codes(style="bart", rate=0.1) == ["P-TRAIN-007"]
    assert codes(style="bart", infill=0.0) == ["P-TASK-102"] and codes() == codes(style="bart", mask=0.3) == []
    with pytest.raises(TaskError, match="P-TASK-101"):
        task_named("denoise").suits(tokenizer("wordpiece"))
    with pytest.raises(TaskError, match="P-TASK-101"):
        task_named("denoise").raw_pieces(InMemory([[9] * 9]), cutter("unigram"), 2000)
    bare = type("Bare", (), {"mask": None})()
    with pytest.raises(TaskError, match="P-TASK-001"):
        task_named("denoise", style="bart").suits(bare)
    task_named("denoise", style="bart", permute=1.0).suits(bare)
