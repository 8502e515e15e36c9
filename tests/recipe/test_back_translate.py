"""Paraphrases by two translators: made, sieved, counted; what is no translator, or has no text of its own, is told."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from penjing.base.errors import PenjingError
from penjing.base.records import read_records, write_records
from penjing.recipe.call import call_stage
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN, back_translate
from penjing.tasks.model import Model
from penjing.text.paraphrases import Sieve, alike, plain, with_text

RECORDS = [{"text": f"the {thing} the {word}", "label": word, "id": f"{thing} {word}"}
           for thing in ("tree", "box", "parcel") for word in ("good", "late", "old")]  # fmt: skip
THERE = dict(the="das", tree="Baum", box="Kiste", parcel="Paket", good="gut", late="spät", old="alt")
HOME = {theirs: ours for ours, theirs in THERE.items()} | {"Paket": "package", "Kiste": "crate"}
TINY = {"steps": 4, "batch_tokens": 64, "layers": 1, "width": 16, "max_tokens": 32, "threads": 1, "measure_seconds": 0,
        "dtype": "float32", "baselines": False}  # fmt: skip


def stage(name, out, **options):
    return call_stage(Stage.of(name, BUILT_IN[name]), out, options, out.parent)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two translators that have learnt next to nothing, and records."""
    root = tmp_path_factory.mktemp("back")
    words = [(record["text"], " ".join(THERE[word] for word in record["text"].split())) for record in RECORDS]
    write_records(root / "there" / "train.jsonl", [{"source": one, "target": other} for one, other in words])
    write_records(root / "home" / "train.jsonl", [{"source": other, "target": one} for one, other in words])
    both = [record for name in ("there", "home") for record in read_records(root / name / "train.jsonl")]
    write_records(root / "all.jsonl", both)
    stage("tokenizer", root / "cutter", data=root / "all.jsonl", kind="unigram", size=72)
    for name in ("there", "home"):
        stage("finetune", root / f"{name}-model", data=root / name, tokenizer=root / "cutter", **TINY, family="marian",
              task={"seq2seq": {"beams": 2, "max_new_tokens": 12}})  # fmt: skip
    write_records(root / "data" / "train.jsonl", RECORDS)
    write_records(root / "data" / "test.jsonl", [{"text": "The crate, the late!", "label": "late"}])
    return root


def test_paraphrases_stand_beside_their_records(made, monkeypatch):
    """With translators that know their words: `box` and `parcel` come back as others."""

    def by_words(model, texts, language, temperature, seed):
        table = THERE if model == "there" else HOME
        return [" ".join(table[word] for word in text.split()) for text in texts]

    monkeypatch.setattr(back_translate, "translated", by_words)
    monkeypatch.setattr(back_translate, "translator", lambda folder, languages, side: (folder.name[:-6], "x"))
    ways = {"forward": made / "there-model", "back": made / "home-model", "data": made / "data", "least": 0.3}
    counts = stage("back_translate", made / "out", languages="en-de", copies=2, **ways)["result"]
    records = list(read_records(made / "out" / "train.jsonl"))
    assert [dict(record) for record in records[:9]] == RECORDS
    found = {record["text"]: record for record in records[9:]}
    assert list(found) == ["the crate the good", "the crate the old", "the package the good", "the package the late",
                           "the package the old"]  # fmt: skip
    assert found["the package the good"] == {"text": "the package the good", "label": "good", "id": "parcel good",
                                             "origin": "the parcel the good"}  # fmt: skip
    # a tree comes back as it went, one crate stands in test, and the second copies are as the first
    assert counts == {"records": 9, "made": 18, "kept": 5, "dropped": {"equal": 6, "known": 7}}
    assert list(read_records(made / "out" / "test.jsonl"))[0]["label"] == "late"
    assert json.loads((made / "out" / "back_translate.json").read_text("utf-8")) == counts


