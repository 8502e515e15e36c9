"""Distillation: every task that can be taught, what is inside, copied students, other vocabularies, answers of teacher and
student, resume, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from toys import KINDS, PAIRS, RECORDS, TEXTS, teach, tokenizer, toy_model, toy_pieces

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.changes import changes_of
from penjing.model.size import fresh_config
from penjing.tasks import made_task, task_named
from penjing.tasks.committee import Committee
from penjing.tasks.distilling.answers import own_answers
from penjing.tasks.distilling.watching import watching
from penjing.tasks.model import Model
from penjing.text.token_file import cached_token_file
from penjing.train.fit import FitOptions, fit
from penjing.train.loop import evaluate_loss
from penjing.train.prove import prove_resume

TAGGED = [
    {"tokens": text.split(), "tags": ["B-GOOD" if word == "good" else "O" for word in text.split()]} for text in TEXTS
]
TAGGED += [{"tokens": ["good", "tree"], "tags": ["B-GOOD", "O"]}]
SPANS = [{"question": "what", "context": f"the tree was {word}", "answers": [{"text": word, "start": 13}]}
         for word in ("good", "bad", "late", "fine")]  # fmt: skip
NUMBERS = [{"text": one["text"], "label": 10.0 + 2.5 * (one["label"] == "good")} for one in RECORDS]
TALKS = [{"prompt": f"the {thing}", "response": said} for thing, said in
         (("tree", "good"), ("box", "very late"), ("parcel", "came and was fine"), ("today", "late"))]  # fmt: skip
ALIKE = [{"text": one["text"], "text_b": other["text"], "score": float(one["label"] == other["label"])}
         for one, other in zip(RECORDS[:12], RECORDS[3:], strict=False)]  # fmt: skip
BETTER = [{"prompt": f"the {one}", "chosen": f"{one} good", "rejected": f"{one} bad"} for one in ("tree", "box")]
HELD = {
    "classify": RECORDS,
    "tag": TAGGED,
    "span": SPANS,
    "regress": NUMBERS,
    "chat": TALKS,
    "seq2seq": PAIRS,
    "embed": ALIKE,
    "reward": BETTER,
}
FAMILY = {"chat": "llama", "seq2seq": "t5", "causal": "llama", "denoise": "bart", "reward": "llama"}


def normal(task, records):
    found = [task.normal(record) for record in records]
    task.check(found, True)
    return found


def model_for(task, family="bert", *, layers=1, width=32, heads=2, seed=0, cutter=None, dropout=0.0):
    cutter = cutter or tokenizer(KINDS[family])
    config = fresh_config(
        family, vocab_size=-(-cutter.size // 64) * 64, width=width, layers=layers, max_tokens=64, dropout=dropout,
        heads=None if family == "lstm" else heads, purpose=task.purpose, pad=cutter.pad,
    )  # fmt: skip
    return Model.new(config, family, task, cutter, seed)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Folders of teachers by task, made when first asked for: deeper and wider than their students."""
    made = {}

    def folder(name, family=None, layers=3, **said):
        key = (name, family, layers, json.dumps(said, sort_keys=True))
        if key not in made:
            family = family or FAMILY.get(name, "bert")
            task = made_task(name, HELD[name], said) if name in HELD else task_named(name, **said)
            model = model_for(task, family, layers=layers, width=48, seed=5)
            if name == "regress":
                model.task = model.task.settled(model, [])
            made[key] = tmp_path_factory.mktemp(name)
            model.save(made[key])
        return made[key]

    return folder


def student_of(name, folder, family=None, inner=None, **said):
    """A student of a teacher's folder, and its pieces."""
    sizes = {key: said.pop(key) for key in ("layers", "width", "heads", "cutter", "dropout") if key in said}
    task = made_task("distil", HELD.get(name, ()), {"task": {name: inner or {}}, "teacher": folder} | said)
    model = task.begun(0) or model_for(task, family or FAMILY.get(name, "bert"), **sizes)
    return model, pieces_of(model, HELD.get(name))


