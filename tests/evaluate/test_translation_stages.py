"""Translation through the stages: two files of lines, a tokenizer, fine-tuning, the certificate, prediction."""

import json

import pytest

from penjing.base.errors import DataError, PenjingError
from penjing.recipe.call import call_stage
from penjing.recipe.models import load_answerer
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN

TINY = {
    "steps": 4, "batch_tokens": 512, "layers": 1, "width": 16, "max_tokens": 48, "threads": 1, "measure_seconds": 0,
    "dtype": "float32", "validate_times": 1, "family": "marian", "task": {"seq2seq": {"beams": 2, "max_new_tokens": 6}},
}  # fmt: skip
ENGLISH = [
    "the small red tree of old",
    "a big green house is new",
    "the old box near a river",
    "a new river and a tree",
]
GERMAN = [
    "der kleine rote Baum von alt",
    "ein grosses Haus ist neu",
    "die alte Kiste am Fluss",
    "ein neuer Fluss und Baum",
]


def stage(name, out, **options):
    return call_stage(Stage.of(name, BUILT_IN[name]), out, options, out.parent)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Steps of a small translator, made from train.en, train.de and so on."""
    root = tmp_path_factory.mktemp("translator")
    (root / "data").mkdir()
    for split, number in (("train", 24), ("valid", 3), ("test", 5)):
        for language, lines in (("en", ENGLISH), ("de", GERMAN)):
            text = "".join(f"{lines[i % 4]} {split} {i} .\n" for i in range(number))
            (root / "data" / f"{split}.{language}").write_text(text, encoding="utf-8")
    stage("clean", root / "pairs", folder=root / "data", records="pairs")
    stage("tokenizer", root / "tokenizer", data=root / "pairs", kind="unigram", size=64)
    stage("finetune", root / "finetune", data=root / "pairs", tokenizer=root / "tokenizer", **TINY)
    stage("evaluate", root / "evaluate", data=root / "pairs", model=root / "finetune", bootstrap=100)
    return root


def test_the_certificate_says_how_it_was_scored(made):
    found = json.loads((made / "evaluate" / "certificate.json").read_text("utf-8"))
    assert list(found["candidates"]) == ["model", "phrase_translation", "translation_memory"]
    assert found["metric"] == "bleu" and "tok:13a" in found["notes"]["bleu"] and found["verdict"]["outcome"]
    assert found["candidates"]["phrase_translation"]["scores"]["bleu"]["value"] > 20


def test_what_is_measured_is_what_is_served(made):
    lines = (made / "evaluate" / "predictions.jsonl").read_text("utf-8").splitlines()
    served = load_answerer(made / "finetune").answer([json.loads(line)["record"]["source"] for line in lines])
    for line, answer in zip(lines, served, strict=True):
        assert json.loads(line)["candidates"]["model"]["text"] == answer["text"]


def test_two_files_serve_as_they_are(made, tmp_path):
    options = TINY | {"baselines": False, "tokenizer": made / "tokenizer"}
    stage("finetune", tmp_path / "plain", data=made / "data", **options)
    outcome = json.loads((tmp_path / "plain" / "outcome.json").read_text("utf-8"))
    assert outcome["steps"] == 4
    (made / "data" / "odd").mkdir()
    for language, lines in (("en", 3), ("de", 2)):
        (made / "data" / "odd" / f"train.{language}").write_text("x y\n" * lines, encoding="utf-8")
    with pytest.raises(PenjingError, match="P-DATA-050"):
        stage("finetune", tmp_path / "odd", data=made / "data" / "odd", **options)
    with pytest.raises(DataError, match="P-DATA-050"):
        stage("clean", tmp_path / "pairs", folder=made / "data" / "odd", records="pairs")


def test_several_languages_need_tokens(made, tmp_path):
    task = {"seq2seq": {"languages": "auto", "max_new_tokens": 4}}
    options = TINY | {"baselines": False, "tokenizer": made / "tokenizer", "task": task}
    stage("clean", tmp_path / "both", folder=made / "data", records={"pairs": {"both": True}})
    with pytest.raises(PenjingError, match="P-TASK-071"):
        stage("finetune", tmp_path / "tuned", data=tmp_path / "both", **options)
    stage("tokenizer", tmp_path / "cutter", data=tmp_path / "both", kind="unigram", size=72, special=["<2de>", "<2en>"])
    options["tokenizer"] = tmp_path / "cutter"
    stage("finetune", tmp_path / "tuned", data=tmp_path / "both", **options)
    model = load_answerer(tmp_path / "tuned")
    assert model.task.languages == ["de", "en"]
    asked = ({"source": "the tree", "target_lang": name} for name in ("de", "en"))
    rows = [model.task.pieces(model, [one], False).tokens(0)[0] for one in asked]
    assert rows == [model.tokenizer.inner.token_to_id(f"<2{name}>") for name in ("de", "en")]
    assert model.answer(["<2de> the tree"]) == model.answer([{"source": "the tree", "target_lang": "de"}])
