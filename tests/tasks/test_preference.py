"""Preference: forms of records, losses by hand, the margin's way, the reference that stays, scores, and what is refused."""

import copy
import json

import numpy as np
import pytest
import torch
from toys import KINDS, teach, tokenizer, write_jsonl

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.readers.source import Record
from penjing.changes import changes_of
from penjing.evaluate.classical.preference_linear import Baseline
from penjing.model.entropy import token_losses
from penjing.model.size import fresh_config
from penjing.tasks import made_task, task_named
from penjing.tasks.model import Model
from penjing.tasks.preference import ranked
from penjing.tasks.preference_losses import WAYS, Given, Strengths
from penjing.tasks.preference_rows import partners, reference_of
from penjing.text.preferences import preference
from penjing.train.fit import FitOptions, fit

THINGS = ("tree", "box", "parcel", "today")


def asked(text):
    return {"role": "user", "content": text}


def said(text):
    return {"role": "assistant", "content": text}


PAIRS = [{"prompt": f"the {one}", "chosen": f"{one} good", "rejected": f"{one} late"} for one in THINGS]
JUDGED = [{"prompt": f"the {one}", "completion": f"{one} {word}", "label": word == "good"}
          for one in THINGS for word in ("good", "late")]  # fmt: skip


def model_of(name="preference", window=64, **options):
    task, cutter = made_task(name, (), options), tokenizer(KINDS["llama"])
    config = fresh_config("llama", vocab_size=-(-cutter.size // 64) * 64, width=32, layers=1, max_tokens=window, heads=2,
                          dropout=0.0, purpose="causal", pad=cutter.pad)  # fmt: skip
    return Model.new(config, "llama", task, cutter, 0)


def normal(model, records):
    found = [model.task.normal(record) for record in records]
    model.task.check(found, True)
    return found


def pieces_of(model, records=PAIRS):
    return model.task.pieces(model, normal(model, records), True)


def batch_of(model, pieces):
    return model.task.collate(pieces, np.arange(len(pieces)), model.tokenizer, None)


# ---- records ----


@pytest.mark.parametrize("record", [
    {"prompt": "the tree", "chosen": "good", "rejected": "late"},
    {"prompt": [asked("the tree")], "chosen": [said("good")], "rejected": said("late")},
    {"chosen": [asked("the tree"), said("good")], "rejected": [asked("the tree"), said("late")]},
    {"prompt": "the tree", "chosen": [asked("the tree"), said("good")], "rejected": [asked("the tree"), said("late")]},
    {"instruction": "the tree", "chosen": "good", "rejected": "late", "output": "strange"},
    {"conversations": [{"from": "human", "value": "the tree"}], "chosen": {"from": "gpt", "value": "good"},
     "rejected": {"from": "gpt", "value": "late"}},
    {"chosen": "\n\nHuman: the tree\n\nAssistant: good", "rejected": "\n\nHuman: the tree\n\nAssistant: late"},
])  # fmt: skip
def test_pairs_of_every_form_are_one(record):
    found = preference(record)
    assert found == {"messages": [asked("the tree")], "chosen": [said("good")], "rejected": [said("late")]}
    assert preference(found) == found


def test_conversations_part_where_they_differ():
    both = [asked("the tree"), said("good"), asked("and")]
    found = preference({"chosen": [*both, said("late")], "rejected": [*both, said("very late")]})
    assert found["messages"] == both and found["rejected"] == [said("very late")]


def test_judged_answers_of_every_form_are_one():
    wanted = {"messages": [asked("the tree")], "completion": [said("good")], "label": True}
    for record in (
        {"prompt": "the tree", "completion": "good", "label": True},
        {"prompt": "the tree", "response": "good", "label": "True"},
        {"messages": [asked("the tree"), said("good")], "label": 1},
    ):
        found = preference(record)
        assert found == wanted and preference(found) == found


@pytest.mark.parametrize(("record", "code"), [
    ({"prompt": "the tree", "chosen": "good"}, "P-TASK-130"),
    ({"prompt": "the tree", "completion": "good"}, "P-TASK-130"),
    ({"prompt": "the tree", "chosen": "good", "rejected": "good"}, "P-TASK-131"),
    ({"chosen": [asked("tree"), said("good")], "rejected": [asked("box"), said("good")]}, "P-TASK-132"),
    ({"prompt": "the tree", "completion": "good", "label": "perhaps"}, "P-TASK-133"),
    ({"prompt": "the tree", "chosen": "good", "rejected": "  "}, "P-TASK-134"),
    ({"prompt": "the tree", "chosen": 5, "rejected": "late"}, "P-CHAT-001"),
    ({"chosen": "good", "rejected": "late"}, "P-CHAT-020"),
])  # fmt: skip
def test_bad_records_are_told_with_their_place(record, code):
    with pytest.raises(PenjingError) as caught:
        model = model_of()
        model.task.check([model.task.normal(Record(record, "train.jsonl", 7))], True)
    assert (caught.value.code, caught.value.file, caught.value.line) == (code, "train.jsonl", 7)


def test_records_of_the_other_kind_and_options_of_another_method_are_refused():
    for method, records in (("kto", PAIRS), ("dpo", JUDGED), ("dpo", [*PAIRS, JUDGED[0]])):
        with pytest.raises(PenjingError) as caught:
            pieces_of(model_of(method=method), records)
        assert caught.value.code == "P-TASK-135"
        with pytest.raises(PenjingError) as caught:
            type(model_of().task).look(records, {"method": method})
        assert caught.value.code == "P-TASK-135"
    with pytest.raises(PenjingError) as caught:
        pieces_of(model_of(method="kto"), JUDGED[::2])
    assert caught.value.code == "P-TASK-136"
    for options in ({"gamma": 1.0}, {"method": "ipo", "smoothing": 0.1}, {"desirable": 2.0}):
        with pytest.raises(PenjingError) as caught:
            made_task("preference", (), options)
        assert caught.value.code == "P-TRAIN-007"


# ---- losses ----


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def test_losses_are_the_formulas():
    chance = np.random.default_rng(0)
    logs, reference = -chance.uniform(2, 30, (2, 6, 2))
    counts, good = chance.integers(2, 9, (6, 2)), np.asarray([1, 0, 1, 1, 0, 0], bool)
    given = Given(*map(torch.from_numpy, (logs, reference, counts, good)))
    ratio, means = logs - reference, logs / counts
    gap, drift = ratio[:, 0] - ratio[:, 1], max(0.0, 0.3 * ratio[:, 1].mean())
    odds = np.log(np.exp(means) / (1 - np.exp(means)))
    wanted = {
        "dpo": -0.8 * np.log(sigmoid(0.3 * gap)) - 0.2 * np.log(sigmoid(-0.3 * gap)),
        "ipo": (gap - 1 / 0.6) ** 2,
        "orpo": -means[:, 0] - 0.3 * np.log(sigmoid(odds[:, 0] - odds[:, 1])),
        "simpo": -np.log(sigmoid(0.3 * (means[:, 0] - means[:, 1]) - 0.7)),
        "kto": np.where(good, 1.5 * (1 - sigmoid(0.3 * ratio[:, 0] - drift)), 0.5 * (1 - sigmoid(drift - 0.3 * ratio[:, 0]))),
    }  # fmt: skip
    assert set(wanted) == set(WAYS)
    for name, values in wanted.items():
        losses, rewards = WAYS[name].loss(given, Strengths(0.3, 0.2, 0.7, 1.5, 0.5))
        np.testing.assert_allclose(losses.numpy(), values, rtol=1e-6)
        assert rewards.shape == (6, 2)


def test_a_certain_answer_has_finite_odds():
    logs = torch.tensor([[0.0, -3.0]], requires_grad=True)
    given = Given(logs, torch.zeros(1, 2), torch.tensor([[2, 2]]), torch.tensor([True]))
    losses, _ = WAYS["orpo"].loss(given, Strengths(0.1, 0, 1, 1, 1))
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(logs.grad).all()


@pytest.mark.parametrize("frozen", [False, True])
def test_weighed_token_losses_have_the_plain_gradients(frozen, monkeypatch):
    monkeypatch.setattr("penjing.model.entropy.CELLS", 30)
    hidden, weight, bias, scale = (torch.randn(*size, dtype=torch.float64) for size in ((7, 4), (11, 4), (11,), (7,)))
    labels, found = torch.arange(7), []
    for way in (token_losses, lambda h, w, b, y: torch.nn.functional.cross_entropy(h @ w.T + b, y, reduction="none")):
        leaves = [
            one.float().requires_grad_(not frozen or number == 0) for number, one in enumerate((hidden, weight, bias))
        ]
        losses = way(*leaves, labels)
        (losses * scale.float()).sum().backward()
        found.append([losses.detach(), *(leaf.grad for leaf in leaves if leaf.requires_grad)])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["dpo", "ipo", "simpo", "orpo"])
