"""A causal pre-training beside n-grams on the same texts: fitted, saved, certified, and measured again by `evaluate`."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from toys import TEXTS, tokenizer
from toys_objectives import TEXTS as DOCUMENTS
from toys_objectives import cutter

from penjing import evaluate, pretrain
from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.recipe.check import check_step
from penjing.recipe.pretraining import RawRecords
from penjing.recipe.stages import BUILT_IN

TINY = {"steps": 4, "layers": 1, "width": 16, "heads": 2, "max_tokens": 32, "batch_tokens": 256, "threads": 1,
        "measure_seconds": 0, "validate_times": 1, "dtype": "float32"}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    parts = {"train": TEXTS[:40], "valid": TEXTS[40:50], "test": [" ".join(TEXTS * 4)]}
    (tmp_path / "data").mkdir()
    for name, texts in parts.items():
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
        (tmp_path / "data" / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    for kind in ("wordpiece", "bpe"):
        (tmp_path / kind).mkdir()
        tokenizer(kind).save(tmp_path / kind)
    (tmp_path / "unigram").mkdir()
    cutter("unigram").save(tmp_path / "unigram")
    return tmp_path


def test_certificate_and_evaluation(place):
    given = {"data": place / "data", "tokenizer": place / "bpe", "task": "causal", "family": "llama", **TINY}
    found = pretrain(place / "out", **given, valid_share=0.1)
    about = json.loads((place / "out" / "certificate.json").read_text("utf-8"))
    assert about["metric"] == "bits_per_byte" and about["records"] == 10 and about["best_baseline"] == "ngram_lm"
    assert about["verdict"]["outcome"] == "not_worth_it" and "bits_per_byte" in found["baselines"]["ngram_lm"]
    measured = evaluate(place / "measured", data=place / "data", model=place / "out", bootstrap=100)
    score = measured["model"]["bits_per_byte"]
    assert measured["records"] == 1 and score["low"] < score["value"] < score["high"]
    assert measured["baselines"]["ngram_lm"]["bits_per_byte"]["value"] < score["value"]
    assert not (place / "plain" / "baselines").exists()
    pretrain(place / "plain", **given, baselines=False)
    assert not (place / "plain" / "baselines").exists()


def test_the_texts_of_one_file_hold_out_their_own(place):
    file = place / "data" / "train.jsonl"
    learnt, held = (list(RawRecords([file], [0, 5], kept=kept)) for kept in (False, True))
    assert [one["text"] for one in held] == [TEXTS[0], TEXTS[5]] and len(learnt) == 38
    given = {"data": file, "tokenizer": place / "bpe", "task": "causal", "family": "llama", **TINY}
    pretrain(place / "out", **given, valid_share=0.1)
    assert json.loads((place / "out" / "certificate.json").read_text("utf-8"))["records"] == 4


def test_a_tokenizer_that_does_not_spell_has_no_certificate_and_is_told(place):
    told = []
    with listen(told.append):
        pretrain(
            place / "out", data=place / "data", tokenizer=place / "wordpiece", task="causal", family="llama", **TINY
        )
    warned = any(event.kind == "warning" and "P-TEXT-086" in event.text for event in told)
    assert warned and not (place / "out" / "certificate.json").exists()


OTHERS = [
    ({"denoise": {"span": 2}}, "t5", "unigram"),
    ("next_sentence", "bert", "wordpiece"),
    ("replaced", "electra", "wordpiece"),
]


@pytest.mark.parametrize(("task", "family", "kind"), OTHERS)
def test_other_objectives_are_measured_by_their_guesses(task, family, kind, place):
    texts = [json.dumps({"text": text}, ensure_ascii=False) for text in DOCUMENTS]
    for name in ("train", "test"):
        (place / "data" / f"{name}.jsonl").write_text("\n".join(texts), "utf-8")
    pretrain(place / "out", data=place / "data", tokenizer=place / kind, task=task, family=family, **TINY)
    measured = evaluate(place / "measured", data=place / "data", model=place / "out", bootstrap=100)
    baselines = ["ngram_tokens"] if family == "t5" else []
    assert 0 <= measured["model"]["accuracy"]["value"] <= 1 and list(measured["baselines"]) == baselines
    assert measured["model"]["majority"]["value"] > 0


def test_what_does_not_fit_is_told_before_anything_runs(place):
    def codes(**options):
        given = {"data": "data", "tokenizer": "wordpiece", "steps": 1} | options
        with pytest.raises(PenjingError) as error:
            check_step("pretrain", BUILT_IN["pretrain"], given, place)
        return [one.code for one in (error.value, *error.value.others)]

    assert codes(task="denoise", family="bert")[0] == "P-TASK-100"
    assert codes(task="denoise", family="t5") == ["P-TASK-101"]
    assert codes(task={"denoise": {"style": "bart", "rate": 0.2}}, family="bart") == ["P-TRAIN-007"]
    assert codes(task="next_sentence", family="bert", tokenizer="bpe") == ["P-TASK-103"]
    assert codes(task={"replaced": {"weigth": 1}}, family="electra") == ["P-OPTION-001"]
