"""The stage fewshot on a toy: the curve, who stands beside it, every choice of examples, the report, and wrong input."""

import json
import random

import numpy as np
import pytest
from toys import BAD, GOOD, LABELS, REST, toy_model

import penjing
from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.cli.main import main
from penjing.evaluate.certificate import fit_and_save_baselines
from penjing.recipe.models import load_answerer
from penjing.recipe.prompting import shot_numbers


def records(number, seed):
    chance = random.Random(seed)
    rows = [(chance.choice((BAD, GOOD)[row]), row) for row in chance.choices((0, 1), k=number)]
    return [{"text": f"{chance.choice(REST)} {word}", "label": LABELS[row]} for word, row in rows]


def write(folder, **splits):
    folder.mkdir(parents=True, exist_ok=True)
    for name, some in splits.items():
        lines = (json.dumps(record, ensure_ascii=False) for record in some)
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data, a decoder with random weights, an embedder, a trained classifier, a masked encoder."""
    root = tmp_path_factory.mktemp("fewshot")
    train = records(40, 1)
    write(root / "data", train=train, valid=records(10, 2), test=records(20, 3))
    toy_model("causal", "llama", seed=1, max_tokens=200).save(root / "decoder")
    toy_model("embed", "bert").save(root / "embedder")
    toy_model("classify", "bert").save(root / "classifier")
    toy_model("masked", "bert").save(root / "masked")
    fit_and_save_baselines(root / "fitted", train, None, LABELS, ["tfidf"])
    return root


def run(place, out, **options):
    given = {"model": place / "decoder", "data": place / "data", "shots": "0,2", "bootstrap": 200, "baselines": False}
    return penjing.fewshot(out, **(given | options))


def found(out):
    return json.loads((out / "fewshot.json").read_text("utf-8"))


def test_the_curve_stands_beside_classical_and_trained_models(place, tmp_path):
    result = run(place, tmp_path / "out", baselines=True, trained=place / "fitted" / "baselines" / "tfidf")
    told = found(tmp_path / "out")
    assert [row["shots"] for row in told["curve"]] == [0, 2] == [int(one) for one in result["curve"]]
    assert [len(row["seeds"]) for row in told["curve"]] == [1, 3]
    assert set(told["others"]) == {"majority", "tfidf", "nb_ngrams", "trained"}
    for row in (*told["curve"], *told["others"].values()):
        assert row["accuracy"]["low"] <= row["accuracy"]["value"] <= row["accuracy"]["high"]
    assert (
        told["best_baseline"] in ("tfidf", "nb_ngrams")
        and told["curve"][1]["difference"]["to"] == told["best_baseline"]
    )
    assert told["curve"][1]["accuracy"]["value"] == pytest.approx(
        np.mean([one["accuracy"] for one in told["curve"][1]["seeds"]])
    )
    assert "with 2 examples in the prompt" in told["verdict"]["en"] and "2 个示例" in told["verdict"]["zh"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text("utf-8").splitlines()]
    first = [line["shots"]["2"]["predicted"] == line["true"] for line in lines]
    assert np.mean(first) == told["curve"][1]["seeds"][0]["accuracy"] and len(lines) == told["records"] == 20
    tfidf = [line["others"]["tfidf"]["predicted"] == line["true"] for line in lines]
    assert np.mean(tfidf) == told["others"]["tfidf"]["accuracy"]["value"] == 1.0
    assert told["prompt"].startswith("Give each text one of these labels: bad, good.\n\nText: ")


@pytest.mark.parametrize("choice", ["fixed", "balanced", "nearest", "embedding"])
def test_every_choice_of_examples(place, tmp_path, choice):
    more = {"encoder": place / "embedder"} if choice == "embedding" else {}
    run(place, tmp_path / "one", choice=choice, most=9, **more)
    told = found(tmp_path / "one")
    assert told["records"] == 9 and len(told["curve"][1]["seeds"]) == (3 if choice in ("fixed", "balanced") else 1)
    assert told["curve"][1]["examples"] == 2 and told["verdict"] is None


def test_examples_may_be_picked_by_hand_and_labels_written_otherwise(place, tmp_path):
    picked = write(
        tmp_path / "own", picked=[{"text": "very late", "label": "bad"}, {"text": "lovely box", "label": "good"}]
    )
    options = {"shots": [2], "examples": picked / "picked.jsonl", "words": {"bad": "late", "good": "fine"}, "seeds": 1}
    run(
        place, tmp_path / "one", template="Q: {text} A: {label}", instruction="Say {labels}.", choice="fixed", **options
    )
    prompt = found(tmp_path / "one")["prompt"]
    assert prompt.startswith("Say late, fine.\n\nQ: ") and "Q: very late A: late" in prompt and prompt.endswith(" A:")


def test_two_texts_and_chinese(place, tmp_path):
    pairs = [record | {"text": "快递很晚到", "text_b": record["text"]} for record in records(12, 5)]
    write(tmp_path / "pairs", train=pairs, test=pairs[:5])
    run(place, tmp_path / "one", data=tmp_path / "pairs", shots=2)
    assert "文本一：快递很晚到\n文本二：" in found(tmp_path / "one")["prompt"]
    run(place, tmp_path / "two", data=tmp_path / "pairs", shots=2, form="chat", language="en")
    assert "Text 1: 快递" in found(tmp_path / "two")["prompt"] and found(tmp_path / "two")["form"] == "chat"


def test_the_command_draws_a_table_and_the_report_a_curve(place, tmp_path, capsys):
    words = ["fewshot", "--model", str(place / "decoder"), "--data", str(place / "data"), "--shots", "0,1,2"]
    assert main([*words, "--bootstrap", "200", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "examples in the prompt: 2" in shown and "nb_ngrams" in shown and "accuracy" in shown
    for language, title in (("en", "Examples in the prompt"), ("zh", "提示中的示例")):
        penjing.report(tmp_path / language, fewshot=tmp_path / "out", language=language)
        page = (tmp_path / language / "report.html").read_text("utf-8")
        assert title in page and "<svg" in page and "nb_ngrams" in page
        text = (tmp_path / language / "report.txt").read_text("utf-8")
        assert title in text and found(tmp_path / "out")["verdict"][language] in text.splitlines()[2]


@pytest.mark.parametrize("choice", ["fixed", "nearest", "embedding"])
def test_the_classifier_is_a_folder_that_predict_asks(place, tmp_path, choice, capsys):
    more = {"encoder": place / "embedder"} if choice == "embedding" else {}
    options = {"words": {"good": "fine"}, "calibration": "pmi", "normalise": "bytes", "template": "{text} => {label}"}
    run(place, tmp_path / "out", choice=choice, form="chat" if choice == "fixed" else "text", **options, **more)
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text("utf-8").splitlines()]
    loaded = load_answerer(tmp_path / "out")
    answers = loaded.answer([line["text"] for line in lines])
    for answer, line in zip(answers, lines, strict=True):
        assert answer["label"] == line["shots"]["2"]["predicted"]
        assert answer["probability"] == pytest.approx(line["shots"]["2"]["probability"], abs=1e-5)
    assert main(["predict", str(tmp_path / "out"), "lovely box", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] in LABELS


def test_a_classifier_without_its_model_says_so(place, tmp_path):
    run(place, tmp_path / "out", shots=0)
    about = json.loads((tmp_path / "out" / "model" / "penjing.json").read_text("utf-8"))
    for change, code in (({"model": "../gone"}, "P-EVAL-008"), ({"shots": None, "form": 3}, "P-EVAL-003")):
        (tmp_path / "out" / "model" / "penjing.json").write_text(json.dumps(about | change), "utf-8")
        with pytest.raises(PenjingError) as told:
            load_answerer(tmp_path / "out")
        assert told.value.code == code


def test_numbers_of_examples():
    assert shot_numbers("0,1, 2") == shot_numbers([0, 1, 2]) == [0, 1, 2] and shot_numbers(4) == [4]
    for wrong in ("few", "", "1,-2", [], [-1], "1.5"):
        with pytest.raises(PenjingError) as told:
            shot_numbers(wrong)
        assert told.value.code == "P-SHOT-011"


def codes(place, out, **options):
    with pytest.raises(PenjingError) as told:
        run(place, out, **options)
    return {told.value.code, *(one.code for one in told.value.others)}


def test_wrong_input_is_told_before_anything_is_loaded(place, tmp_path):
    bare = write(tmp_path / "bare", train=[{"text": "x"}] * 4, test=[{"text": "x"}])
    several = write(tmp_path / "several", train=[{"text": "x", "labels": ["a", "b"]}] * 4)
    wrong = {"choice": "embedding", "shots": "1,x", "template": "{text}", "seeds": 2}
    assert codes(place, tmp_path / "1", **wrong) == {"P-OPTION-003", "P-SHOT-011", "P-SHOT-001", "P-TRAIN-007"}
    assert codes(place, tmp_path / "2", data=bare) == {"P-TASK-009"}
    assert codes(place, tmp_path / "3", data=several) == {"P-SHOT-005"}
    idle = {"encoder": place / "embedder", "language": "zh", "template": "{text} {label}"}
    assert codes(place, tmp_path / "4", **idle) == {"P-TRAIN-007"}


def test_models_that_do_not_fit_are_told(place, tmp_path):
    assert codes(place, tmp_path / "1", model=place / "masked") == {"P-MODEL-009"}
    toy_model("classify", "llama").save(tmp_path / "llama")  # no vocabulary head: it cannot write
    assert codes(place, tmp_path / "1", model=tmp_path / "llama") == {"P-MODEL-008"}
    assert codes(place, tmp_path / "2", shots=41) == {"P-SHOT-007"}
    assert codes(place, tmp_path / "3", trained=place / "embedder") == {"P-SHOT-013"}
    assert codes(place, tmp_path / "4", choice="embedding", encoder=place / "classifier") == {"P-SHOT-013"}
    other = [record | {"label": "new"} for record in records(5, 4)]
    data = write(tmp_path / "data", train=[*records(20, 1), *other], test=other)
    assert codes(place, tmp_path / "5", data=data, trained=place / "classifier") == {"P-SHOT-012"}


def test_records_of_two_kinds_and_known_answers_are_told(place, tmp_path):
    """A form for one text would leave the second one out; a copy among the examples answers by itself."""
    mixed = [record | ({"text_b": "the box"} if row % 2 else {}) for row, record in enumerate(records(10, 5))]
    data = write(tmp_path / "mixed", train=mixed, test=records(4, 6))
    assert codes(place, tmp_path / "1", data=data) == {"P-SHOT-016"}
    form = "{{text}} {% if text_b %}and {{text_b}} {% endif %}is {{label}}"
    run(place, tmp_path / "2", data=data, template=form, calibration="none", most=2)
    told = []
    with listen(lambda event: told.append(event) if event.kind == "warning" else None):
        run(place, tmp_path / "3", examples=place / "data" / "test.jsonl", choice="nearest", most=5, calibration="none")
    assert found(tmp_path / "3")["among_examples"] == 5 and any(
        event.values.get("among_examples") == 5 for event in told
    )