def pieces_of(model, records=None, folder=None):
    if records is None:
        whole = cached_token_file(folder, TEXTS[:8], model.tokenizer, source="toys")
        return model.task.raw_pieces(whole, model.tokenizer, model.window)
    return model.task.pieces(model, normal(model.task, records), True)


def on_one_batch(model, pieces, steps=6, rate=3e-3):
    """What is seen of steps on the first rows of some pieces."""
    batch = model.task.collate(pieces, np.arange(min(4, len(pieces))), model.tokenizer, np.random.default_rng(0))
    optimizer, found = torch.optim.Adam(model.parameters(), rate), []
    for _ in range(steps):
        loss = model.train().task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(model.seen.means() | {"loss": float(loss.detach())})
    return found


def seen_in(model, pieces, steps=1):
    losses = teach(model, steps, 1e-3, pieces)
    return losses, model.seen.means()


def code_of(call):
    with pytest.raises(PenjingError) as caught:
        call()
    assert caught.value.text()
    return {one.code for one in (caught.value, *caught.value.others)}


# ---- every task ----


@pytest.mark.parametrize("name", HELD)
def test_every_use_learns_what_its_teacher_says(name, teachers):
    """With soft: 1 and a copy as large as its teacher nothing is to be learnt; a fresh one comes nearer."""
    folder = teachers(name)
    copy, pieces = student_of(name, folder, copy=3, soft=1.0)
    losses, seen = seen_in(copy, pieces)
    exact = name in ("chat", "seq2seq", "embed", "reward") or copy.task.inherits(copy.task.how.one.single.task)
    assert (abs(seen["from_teacher"]) < 1e-5) == exact
    fresh, pieces = student_of(name, folder, soft=1.0)
    seen = on_one_batch(fresh, pieces, rate=2e-4)
    assert 0 < seen[-1]["from_teacher"] < seen[0]["from_teacher"]


@pytest.mark.parametrize(("name", "inner"), [("masked", {}), ("causal", {}), ("denoise", {"style": "bart"})])
def test_every_objective_does(name, inner, teachers, tmp_path):
    folder = teachers(name, **inner)
    task = made_task("distil", (), {"task": {name: inner}, "teacher": folder, "copy": 3, "soft": 1.0, "hidden": {}})
    copy = task.begun(0)
    _, seen = seen_in(copy, pieces_of(copy, folder=tmp_path))
    assert abs(seen["from_teacher"]) < 1e-5 and abs(seen["hidden"]) < 1e-5
    assert copy.task.settled(copy, ()) == task_named(name, **inner) and copy.lineage["distil"]["ways"] == ["hidden"]


def test_a_crf_teaches_its_chances(teachers):
    model, pieces = student_of("tag", teachers("tag", crf=True))
    losses, seen = seen_in(model, pieces, 2)
    assert np.isfinite(losses).all() and seen["from_teacher"] > 0
    assert "P-TASK-141" in code_of(lambda: student_of("tag", teachers("tag"), inner={"crf": True}))


def test_labels_in_another_order_are_set_right(teachers, tmp_path):
    model = Model.load(teachers("classify"))
    model.task = task_named("classify", labels=["good", "bad"])
    model.save(tmp_path / "turned")
    model, pieces = student_of("classify", tmp_path / "turned")
    batch = model.task.collate(pieces, np.arange(4), model.tokenizer, None)
    turned = model.task.hears(model.task.how.one.single, batch)
    straight = student_of("classify", teachers("classify"))[0].task
    torch.testing.assert_close(turned.flip(1), straight.hears(straight.how.one.single, batch))


# ---- the teacher ----


