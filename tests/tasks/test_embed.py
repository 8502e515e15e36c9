"""Sentence vectors: they learn from each form of records, are the same in any company, and tell what does not fit."""

import numpy as np
import pytest
import torch
from toys import LONG, TEXTS, same_weights, teach, toy_model
from toys_vectors import FORMS, STRANGE, pairs, scored, triplets

from penjing.base.errors import DataError, OptionError, PenjingError, TaskError
from penjing.base.records import Record, read_records, write_records
from penjing.tasks import task_named
from penjing.tasks.embed import Task, form_of
from penjing.tasks.model import Model
from penjing.tasks.retrieval import Search
from penjing.tasks.vectors import read

FAMILIES = ("bert", "llama", "lstm")
OBJECTIVES = [
    ("cosent", "scored"), ("cosine", "scored"), ("contrast", "pairs"), ("contrast", "triplets"), ("triplet", "triplets"),
]  # fmt: skip


def made(records, family="bert", **options):
    return toy_model(family=family, task=Task.made(records, **options))


def losses_of(model, records, steps=1):
    torch.manual_seed(0)
    return teach(model, steps, pieces=model.task.pieces(model, records, True))


@pytest.mark.parametrize(("objective", "form"), OBJECTIVES)
def test_every_objective_learns(objective, form):
    records = FORMS[form]()
    model = made(records, objective=objective)
    before = model.task.watched(model, records)
    losses = losses_of(model, records, 40)
    after = model.task.watched(model, records)
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3]) and after > max(before, 0.6 if form == "scored" else 0.4)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_learn_and_are_saved(family, tmp_path):
    records = scored()
    model = made(records, family)
    losses_of(model, records, 40)
    assert model.task.watched(model, records) > 0.7
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert same_weights(model, again) and again.task == model.task
    assert again.task.answer(again, records) == model.task.answer(model, records)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "first", "last", "max"])