def test_the_batch_loss_is_the_formula_of_each_answers_tokens(method):
    model = model_of(method=method)
    pieces = pieces_of(model)
    if WAYS[method].reference:
        pieces.reference += np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
    with torch.no_grad():
        loss = float(model(batch_of(model, pieces)))
        logs, counts = np.zeros((4, 2)), np.zeros((4, 2), int)
        for side in (0, 1):
            for number, row in enumerate(pieces.sides[side]):
                tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
                scores = model.network.logits(model.network(type(batch_of(model, pieces))(tokens=tokens)))[0, :-1]
                each = scores.log_softmax(-1).gather(-1, tokens[0, 1:, None])[:, 0].numpy()
                logs[number, side], counts[number, side] = each[row.carries[1:]].sum(), row.carries[1:].sum()
    given = Given(*map(torch.from_numpy, (logs, pieces.reference.astype(float), counts, pieces.good)))
    assert loss == pytest.approx(float(WAYS[method].loss(given, model.task.strengths)[0].sum()), rel=1e-5)
    text = model.tokenizer.inner.decode(
        pieces.sides[0][0].tokens[pieces.sides[0][0].carries].tolist(), skip_special_tokens=False
    )
    assert text == "tree good<|im_end|>"


def test_the_longer_answer_does_not_decide_the_batch():
    """A pair and the same the other way round are read in the same shapes, and have the losses of their sides."""
    model = model_of()
    one = {"prompt": "the tree", "chosen": "good", "rejected": "very late and bad"}
    pieces = pieces_of(model, [one, one | {"chosen": one["rejected"], "rejected": one["chosen"]}])
    assert pieces.swapped.tolist() == [False, True] and np.array_equal(pieces.lengths[0], pieces.lengths[1])
    assert np.allclose(pieces.reference[0], pieces.reference[1, ::-1], rtol=1e-6)
    pieces.reference[:] = 0
    margins = []
    for row in (0, 1):
        model(model.task.collate(pieces, np.asarray([row]), model.tokenizer, None))
        margins.append(model.seen.means()["reward_margin"])
    model(batch_of(model, pieces))
    assert margins[0] == pytest.approx(-margins[1], rel=1e-5) and abs(margins[0]) > 0.1
    assert model.seen.means()["reward_margin"] == pytest.approx(0, abs=1e-5)