def test_the_teacher_is_never_trained_and_not_saved(teachers, tmp_path):
    model, pieces = student_of("classify", teachers("classify"), hidden={})
    teacher = model.task.how.one.single
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    teach(model, 3, 1e-2, pieces)
    assert not teacher.training and all(
        torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items()
    )
    assert model.companion is not None and not any("teacher" in name for name, _ in model.named_parameters())
    model.task = model.task.settled(model.eval(), [])
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert type(again.task) is type(task_named("classify", labels=["bad", "good"])) and again.companion is None
    assert again.lineage["distil"]["parameters"] == sum(p.numel() for p in teacher.parameters())
    assert again.answer(RECORDS[:3]) == model.answer(RECORDS[:3])


def test_validation_is_the_plain_tasks(teachers):
    model, _ = student_of("classify", teachers("classify"), soft=0.9)
    plain = model.task.plain
    batch = plain.collate(toy_pieces(model, RECORDS), np.arange(4), model.tokenizer, None)
    assert model.task.validating() == plain
    assert torch.equal(model.eval().task.loss(model, batch), plain.loss(model, batch))
    assert not torch.equal(model.train().task.loss(model, batch), plain.loss(model, batch))


def test_several_models_teach_by_text(teachers, tmp_path):
    Committee([Model.load(teachers("classify")), Model.load(teachers("classify", layers=2))]).save(tmp_path / "both")
    with listen(lambda event: told.append(event.text)):
        told = []
        model, pieces = student_of("classify", tmp_path / "both")
    assert any("once" in text for text in told if text)
    wanted = np.log(model.task.how.one.model.probabilities(RECORDS))
    np.testing.assert_allclose(pieces.heard, wanted, atol=1e-4)
    assert "P-TASK-147" in code_of(lambda: student_of("classify", tmp_path / "both", hidden={}))


@pytest.mark.parametrize("name", ["classify", "regress", "embed"])
def test_another_vocabulary_is_read_by_text(name, teachers, tmp_path):
    model, pieces = student_of(name, teachers(name), family="llama", soft=1.0)
    assert len(pieces.heard) == len(HELD[name])
    losses = teach(model, 8, 1e-2, pieces)
    assert losses[-1] < losses[0]
    file = tmp_path / "train.safetensors"
    kept = model.task.kept_pieces(model, normal(model.task, HELD[name]), file)
    bits = file.read_bytes()
    again = model.task.kept_pieces(model, normal(model.task, HELD[name]), file)
    assert np.array_equal(kept.heard, again.heard) and file.read_bytes() == bits
    model.task.kept_pieces(model, normal(model.task, HELD[name][:6]), file)
    assert file.read_bytes() != bits


def test_other_vocabularies_are_refused_where_tokens_must_be_the_same(teachers):
    assert code_of(lambda: student_of("tag", teachers("tag"), family="llama")) == {"P-TASK-138"}
    assert code_of(lambda: student_of("classify", teachers("classify"), family="llama", hidden={})) >= {"P-TASK-138"}


# ---- what is inside ----


@pytest.mark.parametrize(("name", "said", "sizes"), [
    ("classify", {"hidden": {"layers": "spread", "measure": "mse"}}, {"layers": 2}),
    ("classify", {"hidden": {"layers": [2, 3]}, "relations": {"layer": 2, "heads": 4}}, {"layers": 2}),
    ("classify", {"attention": {"measure": "kl", "layers": "last"}, "relations": {"of": ["value"]}}, {}),
    ("chat", {"attention": {}, "hidden": {}}, {}),
    ("seq2seq", {"attention": {"measure": "kl"}, "relations": {}, "hidden": {"measure": "mse"}}, {}),
    ("tag", {"relations": {}, "soft": 0.0, "hard": 0.0}, {"width": 32, "heads": 4}),
])  # fmt: skip
def test_what_is_inside_is_learnt(name, said, sizes, teachers):
    model, pieces = student_of(name, teachers(name), **said, **sizes)
    values = on_one_batch(model, pieces, rate=1e-2)
    for way in ("hidden", "attention", "relations"):
        assert (way in said) == (way in values[0])
        assert way not in said or values[-1][way] < values[0][way]


