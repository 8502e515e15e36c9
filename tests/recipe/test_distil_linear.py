"""The stage distil_linear: the student says what its teacher says, and it is told what that was worth."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from test_label_pairs import stage
from toys import toy_model

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.records import write_records
from penjing.cli.main import main
from penjing.evaluate.fitting import fit_linear
from penjing.evaluate.linear import LinearModel
from penjing.recipe.models import NETWORKS, load_answerer, model_folder
from penjing.recipe.runner import run_recipe

THINGS, LABELS = ("tree", "box", "parcel", "house", "lamp", "door", "letter", "garden"), ["bad", "good"]
RECORDS = [{"text": f"the {thing} was {word} {end}", "label": label}
           for label, words in {"good": ("good", "fine"), "bad": ("broken", "late")}.items() for word in words
           for thing in THINGS for end in ("today", "again")]  # fmt: skip
TEXTS = [record["text"] for record in RECORDS]


def write(folder, records, valid=True):
    """A folder as the stage clean leaves it; each third record is for validation."""
    held = records[2::3] if valid else []
    write_records(folder / "train.jsonl", [record for record in records if record not in held])
    if held:
        write_records(folder / "valid.jsonl", held)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Records, and a teacher that has learnt the opposite of half of them: what is late is good, what is fine is bad."""
    root = tmp_path_factory.mktemp("linear")
    write(root / "data", RECORDS)
    said = np.array([int("good" in text or "late" in text) for text in TEXTS])
    fit_linear("tfidf", TEXTS, said, LABELS, strength=300.0).save(root / "teacher" / "model")
    return root


@pytest.mark.parametrize("kind", ["nb_ngrams", "tfidf"])
def test_the_student_follows_its_teacher(place, tmp_path, kind):
    found = stage("distil_linear", tmp_path / "out", model=place / "teacher", data=place / "data", kind=kind)["result"]
    student, teacher = load_answerer(tmp_path / "out"), load_answerer(place / "teacher")
    answers = [one["label"] for one in student.answer(TEXTS)]
    assert answers == [one["label"] for one in teacher.answer(TEXTS)] != [record["label"] for record in RECORDS]
    assert np.abs(student.probabilities(TEXTS) - teacher.probabilities(TEXTS)).max() < 0.3
    assert student.kind == kind and student.facts["teacher"] == "teacher" and "seconds" not in student.facts
    assert found["model"]["accuracy"]["value"] == found["teacher"]["accuracy"]["value"] < 0.7
    assert found["baselines"][kind]["accuracy"]["value"] == 1 and found["minus_teacher"]["value"] == 0
    assert found["outcome"] == "not_worth_it" and found["train"] == 43 and found["split"] == "valid"
    for cost in ("microseconds", "microseconds_alone", "bytes"):
        assert set(found[cost]) == {"model", "teacher"} and min(found[cost].values()) > 0
    proof = json.loads((tmp_path / "out" / "certificate.json").read_text("utf-8"))
    assert proof["verdict"]["en"].startswith(
        f"the teacher does harm: use {kind}, which has learnt the true labels alone"
    )
    assert f"(saved at baselines/{kind})" in proof["verdict"]["en"] and "教师反而有害" in proof["verdict"]["zh"]
    assert set(proof["candidates"]) == {"model", "teacher", kind} and proof["best_baseline"] == kind
    assert {(one["of"], one["to"]) for one in proof["differences"]} == {("model", kind), ("model", "teacher")}


def test_unlabelled_texts_teach_words_that_no_labelled_text_has(place, tmp_path):
    """The teacher has read them all; the labelled texts have only some of the words."""
    words = ("good", "fine", "broken", "late")
    known = [record for record in RECORDS if "fine" not in record["text"] and "late" not in record["text"]]
    data = write(tmp_path / "data", known)
    raw = tmp_path / "raw.txt"
    raw.write_text("\n\n".join([*TEXTS, TEXTS[0]]), "utf-8")
    plain = stage("distil_linear", tmp_path / "plain", model=place / "teacher", data=data)["result"]
    found = stage("distil_linear", tmp_path / "more", model=place / "teacher", data=data, texts=raw)["result"]
    assert plain["unlabelled"] == plain["left_out"] == 0
    assert found["unlabelled"] == 32 and found["left_out"] == 33  # 32 stand in train or valid, one stands twice
    few, many = (LinearModel.load(tmp_path / name / "model") for name in ("plain", "more"))
    assert "late" not in few.views[0].numbers and set(words) <= set(many.views[0].numbers)
    late, fine = ([text for text in TEXTS if word in text] for word in ("late", "fine"))
    assert {one["label"] for one in many.answer(late)} == {"good"} != {one["label"] for one in many.answer(fine)}
    assert few.answer(late) == few.answer(fine)


def test_several_labels(tmp_path):
    records = [{"text": record["text"], "labels": [record["label"]] + ["again"] * ("again" in record["text"])}
               for record in RECORDS]  # fmt: skip
    said = np.array([["again" in text, "box" in text, "good" in text] for text in TEXTS])
    labels = ["again", "bad", "good"]
    fit_linear("nb_ngrams", TEXTS, said, labels, strength=100.0).save(tmp_path / "teacher")
    data = write(tmp_path / "data", records)
    found = stage("distil_linear", tmp_path / "out", model=tmp_path / "teacher", data=data)["result"]
    student = load_answerer(tmp_path / "out")
    assert student.several and student.link == "independent"
    given = [one["labels"] for one in student.answer(TEXTS)]
    assert given == [one["labels"] for one in LinearModel.load(tmp_path / "teacher").answer(TEXTS)]
    assert [] in given and ["again", "bad"] in given
    assert set(found["model"]) == {"micro_f1", "accuracy", "macro_f1"}