def test_judged_answers_stand_beside_those_of_other_questions():
    model = model_of(method="kto", desirable=2.0)
    pieces, other = pieces_of(model, JUDGED), partners(8)
    assert sorted(other) == list(range(8)) and (other != np.arange(8)).all()
    for number in range(8):
        words = [model.tokenizer.decode(side[number].tokens[side[number].carries]).strip() for side in pieces.sides]
        assert words == [JUDGED[number]["completion"], JUDGED[other[number]]["completion"]]
    assert pieces.good.tolist() == [True, False] * 4
    loss = model(batch_of(model, pieces))
    assert float(loss.detach()) == pytest.approx(4 * 2 * 0.5 + 4 * 0.5, abs=1e-4)  # all ratios are 0
    losses = teach(model, 40, 1e-2, pieces)
    assert losses[-1] < 0.6 * losses[0]
    found = model.eval().task.score(model.answer(JUDGED), normal(model, JUDGED))
    assert found["preference_accuracy"] == 1.0 and model.seen.means().keys() >= {"reward_good", "reward_bad", "drift"}


# ---- learning ----


def test_the_margin_moves_as_the_gradient_says():
    """One step of plain descent: the margin grows by rate x beta x sigmoid(-beta x margin) x |gradient of the margin|²."""
    model = model_of(beta=0.5)
    batch = batch_of(model, pieces_of(model, PAIRS[:1]))

    def margin():
        model.seen.means()
        loss = model(batch)
        return loss, model.seen.means()["reward_margin"] / 0.5

    loss, before = margin()
    assert float(loss.detach()) == pytest.approx(np.log(2), abs=1e-5) and before == pytest.approx(0, abs=1e-5)
    loss.backward()
    weights = [one for one in model.parameters() if one.grad is not None]
    squared = sum(float(one.grad.double().square().sum()) for one in weights) / (0.5 * 0.5) ** 2  # of the margin
    rate = 1e-4
    with torch.no_grad():
        for one in weights:
            one -= rate * one.grad
    _, after = margin()
    assert after - before == pytest.approx(rate * 0.5 * 0.5 * squared, rel=0.05)