def test_tokens_are_drawn_from_the_seed(made):
    ways = {"forward": made / "there-model", "back": made / "home-model", "data": made / "data", "least": 0.0}
    several = [stage("back_translate", made / f"drawn{number}", most=4, copies=3, seed=seed, temperature=1.5, ratio=99.0,
                     **ways)["result"] for number, seed in enumerate((0, 0, 1))]  # fmt: skip
    files = [(made / f"drawn{number}" / "train.jsonl").read_text("utf-8") for number in range(3)]
    assert several[0]["made"] == 12 and files[0] == files[1] != files[2] and several[0]["kept"] > 0
    for one in several:
        assert one["kept"] + sum(one["dropped"].values()) == 12


def test_what_cannot_be_turned_is_told(made):
    ways = {"forward": made / "there-model", "back": made / "home-model", "data": made / "data"}
    with pytest.raises(PenjingError, match="P-OPTION-005"):
        stage("back_translate", made / "x", languages="en-de", **ways)
    with pytest.raises(PenjingError, match="P-TRAIN-007"):
        stage("back_translate", made / "x", temperature=0.0, copies=2, **ways)
    write_records(made / "tagged" / "train.jsonl", [{"text": "a", "tags": ["O"]}])
    with pytest.raises(PenjingError, match="P-TEXT-094"):
        stage("back_translate", made / "x", **ways | {"data": made / "tagged"})
    write_records(made / "odd" / "train.jsonl", [{"sentence": "a"}])
    with pytest.raises(PenjingError, match="P-TASK-009"):
        stage("back_translate", made / "x", **ways | {"data": made / "odd"})
    stage("tokenizer", made / "words", data=made / "data", size=60)
    stage("finetune", made / "labels", data=made / "data", tokenizer=made / "words", **TINY)
    with pytest.raises(PenjingError, match="P-TEXT-095"):
        stage("back_translate", made / "x", **ways | {"back": made / "labels"})
    with pytest.raises(PenjingError, match="P-TASK-006"):
        stage("back_translate", made / "x", classifier=made / "there-model", temperature=0.0, **ways)
    ways |= {"least": 0.0, "ratio": 99.0}
    every = stage("back_translate", made / "every", temperature=1.5, **ways)["result"]
    judged = stage("back_translate", made / "judged", classifier=made / "labels", temperature=1.5, **ways)["result"]
    assert judged["dropped"]["label"] + judged["kept"] == every["kept"]


def test_a_model_with_tags_asks_for_its_language(monkeypatch):
    task = SimpleNamespace(name="seq2seq", languages=["de", "en"])
    monkeypatch.setattr(Model, "load", lambda folder: SimpleNamespace(task=task))
    found = [back_translate.translator(Path("m"), "en-de", side)[1] for side in (0, 1)]
    assert found == ["en", "de"]
    with pytest.raises(PenjingError, match="P-TEXT-096"):
        back_translate.translator(Path("m"), None, 1)


def test_the_sieve():
    sieve = Sieve(["Known, already"], least=0.4, ratio=2.0)
    cases = {
        "": "empty", "...": "empty", "The box was LATE!": "equal", "known already": "known", "box": "length",
        "my small dog sleeps": "far", "the crate was late": "", "The crate was late.": "known",
    }  # fmt: skip
    for text, why in cases.items():
        assert sieve.fault(text, "the box was late") == why, text
        assert sieve.passes(text, "the box was late") == (not why)
    assert sieve.dropped == {"empty": 2, "equal": 1, "known": 2, "length": 1, "far": 1}
    assert plain("我的，快递!") == "我 的 快 递" and with_text({"text": "a", "label": "x"}, "b")["origin"] == "a"
    answers = [{"label": "a"}, {"label": "b"}, {"labels": ["x", "y"]}]
    records = [{"label": "a"}, {"label": "a"}, {"labels": ["y", "x"]}]
    assert alike(records, answers) == [True, False, True]