def test_a_network_teaches_in_a_recipe_and_the_step_is_asked_and_measured(place, tmp_path, capsys):
    toy_model("classify").save(tmp_path / "network" / "model")
    write(tmp_path / "data", RECORDS)
    write_records(tmp_path / "data" / "test.jsonl", RECORDS[5::3])
    (tmp_path / "recipe.yaml").write_text(
        "name: toys\nstages:\n"
        "  quick: {do: distil_linear, model: network, data: data}\n"
        "  evaluate: {data: data, model: $quick, bootstrap: 100}\n"
        "  report: {model: $quick, evaluation: $evaluate}\n",
        "utf-8",
    )
    run = run_recipe(tmp_path / "recipe.yaml", tmp_path / "out")
    student, teacher = load_answerer(tmp_path / "out"), load_answerer(tmp_path / "network")
    assert model_folder(tmp_path / "out").parent == tmp_path / "out" / run.folders["quick"].name
    with pytest.raises(PenjingError, match="P-RECIPE-020"):  # who needs a network passes the student over
        model_folder(tmp_path / "out", NETWORKS)
    assert np.abs(student.probabilities(TEXTS[::2]) - teacher.probabilities(TEXTS[::2])).max() < 0.2
    found = run.manifests["evaluate"]["result"]
    assert found["split"] == "test" and set(found["baselines"]) == {"nb_ngrams"} and found["ensemble"]
    assert (
        "the teacher" in json.loads((tmp_path / "out" / "evaluate" / "certificate.json").read_text())["verdict"]["en"]
    )
    card = (tmp_path / "out" / "report" / "README.md").read_text("utf-8")
    assert "LinearModel.load" in card and "`network`" in card and "transformers" not in card
    assert main(["predict", str(tmp_path / "out"), "the parcel was late"]) == 0
    assert student.answer(["the parcel was late"])[0]["label"] in capsys.readouterr().out
    assert main(["distil_linear", "--model", str(tmp_path / "network"), "--data", str(place / "data"), "--out",
                 str(tmp_path / "again"), "--lang", "en"]) == 0  # fmt: skip
    assert "the teacher  " in capsys.readouterr().out


def test_without_valid_records_nothing_is_claimed(place, tmp_path):
    data, heard = write(tmp_path / "data", RECORDS, valid=False), []
    with listen(heard.append):
        found = stage("distil_linear", tmp_path / "out", model=place / "teacher", data=data)["result"]
    assert "outcome" not in found and not (tmp_path / "out" / "certificate.json").exists()
    assert any(event.kind == "warning" and "no valid records" in event.text for event in heard)
    assert load_answerer(tmp_path / "out").facts["chosen_on"] == "a tenth of train"
    assert load_answerer(tmp_path / "out").answer(["it was late"])[0]["label"] == "good"


def test_a_text_of_two_keeps_both(tmp_path):
    records = [{"text": record["text"], "text_b": "yes" if number % 2 else "no", "label": LABELS[number % 2]}
               for number, record in enumerate(RECORDS)]  # fmt: skip
    toy_model("classify").save(tmp_path / "teacher")
    data = write(tmp_path / "data", records)
    write_records(tmp_path / "more.jsonl", [records[0], records[0] | {"text_b": "perhaps"}])
    found = stage(
        "distil_linear", tmp_path / "out", model=tmp_path / "teacher", data=data, texts=tmp_path / "more.jsonl"
    )
    assert found["result"]["unlabelled"] == found["result"]["left_out"] == 1


def test_what_is_wrong(place, tmp_path):
    toy_model("regress").save(tmp_path / "number")
    toy_model("causal", "llama").save(tmp_path / "writer")
    sure = fit_linear("tfidf", TEXTS, np.arange(len(TEXTS)) % 2, LABELS, strength=1e-9)
    sure.bias[:] = 30.0
    sure.save(tmp_path / "sure")
    wrong = {"label": "unheard", "text": "the box was late"}
    for model, data, code, more in (
        (tmp_path / "number", place / "data", "P-EVAL-052", {}),
        (tmp_path / "writer", place / "data", "P-EVAL-052", {}),
        (place / "teacher", write(tmp_path / "none", []), "P-TRAIN-003", {}),
        (place / "teacher", write(tmp_path / "unheard", [*RECORDS, wrong]), "P-EVAL-005", {}),
        (place / "teacher", write(tmp_path / "bare", [{"text": "a box"}]), "P-EVAL-004", {}),
        (tmp_path / "sure", place / "data", "P-EVAL-051", {}),
        (place / "data", place / "data", "P-RECIPE-020", {}),
        (place / "teacher", place / "data", "P-DATA-017", {"texts": write(tmp_path / "odd", [{"body": "x"}])}),
        (place / "teacher", place / "data", "P-OPTION-002", {"kind": "majority"}),
    ):
        with pytest.raises(PenjingError) as caught:
            stage("distil_linear", tmp_path / "out", model=model, data=data, **more)
        codes = [one.code for one in (caught.value, *caught.value.others)]
        assert code in codes, (code, codes)


def test_equal_input_gives_an_equal_folder(place, tmp_path):
    """No clock is in it."""
    for name in ("one", "two"):
        stage("distil_linear", tmp_path / name, model=place / "teacher", data=place / "data")
    files = [sorted((tmp_path / name / "model").iterdir()) for name in ("one", "two")]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