def test_an_lstm_learns_hidden_states(teachers):
    model, pieces = student_of(
        "classify", teachers("classify", family="lstm"), family="lstm", hidden={"layers": "spread"}
    )
    losses, seen = seen_in(model, pieces, 3)
    assert np.isfinite(losses).all() and seen["hidden"] > 0
    for way in ("attention", "relations"):
        assert "P-TASK-142" in code_of(
            lambda way=way: student_of("classify", teachers("classify"), family="lstm", **{way: {}})
        )


@torch.no_grad()
@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_watched_networks_answer_as_before_and_are_as_they_were(family):
    model = toy_model("seq2seq" if family == "t5" else "classify", family)
    pieces = toy_pieces(model) if family != "t5" else model.task.pieces(model, PAIRS, True)
    batch = model.task.collate(pieces, np.arange(5), model.tokenizer, None)
    plain = model.task.says(model.eval(), batch)
    with watching(model.network, frozenset(("states", "parts", "scores"))) as seen:
        watched = model.task.says(model, batch)
    torch.testing.assert_close(plain, watched, rtol=1e-4, atol=1e-5)
    assert torch.equal(plain, model.task.says(model, batch))
    for one in seen.values():
        block = one.scores[0].softmax(-1)[one.real[:, None, :].expand(-1, 2, -1)]
        torch.testing.assert_close(block.sum(-1), torch.ones(len(block)))
        assert (
            len(one.states) == 2
            and len(one.scores) == len(one.parts) == 1
            and set(one.parts[0]) == {"query", "key", "value"}
        )


# ---- copied students ----


@torch.no_grad()
@pytest.mark.parametrize("family", ["modernbert", "llama", "t5", "lstm"])
def test_a_copy_of_all_blocks_is_its_teacher(family, tmp_path):
    layers = 4 if family == "modernbert" else 3
    records = PAIRS if family == "t5" else RECORDS
    name = "seq2seq" if family == "t5" else "classify"
    teacher = model_for(made_task(name, records, {}), family, layers=layers)
    teacher.save(tmp_path / "teacher")
    for copy in (layers, list(range(1, layers + 1))):
        model, _ = student_of(name, tmp_path / "teacher", copy=copy)
        ours, theirs = model.state_dict(), teacher.state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    short, _ = student_of(name, tmp_path / "teacher", copy=[1, 2])
    for stack in filter(None, (short.network.encoder, short.network.decoder)):
        assert len(stack.blocks) == 2
    short.task = short.task.settled(short, [])
    short.save(tmp_path / "short")
    assert len(Model.load(tmp_path / "short").answer(records[:2])) == 2


def test_blocks_that_cannot_be_copied_are_told(teachers, tmp_path):
    for copy in (9, [1, 9], [1, 1]):
        assert code_of(lambda copy=copy: student_of("classify", teachers("classify"), copy=copy)) == {"P-TASK-148"}
    model_for(made_task("classify", RECORDS, {}), "modernbert", layers=4).save(tmp_path / "modern")
    assert code_of(lambda: student_of("classify", tmp_path / "modern", copy=[2, 3])) == {"P-TASK-149"}


@pytest.mark.parametrize("change", [{"lora": {"rank": 2}}, {"prefix": {"length": 3}}, "bitfit"])
def test_changes_learn_too(change, teachers):
    model, pieces = student_of("classify", teachers("classify"), hidden={}, attention={}, relations={}, layers=2)
    model.adapt(changes_of(change), 0)
    pieces = pieces_of(model, RECORDS)
    seen = on_one_batch(model, pieces)
    assert seen[-1]["loss"] < seen[0]["loss"]


