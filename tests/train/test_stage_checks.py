"""What pretrain and finetune say before anything runs."""

import json

import pytest
from toys import RECORDS, SEVERAL, tokenizer, toy_model

from penjing.base.errors import PenjingError
from penjing.recipe.check import check_step
from penjing.recipe.stages import BUILT_IN


@pytest.fixture
def place(tmp_path):
    for name, records in (("one", RECORDS), ("several", SEVERAL)):
        (tmp_path / name).mkdir()
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        (tmp_path / name / "train.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "empty").mkdir()
    for kind in ("wordpiece", "bpe"):
        (tmp_path / kind).mkdir()
        tokenizer(kind).save(tmp_path / kind)
    return tmp_path


USUAL = {
    "pretrain": {"data": "one", "tokenizer": "wordpiece", "steps": 1},
    "finetune": {"data": "one", "tokenizer": "wordpiece", "steps": 1},
}


def codes(stage, place, **options):
    """The codes of all complaints; an option that is None is left out."""
    given = {key: value for key, value in (USUAL[stage] | options).items() if value is not None}
    try:
        check_step(stage, BUILT_IN[stage], given, place)
    except PenjingError as error:
        return [one.code for one in (error, *error.others)]
    return []


@pytest.mark.parametrize("stage", USUAL)
def test_good_options_pass(stage, place):
    assert codes(stage, place) == []
    assert codes(stage, place, optimizer="muon", muon_rate=0.01, patience=2) == []


@pytest.mark.parametrize("stage", USUAL)
def test_what_both_stages_refuse(stage, place):
    assert codes(stage, place, steps=None) == ["P-TRAIN-005"]
    assert codes(stage, place, epochs=1.0) == ["P-TRAIN-005"]
    assert codes(stage, place, family="brt") == ["P-OPTION-004"]
    assert codes(stage, place, muon_rate=0.1) == ["P-TRAIN-007"]
    lstm = {"family": "lstm"} | ({"task": "causal"} if stage == "pretrain" else {})
    assert codes(stage, place, **lstm, checkpointing=True) == ["P-TRAIN-065"]
    assert codes(stage, place, patience=2, validate_times=0) == ["P-TRAIN-007"]
    assert codes(stage, place, window=64, max_tokens=32) == ["P-MODEL-005"]
    assert codes(stage, place, data="empty") == ["P-TRAIN-003"]
    assert codes(stage, place, size="smal") == ["P-MODEL-034"] and codes(stage, place, size="10") == ["P-MODEL-033"]
    assert codes(stage, place, size="tiny", width=64, layers=1) == ["P-TRAIN-007"] * 2
    assert codes(stage, place, size="tiny") == []
    assert codes(stage, place, family="brt", minutes=1, muon_rate=1) == ["P-TRAIN-005", "P-TRAIN-007", "P-OPTION-004"]


def test_what_pretrain_refuses(place):
    assert codes("pretrain", place, width=30, heads=4) == ["P-MODEL-001"]
    assert codes("pretrain", place, family="llama") == ["P-TASK-100"]
    assert codes("pretrain", place, family="llama", task="causal", tokenizer="bpe") == []
    for family in ("bert", "modernbert"):
        assert codes("pretrain", place, task="causal", family=family) == ["P-TASK-100"]
    assert codes("pretrain", place, task={"causal": {"rate": 0.3}}, family="llama") == ["P-OPTION-001"]
    assert codes("pretrain", place, task={"masked": {"rate": 3}}) == ["P-OPTION-002"]
    assert codes("pretrain", place, task="classify") == ["P-OPTION-004"]
    for odd in ({}, {"masked": 3}, {"masked": {}, "causal": {}}):
        assert codes("pretrain", place, task=odd) == ["P-OPTION-007"]
    assert codes("pretrain", place, task={"masked": {"chinese_words": True}})[0] == "P-TRAIN-007"
    assert codes("pretrain", place, patience=1, valid_share=0.0) == ["P-TRAIN-007"]


def test_the_purpose_chooses_how_an_lstm_reads(place):
    for task in ("masked", "causal"):
        assert codes("pretrain", place, family="lstm", task=task) == []
    assert codes("pretrain", place, family="lstm", task="causal", heads=2, mlp_width=8) == ["P-MODEL-060"] * 2
    assert codes("finetune", place, family="lstm") == []


def test_a_tokenizer_without_mask(place):
    file = place / "wordpiece" / "tokenizer.json"
    file.write_text(file.read_text("utf-8").replace("[MASK]", "[OTHER]"), "utf-8")
    config = place / "wordpiece" / "tokenizer_config.json"
    config.write_text(config.read_text("utf-8").replace("[MASK]", "[NONE]"), "utf-8")
    assert codes("pretrain", place) == ["P-TASK-001"]


def test_what_finetune_refuses(place):
    assert codes("finetune", place, tokenizer=None) == ["P-OPTION-003"]
    several = {"classify": {"several": True}}
    assert codes("finetune", place, task=several) == ["P-TASK-009"]
    assert codes("finetune", place, data="several") == ["P-TASK-009"]
    assert codes("finetune", place, data="several", task=several) == []
    assert codes("finetune", place, task={"classify": {"sevral": True}}) == ["P-OPTION-001"]
    assert codes("finetune", place, task="masked") == ["P-OPTION-004"]
    assert codes("finetune", place, task="seq2seq")[0] == "P-TASK-100"
    assert codes("finetune", place, task="embed") == ["P-TASK-093"]
    assert codes("finetune", place, model="one", layers=3) == ["P-TRAIN-007"] * 2  # layers and the tokenizer
    assert codes("finetune", place, model="one", tokenizer=None) == []
    assert codes("finetune", place, model="$pretrain", tokenizer=None, width=64) == ["P-TRAIN-007"]
    assert codes("finetune", place, data="$clean", tokenizer="$tokenizer") == []


def test_word_vectors_start_the_embeddings_and_tell_their_coverage(place, tmp_path):
    from penjing import finetune, pretrain

    lines = "".join(
        f"{word} {' '.join(str((7 * i + j) % 5) for j in range(9))}\n" for i, word in enumerate(("the", "tree", "快"))
    )
    (place / "words.txt").write_text(lines, "utf-8")
    sizes = {
        "width": 16,
        "layers": 1,
        "max_tokens": 32,
        "steps": 1,
        "measure_seconds": 0,
        "threads": 1,
        "dtype": "float32",
    }
    options = sizes | {"data": place / "one", "tokenizer": place / "wordpiece", "vectors": place / "words.txt"}
    for number, (stage, more) in enumerate(((pretrain, {"family": "lstm"}), (finetune, {"baselines": False}))):
        found = stage(tmp_path / str(number), **options, **more)["vectors"]
        assert found["words"] == 3 and found["width"] == 9 and 0 < found["vocabulary"] < found["running"] < 1
        assert "parcel" in found["missed"]
    assert codes("finetune", place, model=str(tmp_path), tokenizer=None, vectors="words.txt")[0] == "P-TRAIN-007"


def test_patience_without_a_validation_split_is_refused_before_training(place):
    options = USUAL["finetune"] | {name: place / USUAL["finetune"][name] for name in ("data", "tokenizer")}
    with pytest.raises(PenjingError, match="P-TRAIN-007"):
        BUILT_IN["finetune"].function(place / "out", **options, patience=2)
    assert not (place / "out").exists()


def test_a_window_that_the_given_network_cannot_read_is_refused(place):
    toy_model("classify").save(place / "model")
    with pytest.raises(PenjingError, match="P-MODEL-005"):
        BUILT_IN["finetune"].function(place / "out", data=place / "one", model=place / "model", steps=1, window=4096)
