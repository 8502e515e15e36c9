"""What `penjing predict` answers to a file is what `penjing evaluate` scored, for every task, whatever its batches."""

import json
from types import SimpleNamespace

import pytest
from test_tasks import TOYS, alike, model_of, pieces_of
from toys import teach, write_jsonl

from penjing.cli import main as command_line
from penjing.cli import predict
from penjing.recipe.stages.evaluate import evaluate
from penjing.tasks import USES
from penjing.tasks.committee import Committee
from penjing.tasks.model import Model

KINDS = (*USES, "several", "pairs", "classify together", "tag together", "regress together")
FAMILY = {"seq2seq": "marian", "chat": "llama", "preference": "llama", "reward": "llama"}
TEACH = {"seq2seq": (120, 5e-3), "chat": (60, 1e-2), "preference": (60, 1e-2)}  # else they say nothing
NEAR = {
    1: 1e-5,
    7: 1e-5,
    256: 0,
}  # records at once: how far numbers may be apart; the default answers in the same batches


def made(kind, seed=0):
    """A model taught a little, and records with their answers, in the forms that the field has them."""
    name = {"several": "classify", "pairs": "classify"}.get(kind, kind)
    model = model_of(name, FAMILY.get(name, "bert"), seed=seed, **({"several": True} if kind == "several" else {}))
    records = (TOYS[name].RECORDS * 2)[:24]  # of few toys each twice
    if kind == "pairs":
        records = [one | {"text_b": other["text"]} for one, other in zip(records, records[::-1], strict=True)]
        model.pairs = True
        teach(model, 20, 1e-2, model.task.pieces(model, records, True))
    else:
        teach(model, *TEACH.get(name, (20, 1e-2)), pieces_of(model, None))
    model.eval()
    model.task = model.task.settled(model, [model.task.normal(record) for record in records])
    return model, records


@pytest.fixture(scope="module", params=KINDS)
def measured(request, tmp_path_factory):
    """A finetune step, its test records, and what the stage evaluate wrote of it."""
    folder, (name, *several) = tmp_path_factory.mktemp("served"), request.param.split()
    model, records = made(name)
    if several:
        model = Committee([model, made(name, 1)[0]])
    model.save(folder / "step" / "model")
    write_jsonl(folder / "data" / "test.jsonl", records)
    evaluate(folder, data=folder / "data", model=folder / "step", bootstrap=100, ensemble=False)
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text("utf-8").splitlines()]
    certificate = json.loads((folder / "certificate.json").read_text("utf-8"))
    scores = {name: found["value"] for name, found in certificate["candidates"]["model"]["scores"].items()}
    said = [line["candidates"]["model"] for line in lines]
    return SimpleNamespace(folder=folder, task=model.task, said=said, scores=scores)


def records_in(measured):
    from penjing.train.prepare import records_of

    return [measured.task.normal(record) for record in records_of(measured.folder / "data", "test")]


@pytest.mark.parametrize("at_once", NEAR)
def test_they_are_the_same(measured, at_once, monkeypatch, capsys):
    monkeypatch.setattr(predict, "SLICE", at_once)
    words = ["predict", str(measured.folder / "step"), "--json", "--file", str(measured.folder / "data" / "test.jsonl")]
    assert command_line.main(words) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == len(measured.said) >= 16
    for answer, said in zip(answers, measured.said, strict=True):
        if "predicted" in said:  # of labels the certificate keeps the surest
            assert answer.get("label", answer.get("labels")) == said["predicted"]
            sure = answer.get("probability", min(max(p, 1 - p) for p in answer["probabilities"].values()))
            assert sure == pytest.approx(said["probability"], abs=2e-6 + NEAR[at_once])
        else:
            assert alike({key: answer[key] for key in said}, said, NEAR[at_once])
    assert len({json.dumps(one, sort_keys=True) for one in measured.said}) > 1
    records = records_in(measured)
    found = measured.task.score(answers, records)
    assert set(found) <= set(measured.scores)
    for name, value in found.items():
        assert value == pytest.approx(measured.scores[name], abs=1e-12 + NEAR[at_once], nan_ok=True), name


def test_from_python_too(measured):
    model, records = Model.load(measured.folder / "step" / "model"), records_in(measured)
    for size in (16, 300, 4096):
        found = measured.task.score(model.answer(records, batch_tokens=size), records)
        assert found == {name: pytest.approx(measured.scores[name], abs=1e-5, nan_ok=True) for name in found}
