"""The stage `ensemble`: several models become one, by their answers or by their weights."""

import json

import pytest
import torch
from toys import RECORDS, TEXTS, teach, toy_model, toy_task, write_jsonl

from penjing.base.errors import EvaluateError, PenjingError
from penjing.base.progress import listen
from penjing.cli import main as command_line
from penjing.evaluate.baselines import fit_baselines
from penjing.recipe.call import call_stage
from penjing.recipe.joining import some_of
from penjing.recipe.models import load_answerer
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN
from penjing.tasks.committee import Committee
from penjing.tasks.model import Model
from penjing.train.soup import greedy, mean_of, state_of


def stage(name, out, **options):
    return call_stage(Stage.of(name, BUILT_IN[name]), out, options, out.parent)


def pickled(folder, name, steps, rate, **more):
    """A model that began as all others do, saved as a finetune step has it."""
    model = toy_model(**more)
    teach(model, steps, rate)
    model.save(folder / name / "model")
    return folder / name


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data, and three members from the same beginning: two good ones, and one that learning has broken."""
    folder = tmp_path_factory.mktemp("ensemble")
    for split, part in (("train", slice(0, 32)), ("valid", slice(32, 48)), ("test", slice(48, 64))):
        write_jsonl(folder / "data" / f"{split}.jsonl", RECORDS[part])
    for name, steps, rate in (("one", 50, 4e-3), ("two", 60, 4e-3), ("broken", 12, 1.0)):
        pickled(folder, name, steps, rate)
    return folder


def members(place, *names):
    return [place / name for name in names]


def about(folder):
    return json.loads((folder / "members.json").read_text("utf-8"))


def test_averaged_answers_are_served_measured_and_certified(place, tmp_path, capsys):
    out = tmp_path / "both"
    result = stage("ensemble", out, members=members(place, "one", "two"), data=place / "data")["result"]
    together = load_answerer(out)
    assert isinstance(together, Committee) and result["members"] == result["chosen"] == 2
    each = [Model.load(place / name / "model").probabilities(TEXTS) for name in ("one", "two")]
    assert (together.probabilities(TEXTS) == (each[0] + each[1]) / 2).all()
    found = about(out)
    assert [one["name"] for one in found["members"]] == ["one", "two"] and found["metric"] == "accuracy"
    assert found["valid"] == result["valid"] and found["best_member"] in ("one", "two")
    assert set(json.loads((out / "certificate.json").read_text())["candidates"]) >= {"model", "tfidf", "majority"}
    measured = stage("evaluate", tmp_path / "measured", data=place / "data", model=out, bootstrap=100)["result"]
    assert measured["records"] == 16 and set(measured["baselines"]) == {"majority", "tfidf", "nb_ngrams"}
    assert command_line.main(["predict", str(out), "the parcel was lovely", "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["disagreement"] < 0.5


def test_a_soup_is_one_ordinary_model(place, tmp_path):
    transformers = pytest.importorskip("transformers")
    stage("ensemble", tmp_path / "soup", members=members(place, "one", "two"), way="soup")
    soup, one, two = (Model.load(folder / "model") for folder in (tmp_path / "soup", place / "one", place / "two"))
    theirs = [model.state_dict() for model in (one, two)]
    for name, tensor in soup.state_dict().items():
        assert torch.allclose(tensor, (theirs[0][name] + theirs[1][name]) / 2, atol=1e-7)
    assert soup.lineage["ensemble"] == {"way": "soup", "members": ["one", "two"]}
    foreign = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "soup" / "model").eval()
    ids = torch.tensor([soup.tokenizer.build(soup.tokenizer.encode("the parcel was lovely"))])
    with torch.no_grad():
        chances = foreign(ids).logits.softmax(-1)[0]
    assert chances.tolist() == pytest.approx(soup.probabilities(["the parcel was lovely"])[0].tolist(), abs=1e-5)


def test_a_greedy_soup_leaves_out_what_harms_on_valid(place, tmp_path):
    three = members(place, "broken", "one", "two")
    given = {"members": three, "data": place / "data", "baselines": False}
    result = stage("ensemble", tmp_path / "greedy", way="greedy_soup", **given)["result"]
    found = about(tmp_path / "greedy")
    scores = {one["name"]: one["accuracy"] for one in found["members"]}
    assert not next(one["chosen"] for one in found["members"] if one["name"] == "broken")
    assert result["valid"]["accuracy"] >= max(scores.values()) and found["valid"] == result["valid"]
    events = []
    with listen(events.append):
        stage("ensemble", tmp_path / "soup", way="soup", **given)
    assert about(tmp_path / "soup")["valid"]["accuracy"] < max(scores.values())
    assert any(event.kind == "warning" and event.what == "ensemble" and "by itself" in event.text for event in events)
    with listen(events.append):
        stage("ensemble", tmp_path / "unknown", members=three, way="soup")
    assert "not known" in events[-2].text and "valid" not in about(tmp_path / "unknown")


def test_what_writes_is_measured_on_some_records_from_all_along():
    assert list(some_of(range(9), None)) == list(range(9)) == list(some_of(range(9), 9))
    assert list(some_of(range(10), 4)) == [0, 2, 5, 7]


def test_greedy_takes_what_is_no_worse():
    """Weights are one number; the score is how near it is to 2."""
    states = [{"w": torch.tensor([value])} for value in (0.0, 3.0, 1.0, 9.0)]
    tried = []

    def score(state):
        tried.append(float(state["w"]))
        return -abs(tried[-1] - 2)

    chosen, best = greedy(states, [score(state) for state in states], score)
    assert chosen == [1, 2] and best == 0 and tried[4:] == [2.0, pytest.approx(4 / 3), pytest.approx(13 / 3)]
    assert mean_of([states[0]])["w"] == 0


@pytest.mark.parametrize("name", ["seq2seq", "causal"])
def test_models_without_probabilities_make_a_soup(name):
    models = [toy_model(name, "t5" if name == "seq2seq" else "llama", seed=seed) for seed in range(2)]
    mean = mean_of([state_of(model) for model in models])
    models[0].load_state_dict(mean)
    assert all(torch.equal(tensor, mean[key]) for key, tensor in models[0].state_dict().items())


def refused(*paths, **options):
    """The codes and the text of what the stage says to members."""
    out = paths[0].parent / "refused"
    with pytest.raises(PenjingError) as caught:
        stage("ensemble", out, members=list(paths), **options)
    assert not out.exists()
    return [one.code for one in (caught.value, *caught.value.others)], str(caught.value)


def test_members_that_do_not_fit_are_named(place):
    one, two = members(place, "one", "two")
    odd = toy_task("classify").__class__(labels=["bad", "odd"])
    for name, model in {
        "labels": toy_model(task=odd), "large": toy_model(width=64), "llama": toy_model(family="llama"),
        "words": toy_model("masked"), "short": toy_model(window=32), "long": toy_model(max_tokens=96),
    }.items():  # fmt: skip
        model.save(place / "strange" / name / "model")
    strange = place / "strange"
    codes, text = refused(one, strange / "labels", strange / "words")
    assert codes == ["P-EVAL-041", "P-EVAL-040"] and "labels" in text and "bad, odd" in text and "words" in text
    codes, text = refused(one, strange / "large", strange / "llama", strange / "short", strange / "long", way="soup")
    assert codes == ["P-EVAL-043", "P-EVAL-042", "P-EVAL-043", "P-EVAL-043"] and "width: 64, not 32" in text
    assert refused(one, strange / "large", strange / "llama", strange / "words")[0] == ["P-EVAL-040"]
    assert refused(one)[0] == ["P-EVAL-045"]
    assert refused(one, two, way="greedy_soup")[0] == ["P-EVAL-046"]
    (place / "untested").mkdir()
    write_jsonl(place / "untested" / "train.jsonl", RECORDS)
    assert refused(one, two, way="greedy_soup", data=place / "untested")[0] == ["P-EVAL-046"]
    assert refused(one, two, one)[0] == ["P-EVAL-050"]
    assert refused(one, place / "data")[0] == ["P-RECIPE-020"]
    assert refused(strange / "words", toy_twin(strange))[0] == ["P-EVAL-044"]


def toy_twin(folder):
    toy_model("masked", seed=1).save(folder / "twin" / "model")
    return folder / "twin"


def test_what_is_no_network_is_no_member(place, tmp_path):
    both, linear = tmp_path / "both", fit_baselines(RECORDS, None, ["bad", "good"], ["majority"])["majority"]
    stage("ensemble", both, members=members(place, "one", "two"))
    linear.save(tmp_path / "majority")
    codes, text = refused(both, tmp_path / "majority", place / "one")
    assert codes == ["P-EVAL-049", "P-EVAL-049"] and "majority" in str(text)
    with pytest.raises(EvaluateError, match="P-EVAL-047"):
        stage("finetune", tmp_path / "more", data=place / "data", model=both, steps=1, measure_seconds=0)


def test_options_have_an_effect(place, tmp_path):
    two = members(place, "one", "two")
    stage("ensemble", tmp_path / "bare", members=two)
    stage("ensemble", tmp_path / "plain", members=two, data=place / "data", baselines=False)
    assert "valid" not in about(tmp_path / "bare") and not (tmp_path / "bare" / "baselines").exists()
    assert "valid" in about(tmp_path / "plain") and not (tmp_path / "plain" / "baselines").exists()