@pytest.fixture(scope="module")
def talker():
    """A model that says good and late alike of four things, and knows what belongs to two others."""
    records = [{"prompt": f"the {one}", "completion": f"{one} {word}"} for one in THINGS for word in ("good", "late")]
    model = model_of("chat", max_new_tokens=8)
    found = [model.task.normal(record) for record in records + APART]
    teach(model, 150, 1e-2, model.task.pieces(model, found, True))
    return model.eval()


APART = [{"prompt": "was", "completion": "快递 came"}, {"prompt": "very", "completion": "盆景 and was"}]


@pytest.mark.parametrize("change", [None, {"lora": {"rank": 4, "where": "query|value|mlp.*"}}])
@pytest.mark.parametrize("method", ["dpo", "simpo"])
def test_a_known_preference_is_learnt_and_the_rest_stays(talker, change, method):
    base = copy.deepcopy(talker)
    cost = base.task.score(base.answer([*map(base.task.normal, APART)]), [*map(base.task.normal, APART)])["perplexity"]
    model = base.with_task(made_task("preference", (), {"method": method, "max_new_tokens": 8}), 0)
    model.adapt(changes_of(change) if change else [], 0)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items() if "weight" in name}
    pieces = pieces_of(model)
    start = model.answer(PAIRS)
    teach(model, 25, 1e-3 if change is None else 2e-3, pieces)
    model.eval()
    found, truth = model.task.score(model.answer(PAIRS), normal(model, PAIRS)), normal(model, PAIRS)
    assert found["preference_accuracy"] == 1.0 and found["margin"] > model.task.score(start, truth)["margin"] + 0.1
    assert [one["text"] for one in model.answer([{"prompt": "the tree"}, "the box"])] == ["tree good", "box good"]
    chat = model.with_task(base.task, 0)
    kept = chat.task.score(chat.answer([*map(chat.task.normal, APART)]), [*map(chat.task.normal, APART)])["perplexity"]
    assert kept <= 1.1 * cost
    if change:
        own = {name: tensor for name, tensor in model.network.state_dict().items() if name in before}
        frozen = [name for name, one in model.network.named_parameters() if not one.requires_grad and name in before]
        assert frozen and all(torch.equal(own[name], before[name]) for name in frozen)