def test_states_of_frozen_blocks_are_not_the_teachers(teachers):
    """What the student's frozen blocks say is kept; the teacher reads the tokens."""
    model, _ = student_of("classify", teachers("classify"), layers=2)
    model.adapt(changes_of({"freeze": {"top": 1}}), 0)
    pieces = pieces_of(model, RECORDS)
    batch = model.task.collate(pieces, np.arange(4), model.tokenizer, np.random.default_rng(0))
    wanted = model.train()(batch).item()
    below = dataclasses.replace(batch, below=(1, model.network.below(batch, 1)))
    assert model(below).item() == pytest.approx(wanted, rel=1e-5)
    model.adapt(changes_of({"prompt": {"length": 2}}), 0)
    prompted, _ = student_of("classify", teachers("classify"), hidden={})
    prompted.adapt(changes_of({"prompt": {"length": 2}}), 0)
    assert "P-TASK-153" in code_of(lambda: prompted.task.ready(prompted))


# ---- answers ----


def test_a_causal_teacher_answers_in_a_dialogue(teachers, tmp_path):
    """A network that was only pre-trained writes answers too, where its tokenizer knows the dialogue's form."""
    model = Model.load(teachers("chat"))
    model.task = task_named("causal")
    model.save(tmp_path / "causal")
    student, pieces = student_of("chat", tmp_path / "causal", inner={"max_new_tokens": 4}, targets="teacher", soft=0.0)
    assert np.isfinite(on_one_batch(student, pieces, 1)[0]["loss"])