def test_company_changes_no_vector(family, pooling):
    model = toy_model(family=family, task=task_named("embed", pooling=pooling))
    texts = [*TEXTS[:6], "", "满意😀", LONG, "é" * 300]
    together = model.task.vectors(model, texts)
    alone = np.concatenate([model.task.vectors(model, [text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together - model.task.vectors(model, texts, batch_tokens=16)).max() < 1e-5
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_poolings_are_what_they_say():
    """Beside the hidden states themselves; a long text's vector is the mean of its windows'."""
    model = toy_model(task=task_named("embed", normalise=False))
    text = TEXTS[0]
    pieces = model.pieces([text])
    with torch.no_grad():
        hidden = model.network.eval()(read(pieces, np.asarray([0]), model.tokenizer))[0].numpy()
    found = {"mean": hidden.mean(0), "max": hidden.max(0), "first": hidden[0], "last": hidden[-1]}
    for pooling, wanted in found.items():
        model.task = task_named("embed", pooling=pooling, normalise=False)
        assert np.allclose(model.task.vectors(model, [text])[0], wanted, atol=1e-6)
    model.task = task_named("embed", normalise=False)
    words = "tree " * 100
    pieces = model.pieces([words])
    parts = model.tokenizer.encode(words)
    each = [model.tokenizer.decode(parts[a:b]) for a, b in zip(pieces.start, pieces.stop, strict=True)]
    mean = np.average(model.task.vectors(model, each), axis=0, weights=pieces.lengths)
    assert len(each) > 1 and np.allclose(model.task.vectors(model, [words])[0], mean, atol=1e-5)


def test_pooling_left_out():
    """The mean for an encoder, the last token for a decoder, and on a given model what that model has."""
    assert toy_model(task=task_named("embed")).task.pooling_of(toy_model()) == "mean"
    decoder = toy_model(family="llama", task=task_named("embed"))
    assert decoder.task.pooling_of(decoder) == "last"
    base = toy_model(task=task_named("embed", pooling="first", normalise=False))
    assert base.with_task(task_named("embed"), 0).task == task_named("embed", pooling="first", normalise=False)
    assert base.with_task(task_named("embed", pooling="max"), 0).task.pooling == "max"
    assert toy_model("masked").with_task(task_named("embed"), 0).task == task_named("embed")
    with pytest.raises(TaskError, match="P-TASK-090"):
        both = toy_model(family="t5", task=task_named("seq2seq"))
        task_named("embed").vectors(both, ["tree"])


def test_answers():
    model = toy_model(task=task_named("embed"))
    records = [{"text": "good"}, {"text": "good", "text_b": "fine"}, *triplets(1), {"texts": ["good", "bad", "fine"]}]
    one, pair, triplet, several = model.task.answer(model, records)
    assert one == {"vector": pair["vectors"][0]} and len(one["vector"]) == 32
    assert pair["cosine"] == pytest.approx(float(np.dot(*pair["vectors"])), abs=1e-6)
    assert len(triplet["vectors"]) == 3 and triplet["cosines"][0] == triplet["cosine"]
    assert several["cosines"][1] == pytest.approx(pair["cosine"]) and len(several["cosines"]) == 2
    assert model.task.answer(model, []) == []
    drawn = ["".join(text for text, _ in line) for r, a in zip(records, [one, pair, triplet, several], strict=True)
             for line in model.task.lines(r, a)]  # fmt: skip
    assert "32 numbers" in drawn[0] and drawn[1] == "good" and f"{pair['cosine']:+.3f}" in drawn[2]
    assert len(drawn) == 1 + 2 + 3 + 3
    assert model.task.item(["a"]) == {"text": "a"} and model.task.item(["a", "b"]) == {"text": "a", "text_b": "b"}
    assert model.task.item(["a", "b", "c"]) == {"texts": ["a", "b", "c"]}
    for record, answer in zip(STRANGE, model.task.answer(model, STRANGE), strict=True):
        assert list(model.task.lines(record, answer))


def test_a_batch_is_never_alone():
    """In training one record is given another to be compared with, so that no step learns nothing in silence."""
    model = made(pairs())
    pieces = model.task.pieces(model, pairs(), True)
    batch = model.task.collate(pieces, np.asarray([3]), model.tokenizer, np.random.default_rng(0))
    assert len(batch.labels) == 2 and batch.records[0] == 3 != batch.records[1]
    assert len(batch.tokens) == 4 and batch.label_count == 2 and float(model(batch).detach()) > 0
    assert len(model.task.collate(pieces, np.asarray([3]), model.tokenizer, None).labels) == 1
    assert (pieces.lengths >= 2).all() and len(pieces) == 32 and pieces.cut == 0


def test_a_batch_keeps_to_its_budget():
    records = [*pairs(), {"text": LONG, "text_b": "tree"}]
    model = made(records)
    pieces = model.task.pieces(model, records, True)
    assert pieces.cut == 1 and int(pieces.lengths.max()) == 2 * 64
    batch = model.task.collate(pieces, np.asarray([0, 32]), model.tokenizer, None)
    assert batch.tokens.shape == (4, 64) and int(pieces.lengths[[0, 32]].max()) * 2 == batch.tokens.numel()


def test_options_change_losses():
    one = {name: losses_of(made(pairs(), **options), pairs(), 2) for name, options in (
        ("plain", {}), ("cold", {"temperature": 0.5}), ("one-sided", {"symmetric": False}), ("nested", {"nested": (8,)}),
        ("first", {"pooling": "first"}))}  # fmt: skip
    assert len({str(losses) for losses in one.values()}) == 5
    far, near = (losses_of(made(triplets(), objective="triplet", margin=m), triplets())[0] for m in (0.1, 1.0))
    assert near > far
    plain, wide = (losses_of(made(scored(), objective="cosine", bounds=b), scored())[0] for b in (None, (0.0, 10.0)))
    assert plain != wide and made(scored(), objective="cosine").task.bounds == (1.0, 5.0)
    with pytest.raises(OptionError, match="P-OPTION-002"):
        losses_of(made(pairs(), nested=(32,)), pairs())


def test_nested_vectors_point_alike():
    """With nested widths the first 4 numbers order the pairs better than without."""

    def agreement(**options):
        model = made(scored(), **options)
        losses_of(model, scored(), 40)
        short = [{**answer, "cosine": float(np.dot(a[:4], b[:4]) / np.linalg.norm(a[:4]) / np.linalg.norm(b[:4]))}
                 for answer in model.task.answer(model, scored()) for a, b in [answer["vectors"]]]  # fmt: skip
        return model.task.score(short, scored())["spearman"]

    assert agreement(nested=(4,)) > agreement()


def test_records_that_do_not_fit(tmp_path):
    task = task_named("embed")
    file = tmp_path / "bad.jsonl"
    write_records(file, [{"text": 3, "text_b": "x"}, {"text_b": "x"}, {"text": "a", "text_b": "b"}, {"texts": []}])
    with pytest.raises(DataError, match="P-TASK-091") as caught:
        task.check(list(read_records(file)), False)
    assert [problem.line for problem in (caught.value, *caught.value.others)] == [1, 2, 4]
    assert str(caught.value.file).endswith("bad.jsonl")
    for bad in ("high", None, float("nan"), True):
        records = [{"text": "a", "text_b": "b", "score": 1}, {"text": "a", "text_b": "b", "score": bad}]
        with pytest.raises(DataError, match="P-TASK-094" if bad is None else "P-TASK-097"):
            task.check(records, True)
    with pytest.raises(DataError, match="P-TASK-094"):
        form_of([*pairs(2), *scored(1)])
    with pytest.raises(TaskError, match="P-TASK-093"):
        Task.made([{"text": "a"}, {"text": "b"}])
    with pytest.raises(TaskError, match="P-TASK-093"):
        task.pieces(toy_model(task=task), [{"text": "a"}], True)
    with pytest.raises(TaskError, match="P-TASK-095"):
        Task.made(pairs(1))
    with pytest.raises(TaskError, match="P-TASK-096") as caught:
        Task.made(pairs(), objective="cosent")
    assert caught.value.known == ["contrast"]
    with pytest.raises(PenjingError, match="P-TASK-096"):
        Task.made(scored()).check(triplets(), True)
    with pytest.raises(OptionError, match="P-OPTION-005"):
        Task.made(pairs(), margin=0.5)
    Task.made(scored()).check([], True)


def test_names_of_others_are_ours():
    record = Record({"sentence1": "a", "sentence2": "b", "score": 1.0}, "x.jsonl", 7)
    found = Task.normal(record)
    assert found == {"text": "a", "text_b": "b", "score": 1.0} and (found.file, found.line) == ("x.jsonl", 7)
    assert Task.normal({"anchor": "a", "positive": "b"}) == {"text": "a", "text_b": "b"}
    assert Task.normal({"query": "a", "positive": "b", "negative": "c"}) == {
        "text": "a", "positive": "b", "negative": "c"}  # fmt: skip
    plain = {"text": "a", "text_b": "b"}
    assert Task.normal(plain) is plain


def test_the_nearest_texts_of_a_corpus(tmp_path):
    from penjing.tasks.neighbours import Neighbours

    records = pairs()
    model = made(records)
    losses_of(model, records, 40)
    index = Neighbours(model, [record["text_b"] for record in records])
    places, cosines = index.best([record["text"] for record in records], 5)
    assert places.shape == cosines.shape == (32, 5) and (np.diff(cosines) <= 1e-7).all()
    assert np.mean([records[row]["text_b"] in {index.texts[p] for p in places[row]} for row in range(32)]) > 0.5
    assert index.best(["tree"], 99)[0].shape == (1, 32) and index.scores("tree").shape == (32,)
    search = Search.of(records)
    assert len(search.candidates) == len({record["text_b"] for record in records})