def test_what_is_seen_is_logged_and_a_cut_run_keeps_its_reference(tmp_path, monkeypatch):
    model = model_of()
    records = normal(model, PAIRS)
    pieces = model.task.kept_pieces(model, records, tmp_path / "train.safetensors")
    assert np.abs(pieces.reference).min() > 0
    how = FitOptions(steps=4, batch_tokens=256, threads=1, dtype="float32", measure_seconds=0, validate_times=1)
    events = []
    with listen(events.append):
        fit(model, pieces, model.task.pieces(model, records, True), how, tmp_path, what="toy")
    told = {name for event in events for name in event.values}
    names = {"reward_margin", "reward_accuracy", "log_probability_chosen", "log_probability_rejected"}
    assert told >= names | {f"valid_{name}" for name in names}
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(log[0][name]) for name in names)

    def refused(*given):
        raise AssertionError("the reference is computed again")

    twin = model_of()
    monkeypatch.setattr("penjing.tasks.preference_rows.reference_of", refused)
    again = twin.task.kept_pieces(twin, records, tmp_path / "train.safetensors")
    assert again.fingerprint() == pieces.fingerprint()
    with pytest.raises(AssertionError):  # of other weights it is not taken
        model.task.kept_pieces(model, records, tmp_path / "train.safetensors")
    monkeypatch.undo()
    (tmp_path / "train.safetensors").write_bytes(b"torn")
    third = twin.task.kept_pieces(twin, records, tmp_path / "train.safetensors")
    assert np.array_equal(third.reference, reference_of(twin, third))


def test_long_questions_lose_the_same_on_both_sides():
    model, events = model_of(window=32), []
    long = {"prompt": "the tree " * 40, "chosen": "good", "rejected": "very late " * 6}
    same = {"prompt": "the", "chosen": "late " * 60 + "good", "rejected": "late " * 60 + "bad"}
    with listen(events.append):
        pieces = pieces_of(model, [long, same])
    one, other = (side[0] for side in pieces.sides)
    asked = int(other.carries.argmax())
    assert max(len(one.tokens), len(other.tokens)) <= 32 and pieces.cut
    assert np.array_equal(one.tokens[:asked], other.tokens[:asked]) and int(one.carries.argmax()) == asked
    assert any(event.values.get("pairs") == 1 for event in events)


# ---- scores, baseline, folder ----


def test_ranks_are_the_share_of_pairs_won():
    values, good = np.asarray([1.0, 2.0, 2.0, 5.0]), np.asarray([False, True, False, True])
    assert ranked(values, good, np.ones((1, 4))) == pytest.approx([(1 + 0.5 + 1 + 1) / 4])
    assert ranked(values, good, np.asarray([[1.0, 1, 0, 0], [2, 0, 0, 0]])) == pytest.approx([1.0, 0.5])


@pytest.mark.parametrize("records", [PAIRS * 8, JUDGED * 4])
def test_the_classical_model_reads_words_and_length(records, tmp_path):
    task = task_named("preference", method="kto" if records[0] is JUDGED[0] else "dpo")
    found = [task.normal(record) for record in records]
    baseline = Baseline.fit(task, found, ())
    answers = baseline.answer(found)
    assert task.score(answers, found) == {"preference_accuracy": 1.0}
    baseline.save(tmp_path / "linear")
    assert Baseline.load(tmp_path / "linear").answer(found) == answers
    longer = [{"prompt": "the", "chosen": "very " * (n + 4), "rejected": "very " * n} for n in range(2, 30)]
    found = [task.normal(record) for record in longer]
    assert Baseline.fit(task, found, found).facts["length"] > 0


def test_from_files_to_a_certificate_and_a_folder_that_talks(talker, tmp_path):
    import penjing

    talker.save(tmp_path / "base")
    for split in ("train", "valid", "test"):
        write_jsonl(tmp_path / "data" / f"{split}.jsonl", PAIRS if split != "train" else PAIRS * 4)
    found = penjing.finetune(
        tmp_path / "tuned", data=tmp_path / "data", model=tmp_path / "base", task={"preference": {"max_new_tokens": 8}},
        change={"lora": {"rank": 4}}, learning_rate=1e-2, steps=20, dtype="float32", threads=1, measure_seconds=0,
        prove_resume=True,
    )  # fmt: skip
    assert found["resume_identical"] and "preference_linear" in found["baselines"]
    measured = penjing.evaluate(tmp_path / "report", data=tmp_path / "data", model=tmp_path / "tuned")
    assert measured["model"]["preference_accuracy"]["value"] == 1.0
    again = Model.load(tmp_path / "tuned" / "model")
    assert again.task.name == "preference" and again.answer(["the tree"])[0]["text"] == "tree good"
    config = json.loads((tmp_path / "tuned" / "model" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
