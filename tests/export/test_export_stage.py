"""The stage and the command: several targets, adapters, what cannot be held, what is lost, what nobody reads."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from exported import exported, talking, toy
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from toys import RECORDS, toy_model

from penjing.base.errors import MachineError, ModelError, OptionError, PenjingError
from penjing.base.files import write_json
from penjing.base.records import write_records
from penjing.cli.main import main, single
from penjing.export import kind_named, targets_of
from penjing.export.card import card
from penjing.export.target import Source
from penjing.recipe.stages.export import check, export
from penjing.recipe.stages.finetune import finetune
from penjing.recipe.verify import verify
from penjing.tasks import task_named
from penjing.tasks.model import Model

HOW = dict(
    steps=12, measure_seconds=0, threads=1, dtype="float32", validate_times=0, baselines=False, learning_rate=0.02
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Records, a base and a finetune step with an adapter."""
    root = tmp_path_factory.mktemp("export")
    for split in ("train", "test"):
        write_records(root / "data" / f"{split}.jsonl", RECORDS)
    toy_model("masked", "bert", seed=4).save(root / "base")
    (root / "tuned").mkdir()
    finetune(root / "tuned", data=root / "data", model=root / "base", change="lora", **HOW)
    return root


def test_targets_as_they_are_said():
    said = targets_of(["hf, onnx", {"half": {"dtype": "float16"}}])
    assert [one.name for one in said] == ["hf", "onnx", "half"] and said[2].dtype == "float16"
    for wrong, code in (("onxx", "P-OPTION-004"), ({"half": {"type": "int2"}}, "P-OPTION-001"),
                        ({"half": {"dtype": "int2"}}, "P-OPTION-002"), ("", "P-OPTION-004"), ([], "P-EXPORT-007")):  # fmt: skip
        with pytest.raises(PenjingError) as caught:
            targets_of(wrong)
        assert caught.value.code == code


def test_an_adapter_is_written_as_such_and_folded_into_the_others(place, tmp_path):
    found = export(tmp_path, model=place / "tuned", to="peft,hf,half", data=place / "data")
    assert set(found["targets"]) == {"peft", "hf", "half"} and found["split"] == "test"
    assert found["targets"]["hf"]["folded"] == ["lora"] and found["targets"]["peft"]["folded"] == []
    assert all(one["other_answers"] == 0 for one in found["targets"].values())
    tuned, texts = Model.load(place / "tuned" / "model"), [record["text"] for record in RECORDS[:5]]
    for name in ("peft", "hf"):
        again = Model.load(tmp_path / name).probabilities(texts)
        assert abs(again - tuned.probabilities(texts)).max() < 1e-5
    page = (tmp_path / "peft" / "README.md").read_text("utf-8")
    assert "base" in page and "without the base model" in page
    assert "Folded into the weights: lora." in (tmp_path / "hf" / "README.md").read_text("utf-8")


def test_the_command(place, tmp_path):
    words = ["--out", str(tmp_path / "out"), "--model", str(place / "tuned"), "--to", "half", "--to", "dtype=float16"]
    found = CliRunner().invoke(single("export"), ["export", *words, "--to", "hf", "--data", str(place / "data")])
    assert found.exit_code == 0, found.output
    assert "float16" in (tmp_path / "out" / "half" / "config.json").read_text("utf-8")
    assert (tmp_path / "out" / "hf" / "export.json").exists() and "0 / 64" in found.output


def test_unfit_pairs_are_told_before_anything_is_written(place, tmp_path):
    with pytest.raises(ModelError) as caught:
        export(tmp_path, model=place / "base", to="gguf,hf,peft")
    text = caught.value.text("en")
    assert caught.value.code == "P-EXPORT-001" and [one.code for one in caught.value.others] == ["P-EXPORT-001"]
    assert "hf, half, onnx, onnx_int8" in text and "no change" in text and not list(tmp_path.iterdir())
    assert (
        "分词器" in caught.value.text("zh") or "模型族" in caught.value.text("zh") or "用途" in caught.value.text("zh")
    )