@pytest.mark.parametrize("name", ["chat", "seq2seq"])
def test_the_teachers_answers_are_learnt(name, teachers, tmp_path):
    folder = teachers(name, **({"max_new_tokens": 6}))
    model, _ = student_of(name, folder, inner={"max_new_tokens": 6}, targets="teacher", soft=0.0)
    records, file = normal(model.task, HELD[name]), tmp_path / "train.safetensors"
    pieces = model.task.kept_pieces(model, records, file)
    lines = [json.loads(line) for line in (tmp_path / "train.teacher.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 1 + len(records)
    teacher = model.task.how.one.single
    asked = [model.task.plain.unanswered(record) for record in records]
    assert [one["text"] for one in lines[1:]] == [one["text"] for one in teacher.answer(asked)]
    for line in lines[1:]:
        line["text"] = "tree"
    (tmp_path / "train.teacher.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    again = model.task.kept_pieces(model, records, file)
    assert again.fingerprint() != pieces.fingerprint()  # it was read, not made anew


@pytest.mark.parametrize("family", ["llama", "lstm", "t5", "mbart"])
def test_the_students_own_answers(family, teachers):
    name = "seq2seq" if family in ("t5", "mbart") else "chat"
    model, pieces = student_of(name, teachers(name, family=family), family=family, on_policy=1.0)
    batch = model.task.collate(pieces, np.arange(4), model.tokenizer, None)
    torch.manual_seed(3)
    one = own_answers(model.train(), batch)
    assert model.training and model.network.training
    torch.manual_seed(3)
    again = own_answers(model, batch)
    assert all(torch.equal(getattr(one, key), getattr(again, key)) for key in ("tokens", "labels"))
    assert not torch.equal(own_answers(model, batch).labels, one.labels)
    carried = one.labels >= 0
    assert bool(carried.any(1).all())
    if name == "chat":
        assert torch.equal(one.tokens[:, 1:][carried], one.labels[carried])
        for row, (own, asked) in enumerate(zip(one.labels >= 0, batch.labels >= 0, strict=True)):
            start = int(asked.long().argmax())
            assert int(own.long().argmax()) == start
            assert torch.equal(one.tokens[row, : start + 1], batch.tokens[row, : start + 1])
    else:
        assert torch.equal(one.target[carried], one.labels[carried])
    losses, seen = seen_in(model, pieces, 2)
    assert np.isfinite(losses).all() and seen["from_teacher"] > 0
    torch.manual_seed(3)
    before = own_answers(model, batch).labels
    assert np.isfinite(evaluate_loss(model, batch, torch.bfloat16).item())
    torch.manual_seed(3)
    assert torch.equal(own_answers(model, batch).labels, before)  # half precision leaves nothing behind


def test_a_cut_run_with_answers_of_its_own_ends_in_the_same_bits(teachers, tmp_path):
    model, pieces = student_of("chat", teachers("chat"), on_policy=0.5, hidden={}, dropout=0.1, divergence="jsd")
    how = FitOptions(steps=6, batch_tokens=64, threads=1, dtype="float32", measure_seconds=0, validate_times=1)
    assert prove_resume(model, pieces, None, how, tmp_path, what="toy")["identical"]
    fit(model, pieces, None, how, tmp_path, what="toy")


def test_half_precision(teachers):
    for said in ({"hidden": {}, "attention": {}, "relations": {}}, {"once": True}):
        model, pieces = student_of("classify", teachers("classify"), **said)
        batch = model.task.collate(pieces, np.arange(6), model.tokenizer, None)
        whole, half = (evaluate_loss(model.train(), batch, kind).item() for kind in (torch.float32, torch.bfloat16))
        assert half == pytest.approx(whole, rel=0.05)


# ---- what is refused ----


@pytest.mark.parametrize(("name", "said", "codes"), [
    ("preference", {}, {"P-TASK-137"}),
    ("classify", {"soft": 0.0}, {"P-TASK-150"}),
    ("classify", {"soft": 0.0, "hidden": {}, "temperature": 3.0}, {"P-TRAIN-007"}),
    ("classify", {"balance": 0.3}, {"P-TRAIN-007"}),
    ("classify", {"targets": "teacher", "on_policy": 0.5}, {"P-TRAIN-007"}),
    ("classify", {"once": True, "hidden": {}}, {"P-OPTION-006"}),
    ("tag", {"once": True}, {"P-TRAIN-007"}),
    ("regress", {"temperature": 3.0}, {"P-TRAIN-007"}),
    ("classify", {"task": {"classify": {"rdrop": 1.0}}}, {"P-TRAIN-007"}),
    ("classify", {"soft": 2}, {"P-OPTION-002"}),
    ("classify", {"hidden": {"layers": [0]}}, {"P-OPTION-002"}),
    ("classify", {"strange": 1}, {"P-OPTION-001"}),
    ("classify", {"task": "clasify"}, {"P-OPTION-004"}),
])  # fmt: skip
def test_options_that_cannot_be(name, said, codes):
    given = {"task": name, "teacher": "nowhere"} | said
    assert code_of(lambda: made_task("distil", HELD.get(name, ()), given)) == codes


@pytest.mark.parametrize(("said", "sizes", "code"), [
    ({"attention": {}}, {"heads": 4}, "P-TASK-145"), ({"relations": {"heads": 5}}, {}, "P-TASK-146"),
    ({"relations": {"layer": 9}}, {}, "P-TASK-144"), ({"hidden": {"layers": [1, 2]}}, {}, "P-TASK-144"),
    ({"attention": {"layers": [7]}}, {}, "P-TASK-144"),
])  # fmt: skip
def test_networks_that_do_not_fit(said, sizes, code, teachers):
    assert code in code_of(lambda: student_of("classify", teachers("classify"), **said, **sizes))


def test_teachers_that_do_not_fit(teachers, tmp_path):
    assert code_of(lambda: student_of("classify", teachers("regress"))) == {"P-TASK-140"}
    model = toy_model(task=task_named("classify", labels=["bad", "odd", "good"]))
    model.save(tmp_path / "three")
    assert code_of(lambda: student_of("classify", tmp_path / "three")) == {"P-TASK-139"}
    cutter = tokenizer("wordpiece")
    model_for(task_named("classify", labels=["bad", "good"]), "gpt2", cutter=cutter).save(tmp_path / "ahead")
    assert "P-TASK-143" in code_of(lambda: student_of("classify", tmp_path / "ahead", hidden={}))
    assert code_of(lambda: student_of("classify", tmp_path / "nowhere")) & {"P-FILE-001", "P-FILE-002", "P-MODEL-013"}
