"""What holds for every kind of records: one report, the split check, all cores, and cleaning twice is cleaning once."""

import json

import pytest

from penjing.base.errors import PenjingError
from penjing.base.records import read_records, write_records
from penjing.cli.main import main
from penjing.recipe.call import call_stage
from penjing.recipe.records import KINDS
from penjing.recipe.stages import BUILT_IN
from penjing.recipe.stages.clean import clean
from penjing.report.build import data_parts
from penjing.report.steps import Step, languages_of
from penjing.report.words import Words
from penjing.text import corpus

THINGS = ("parcel", "refund", "login", "invoice", "screen", "battery", "voucher", "address", "delivery", "password")


def words(number, more=""):
    one, other = THINGS[number % 10], THINGS[(number * 3 + 1) % 10]
    return f"the {one} with number {number * 7919} of the {other} was lost on day {number} of week {number**2}{more}"


TOYS = {  # a record that holds a text
    "texts": lambda text: {"text": text, "label": "odd" if len(text) % 2 else "even"},
    "tags": lambda text: {"tokens": text.split(), "tags": ["B-X" if len(word) > 6 else "O" for word in text.split()]},
    "pairs": lambda text: {"source": text, "target": text[::-1], "source_lang": "en", "target_lang": "xx"},
    "dialogues": lambda text: {"question": text, "answer": f"I shall look into {text}"},
    "preferences": lambda text: {"prompt": text, "chosen": f"I shall look into {text}", "rejected": "no"},
}


def run(folder, kind, name="out", **options):
    (folder / name).mkdir()
    clean(folder / name, folder=folder, records=kind, **options)
    files = {path.stem: list(read_records(path)) for path in sorted((folder / name).glob("*.jsonl"))}
    return files, json.loads((folder / name / "clean.json").read_text("utf-8"))


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    """A kind whose train has one text of test, and one nearly of test; the folder."""
    made = TOYS[request.param]
    train = [*map(words, range(40)), words(101), words(102, " please")]
    write_records(tmp_path / "train.jsonl", map(made, train))
    write_records(tmp_path / "test.jsonl", [made(words(number)) for number in range(100, 112)])
    return request.param, tmp_path


def test_the_report_has_one_form_and_the_split_check(kind):
    name, folder = kind
    files, report = run(folder, name)
    assert list(report) == ["counts", "rules", "duplicates", "split_check", "facts"]
    assert report["counts"]["read"] == {"test": 12, "train": 42}
    assert report["counts"]["kept"] == {split: len(records) for split, records in files.items()} and "valid" in files
    check = report["split_check"]
    assert (check["exact test train"]["found"], check["exact test train"]["dropped"]) == (1, 1)
    (near,) = check["near test train"]["samples"]
    assert "please" in near["text"] and near["of"] and 0.7 <= near["similarity"] < 1
    facts = report["facts"]["splits"]["train"]
    assert facts["records"] == len(files["train"]) and facts["characters"] > 1000 and facts["languages"]["en"]
    assert [file["encoding"] for file in report["facts"]["files"]["train"]] == ["utf-8"]


def test_near_duplicates_across_splits_are_dropped_if_asked(kind):
    name, folder = kind
    for way, left in (("drop", 40), ("equal", 41), ("report", 42)):
        files, report = run(folder, name, way, across_splits=way, valid_share=0.0)
        assert len(files["train"]) == left and report["split_check"]["near test train"]["found"] == 1


def test_the_page_shows_it(kind):
    name, folder = kind
    run(folder, name)
    step = Step("clean", folder / "out")
    facts = dict(data_parts(step, Words("en"))[0].rows)
    assert facts["split check › exact test train › dropped"] == 1
    assert "en" in languages_of({"clean": step})


def test_all_cores_make_the_same(kind, monkeypatch):
    name, folder = kind
    monkeypatch.setattr(corpus, "MOST", 9)
    assert run(folder, name, workers=1) == run(folder, name, "more", workers=2)


def test_made_twice_is_made_once(kind):
    name, folder = kind
    files, _ = run(folder, name)
    (folder / "again").mkdir()
    clean(folder / "again", folder=folder / "out", records=name)
    assert {path.stem: list(read_records(path)) for path in sorted((folder / "again").glob("*.jsonl"))} == files


def test_a_kind_or_an_option_of_it_that_is_not_known_is_told_with_the_nearest(tmp_path):
    for records, code, nearest in (
        ("tag", "P-OPTION-004", "tags"),
        ({"texts": {"persnal": 1}}, "P-OPTION-001", "personal"),
    ):
        with pytest.raises(PenjingError, match=code) as caught:
            clean(tmp_path, folder=tmp_path, train="a.jsonl", records=records)
        assert caught.value.nearest == nearest


def test_an_option_of_a_choice_at_the_top_is_told_its_place(tmp_path, capsys):
    write_records(tmp_path / "train.jsonl", [{"text": "a", "label": "b"}])
    for stage, given, place in (
        ("clean", {"personal": "mask"}, "records: {texts: {personal: ...}}"),
        ("clean", {"languages": "en-de"}, "records: {texts: {languages: ...}}, records: {pairs: {languages: ...}}"),
        ("finetune", {"crf": True}, "task: {tag: {crf: ...}}"),
        ("finetune", {"rank": 4}, "change: {lora: {rank: ...}}"),
        ("pretrain", {"replace": 0.1}, "task: {masked: {replace: ...}}"),
    ):
        with pytest.raises(PenjingError) as caught:
            call_stage(BUILT_IN[stage], tmp_path / "out", {"folder": tmp_path} | given if stage == "clean" else given)
        problem = next(one for one in (caught.value, *caught.value.others) if one.code == "P-OPTION-008")
        assert place in problem.text("en") and place in problem.text("zh")
    assert main(["clean", str(tmp_path / "out"), "--personal", "mask"]) == 2
    said = capsys.readouterr().err
    assert "records: {texts: {personal: ...}}" in said and "--records texts --records personal=VALUE" in said


def test_another_step_without_training_records_cannot_be_joined(kind):
    name, folder = kind
    (folder / "none").mkdir()
    with pytest.raises(PenjingError, match="P-TRAIN-003"):
        run(folder, name, join=folder / "none")
