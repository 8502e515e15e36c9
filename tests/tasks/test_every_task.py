"""Each task with each family it fits: it learns, is saved whole, answers alike alone and in company."""

import copy
import json

import numpy as np
import pytest
import torch
from toys import (
    ENCODERS,
    GOOD,
    LABELS,
    LONG,
    RECORDS,
    SEVERAL,
    STRANGE,
    TEXTS,
    same_weights,
    teach,
    tokenizer,
    toy_model,
    toy_pieces,
    toy_task,
)

from penjing.base.errors import DataError, ModelError, TaskError
from penjing.tasks import TASKS, task_named
from penjing.tasks.model import Model
from penjing.train.loop import evaluate_loss

CLASSIFIERS = [
    (name, family) for name in ("classify", "several") for family in ("bert", "modernbert", "llama", "t5", "lstm")
]
CLASSIFIERS += [("classify", family) for family in ("roberta", "distilbert", "electra", "bart", "mbart")]
LANGUAGE = [("masked", family) for family in (*ENCODERS, "lstm")] + [("causal", "llama"), ("causal", "lstm")]
FOREIGN = [pair for pair in CLASSIFIERS if pair[1] != "lstm"]  # transformers has none


def losses(model, rows=range(12)):
    """The loss on some rows, each alone, and on all together."""
    pieces = toy_pieces(model)

    def loss(rows):
        chance = np.random.Generator(np.random.PCG64(5))
        batch = model.task.collate(pieces, np.asarray(rows), model.tokenizer, chance)
        with torch.no_grad():
            return float(model.eval()(batch))

    return [loss([row]) for row in rows], loss(list(rows))


@pytest.mark.parametrize(("name", "family"), LANGUAGE)
def test_language_tasks_learn_and_are_saved(name, family, tmp_path):
    model = toy_model(name, family)
    found = teach(model)
    assert np.mean(found[-5:]) < 0.75 * found[0]
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert same_weights(model, again) and again.task == model.task
    assert losses(model)[1] == losses(again)[1]
    assert again.answer(["good parcel"])[0].keys() == model.answer(["good parcel"])[0].keys()


@pytest.mark.parametrize(("name", "family"), CLASSIFIERS)
def test_classifiers_learn_and_are_saved(name, family, tmp_path):
    model = toy_model(name, family)
    records = SEVERAL if name == "several" else RECORDS
    teach(model, *((100, 3e-3) if family == "t5" else (60, 1e-2)))
    chances = model.probabilities(records)
    right = (chances.argmax(-1) if name == "classify" else chances >= 0.5) == model.task.targets(records)
    assert right.mean() > (0.85 if name == "classify" else 0.8)
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert same_weights(model, again) and again.task == model.task
    assert again.answer(TEXTS) == model.answer(TEXTS)