def test_a_tagger_with_chains_is_not_written_for_who_reads_no_chains(tmp_path):
    """The scores of single tokens are the same, and the tags are not."""
    toy_model(task=task_named("tag", tags=["O", "B-X", "I-X"], crf=True)).save(tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        export(tmp_path / "out", model=tmp_path / "model", to="hf,half,onnx")
    assert [one.code for one in (caught.value, *caught.value.others)] == ["P-EXPORT-001"] * 3
    assert "crf" in caught.value.text("en") and "hold it: none." in caught.value.text("en")
    assert "标签转移" in caught.value.text("zh") and "支持它的目标：无。" in caught.value.text("zh")


@pytest.mark.parametrize(
    ("task", "options", "way", "words"),
    [
        ("span", {"threshold": 0.4, "unanswerable": True}, "windows", "unanswerable, threshold"),
        ("span", {}, "windows", None),
        ("classify", {"labels": ["bad", "good"]}, "head", "long_text"),
        ("classify", {"labels": ["bad", "good"]}, "windows", None),
        ("embed", {}, "windows", "long_text"),
    ],
)
def test_what_only_penjing_knows_of_the_answers_is_told(task, options, way, words):
    source = Source(Path("nowhere"), toy_model(task=task_named(task, **options), long_text=way))
    for target in targets_of("hf,half"):
        told = [one.en for one in target.lost(source) if "penjing.json" in one.en]
        assert [one.rpartition(": ")[2] for one in told] == ([] if words is None else [words])


def test_adapters_that_peft_cannot_hold(place, tmp_path):
    """Two changes at once, or one whose base nobody names, or one around what its base has not."""
    (tmp_path / "thin").mkdir()
    finetune(
        tmp_path / "thin", data=place / "data", model=place / "base", change=[{"lowrank": {"rank": 4}}, "lora"],
        **HOW | {"steps": 2},
    )  # fmt: skip
    (tmp_path / "stack").mkdir()
    finetune(
        tmp_path / "stack", data=place / "data", model=place / "base", change=["ia3", "lora"], **HOW | {"steps": 2}
    )
    shutil.copytree(place / "tuned" / "model", tmp_path / "alone")
    for name, words in (("stack", "one change"), ("alone", "which base"), ("thin", "which base")):
        with pytest.raises(ModelError, match=words):
            export(tmp_path / "out", model=tmp_path / name, to="peft")


def test_one_target_that_fails_does_not_take_the_others_with_it(place, tmp_path, monkeypatch):
    monkeypatch.setattr(kind_named("half"), "limits", lambda self: targets_of("hf")[0].limits())
    with pytest.raises(ModelError) as caught:
        export(tmp_path, model=place / "tuned", to="half,hf")
    assert caught.value.code == "P-EXPORT-048" and [one.code for one in caught.value.others] == ["P-EXPORT-002"]
    assert [one.name for one in tmp_path.iterdir()] == ["hf"] and set(caught.value.kept["targets"]) == {"hf"}


def test_the_command_keeps_what_was_proven_and_says_what_failed(place, tmp_path, monkeypatch, capsys):
    """The exit code is failure, the good target stays, and the next call makes all again."""
    monkeypatch.setenv("PENJING_LANG", "en")
    plain = kind_named("half").limits
    monkeypatch.setattr(kind_named("half"), "limits", lambda self: targets_of("hf")[0].limits())
    words = ["export", "--out", str(tmp_path / "out"), "--model", str(place / "tuned"), "--to", "half,hf"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "left nothing: half" in told and "proven: hf" in told and "P-EXPORT-002" in told
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["hf", "manifest.json"]
    assert not [one for one in tmp_path.iterdir() if one.suffix == ".part"]
    assert [one.code for one in verify(tmp_path / "out").problems] == ["P-RECIPE-062"]
    monkeypatch.setattr(kind_named("half"), "limits", plain)
    assert main(words) == 0 and verify(tmp_path / "out").sound
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["half", "hf", "manifest.json"]


def test_what_is_no_network_is_told(place, tmp_path):
    write_json(tmp_path / "m" / "penjing.json", {"kind": "linear"})
    with pytest.raises(ModelError) as caught:
        export(tmp_path, model=tmp_path / "m", to="hf")
    assert caught.value.code == "P-EXPORT-005"


def test_wrong_calls(tmp_path, monkeypatch):
    usual = {"model": tmp_path, "to": "hf", "data": None, "split": "test", "most": 2000}
    assert [one.code for one in check(usual | {"to": "hf,hf"}, tmp_path)] == ["P-EXPORT-003"]
    assert [one.code for one in check(usual | {"split": "valid", "most": 5}, tmp_path)] == ["P-TRAIN-007"] * 2
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    absent = check(usual | {"to": "onnx"}, tmp_path)
    assert [one.code for one in absent] == ["P-SYSTEM-001"] * 2 and isinstance(absent[0], MachineError)
    assert "penjing[export]" in absent[0].text("en") and not isinstance(absent[0], OptionError)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_card_says_what_was_done_and_lost(lang, tmp_path):
    model = talking()
    found = exported(tmp_path / "gguf", model, {"gguf": {"type": "Q8_0"}})
    target = targets_of({"gguf": {"type": "Q8_0"}})[0]
    source = Source(tmp_path, model)
    (tmp_path / "README.md").write_text("# My model\n", "utf-8")
    page = card(source, found, target.lost(source), lang)
    assert page.startswith("# My model") and "Q8_0" in page and "llama.cpp" in page
    assert json.loads((tmp_path / "gguf" / "export.json").read_text("utf-8"))["lost"] == [
        one.en for one in target.lost(source)
    ]
    assert toy("bert").family in card(Source(tmp_path / "none", toy("bert")), found, [], lang)