@pytest.mark.parametrize(("name", "family"), CLASSIFIERS)
def test_company_changes_no_answer(name, family):
    model = toy_model(name, family)
    texts = TEXTS[:8] + STRANGE
    together, alone = model.probabilities(texts), np.concatenate([model.probabilities([text]) for text in texts])
    texts.remove(LONG)
    small = np.insert(
        model.probabilities(texts, batch_tokens=16), 8 + STRANGE.index(LONG), alone[8 + STRANGE.index(LONG)], 0
    )
    assert np.isfinite(together).all()
    assert np.abs(together - alone).max() < 1e-5 and np.abs(together - small).max() < 1e-5
    if name == "classify":
        assert np.allclose(together.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize(("name", "family"), [pair for pair in LANGUAGE if pair[0] == "causal"] + CLASSIFIERS)
def test_padding_changes_no_loss(name, family):
    each, together = losses(toy_model(name, family))
    assert abs(sum(each) - together) < 1e-5 * max(1, abs(together))


@pytest.mark.parametrize("family", ["bert", "modernbert", "lstm"])
def test_padding_changes_no_masked_loss(family):
    model = toy_model("masked", family)
    pieces = toy_pieces(model)
    chance = np.random.Generator(np.random.PCG64(5))
    batch = model.task.collate(pieces, np.arange(6), model.tokenizer, chance)
    each = 0.0
    for row in range(6):
        length = int(pieces.lengths[row])
        kept = batch.labels[row] >= 0
        alone = type(batch)(
            tokens=batch.tokens[row : row + 1, :length], places=batch.places[row : row + 1, kept],
            labels=batch.labels[row : row + 1, kept],
        )  # fmt: skip
        each += float(model.eval()(alone).detach())
    assert abs(each - float(model(batch).detach())) < 1e-4


@pytest.mark.parametrize(("name", "family"), LANGUAGE)
def test_strange_texts_have_a_finite_loss(name, family):
    model = toy_model(name, family)
    pieces = model.pieces(STRANGE)
    for rows in ([0], list(range(len(pieces)))[-3:], [0, 2, 5]):
        chance = np.random.Generator(np.random.PCG64(0))
        batch = model.task.collate(pieces, np.asarray(rows), model.tokenizer, chance)
        value = evaluate_loss(model, batch, torch.float32)
        value.backward()
        assert torch.isfinite(value)


@pytest.mark.parametrize(("name", "family"), FOREIGN)
def test_transformers_opens_the_classifier(name, family, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = toy_model(name, family)
    model.save(tmp_path / "m")
    theirs, cutter = AutoModelForSequenceClassification.from_pretrained(tmp_path / "m").eval(), None
    cutter = AutoTokenizer.from_pretrained(tmp_path / "m")
    texts = [*TEXTS[:6], "满意😀 的 盆景", "😡"]
    pieces = model.pieces(texts)
    for row, text in enumerate(texts):
        ids = cutter(text)["input_ids"]
        assert ids == pieces.tokens(row).tolist()
        with torch.no_grad():
            scores = theirs(**cutter([text], return_tensors="pt")).logits[0]
            ours = model.task.class_scores(
                model.eval(), model.task.collate(pieces, np.asarray([row]), model.tokenizer, None)
            )
        assert (scores - ours[0]).abs().max() <= 1e-5
    assert [theirs.config.id2label[i] for i in range(2)] == LABELS
    foreign = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
    assert foreign["problem_type"].startswith("multi" if name == "several" else "single")


def test_a_folder_of_others_is_read_by_its_config(tmp_path):
    for name, family in (("classify", "bert"), ("several", "bert"), ("masked", "bert"), ("causal", "llama")):
        model = toy_model(name, family)
        model.save(tmp_path / name)
        (tmp_path / name / "penjing.json").unlink()
        again = Model.load(tmp_path / name)
        assert again.task == model.task and same_weights(model, again)
    config = tmp_path / "classify" / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("ForSequenceClassification", "ForSong"), "utf-8")
    with pytest.raises(ModelError):
        Model.load(tmp_path / "classify")


@pytest.mark.parametrize("family", ENCODERS)
def test_a_bare_network_is_a_base_for_fine_tuning(family, tmp_path):
    """As sentence encoders are shipped: a folder of others without any head."""
    base = toy_model("base", family)
    base.save(tmp_path / "base")
    (tmp_path / "base" / "penjing.json").unlink()
    again = Model.load(tmp_path / "base")
    assert again.task.name == "base" and again.head is None and same_weights(base, again)
    with pytest.raises(TaskError, match="P-TASK-030"):
        again(again.task.collate(toy_pieces(again), np.arange(2), again.tokenizer, None))
    with pytest.raises(TaskError, match="P-TASK-006"):
        again.answer(["good"])
    model = again.with_task(toy_model("classify").task, 3)
    assert torch.equal(model.network.embedding.weight, base.network.embedding.weight)
    assert teach(model, 10)[-1] < 2 and model.answer(["good"])[0]["label"] in LABELS


def test_positions_and_padding_token_agree(tmp_path):
    """RoBERTa counts positions from its padding token's number; a config that says otherwise would move them."""
    model = toy_model("classify", "roberta")
    assert model.network.config.first_position == model.tokenizer.pad + 1
    model.tokenizer = copy.copy(model.tokenizer)  # the toy tokenizer is everybody's
    model.tokenizer.pad += 1
    with pytest.raises(ModelError, match="P-MODEL-021"):
        model.save(tmp_path / "model")


def test_mixed_up_folders(tmp_path):
    for name in ("masked", "classify"):
        toy_model(name).save(tmp_path / name)
    (tmp_path / "masked" / "penjing.json").replace(tmp_path / "classify" / "penjing.json")
    with pytest.raises(ModelError, match="P-TASK-005"):
        Model.load(tmp_path / "classify")


def test_a_tokenizer_larger_than_the_network():
    small = toy_model("classify")
    with pytest.raises(ModelError, match="P-TASK-004"):
        Model(small.network, small.head, small.task, toy_model("causal", "llama").tokenizer, "bert")


def test_the_network_of_one_task_goes_on_in_another():
    base = toy_model("masked", dropout=0.1)
    model = base.with_task(toy_model("classify").task, 3, dropout=0.0, head_dropout=0.5)
    assert model.network.config.dropout == 0 and model.head.style.dropout == 0.5
    assert torch.equal(model.network.embedding.weight, base.network.embedding.weight)
    assert not any(name.startswith("output") for name, _ in model.network.named_parameters())
    assert same_weights(model, base.with_task(model.task, 3, dropout=0.0, head_dropout=0.5))
    assert not same_weights(model, base.with_task(model.task, 4, dropout=0.0, head_dropout=0.5))


def test_labels_that_do_not_fit():
    task = toy_model("classify").task
    with pytest.raises(DataError, match="P-TASK-002") as caught:
        task.targets([{"text": "a", "label": "god"}, {"text": "b", "label": "ugly"}, {"text": "b", "label": "ugly"}])
    assert caught.value.nearest == "good" and len(caught.value.others) == 1
    from penjing.tasks.classify import labels_in

    with pytest.raises(DataError, match="P-TASK-003"):
        labels_in([{"text": "a", "label": "one"}] * 3, False)
    for records, several in (([{"text": "a", "labels": ["x"]}], False), ([{"text": "a", "label": "x"}], True)):
        with pytest.raises(DataError, match="P-TASK-009"):
            labels_in(records, several)
    with pytest.raises(DataError, match="P-TASK-009"):
        toy_model("classify").answer([{"review": "good"}])
    with pytest.raises(DataError, match="P-DATA-032"):
        toy_model("classify").answer("good")


def test_answers_say_what_was_asked():
    one, several = toy_model("classify"), toy_model("several")
    found = one.answer(["good", {"text": "good"}])
    assert found[0] == found[1] and found[0]["label"] in LABELS
    assert found[0]["probability"] == max(found[0]["probabilities"].values())
    chances = several.answer(["good"])[0]
    assert chances["labels"] == [label for label in LABELS if chances["probabilities"][label] >= 0.5]
    assert one.answer([]) == [] and one.probabilities([]).shape == (0, 2)


def test_balanced_weights():
    from penjing.tasks.classify import balanced

    targets = np.asarray([0] * 9 + [1] * 3)
    factors = np.asarray(balanced(targets, 2))
    assert factors[1] == pytest.approx(3 * factors[0]) and factors[targets].mean() == pytest.approx(1)
    model = toy_model(task=task_named("classify", labels=LABELS, weights=[1.0, 3.0]))
    plain = toy_model(task=task_named("classify", labels=LABELS))
    pieces = toy_pieces(model)
    batch = model.task.collate(pieces, np.asarray([1]), model.tokenizer, None)  # a row of the second label
    with torch.no_grad():
        assert float(model(batch)) == pytest.approx(3 * float(plain(batch)), rel=1e-5)


def test_token_dropout_spares_special_tokens_and_validation():
    model = toy_model(task=task_named("classify", labels=LABELS, token_dropout=0.5))
    pieces, cutter = toy_pieces(model), model.tokenizer
    plain = model.task.collate(pieces, np.arange(64), cutter, None)
    chance = np.random.Generator(np.random.PCG64(0))
    batch = model.task.collate(pieces, np.arange(64), cutter, chance)
    changed = batch.tokens != plain.tokens
    special = torch.isin(plain.tokens, torch.tensor(sorted(cutter.special)))
    assert not (changed & special).any() and (batch.tokens[changed] == cutter.mask).all()
    assert 0.4 < float(changed.sum() / (~special).sum()) < 0.6
    kept = model.task.validating().collate(pieces, np.arange(64), cutter, chance)
    assert torch.equal(kept.tokens, plain.tokens)


def test_what_a_user_types():
    task = toy_model("classify").task
    assert task.item(["a"]) == {"text": "a"} and task.item(["a", "b"]) == {"text": "a", "text_b": "b"}
    for texts, asked in (([], task), (["a", "b", "c"], task), (["a", "b"], toy_task("seq2seq"))):
        with pytest.raises(TaskError, match="P-TASK-110"):
            asked.item(texts)


def test_unknown_tasks_and_options():
    with pytest.raises(Exception, match="P-OPTION-004"):
        task_named("maskd")
    with pytest.raises(Exception, match="P-OPTION-001"):
        task_named("masked", ratio=0.5)
    assert set(TASKS) >= {"masked", "causal", "classify", "base"} and GOOD


def test_a_folder_whose_tokenizer_does_not_fit(tmp_path):
    """More tokens than the network has rows is told when the folder is opened."""
    toy_model("classify").save(tmp_path / "m")
    tokenizer("bpe").save(tmp_path / "m")
    with pytest.raises(ModelError, match="P-TASK-004"):
        Model.load(tmp_path / "m")


def test_a_new_task_keeps_the_networks_dropout():
    """A checkpoint that was trained with dropout is fine-tuned with it, unless another is asked for."""
    from penjing.base.options import options_of
    from penjing.recipe.stages import BUILT_IN

    model = toy_model("masked", dropout=0.3)
    kept = options_of(BUILT_IN["finetune"].function)["dropout"].default
    assert model.with_task(toy_task("classify"), 0, dropout=kept).network.config.dropout == 0.3
    assert model.with_task(toy_task("classify"), 0, dropout=0.0).network.config.dropout == 0.0
