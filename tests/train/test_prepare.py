"""From a data folder to pieces; the measurement of this machine."""

import json
from functools import partial

import numpy as np
import pytest
from toys import TRAIN, tokenizer, toy_model, toy_pieces

from penjing.base.errors import TrainError
from penjing.tasks import task_named
from penjing.train.fit import FitOptions, make_optimizers
from penjing.train.loop import backward
from penjing.train.measure import choose, cores, speeds_of_types, timed
from penjing.train.optimizers import Optimizers
from penjing.train.prepare import drop_cache, raw_pieces, records_of, rows, split_file, text_files, texts


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "clean"
    folder.mkdir()
    for name in ("train", "valid", "test", "raw"):
        lines = [json.dumps({"text": f"{name} {text}", "label": label}) for text, label in TRAIN[:20]]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_validation_and_test_texts_are_never_read(data):
    files = text_files(data)
    assert [file.name for file in files] == ["train.jsonl", "raw.jsonl"]
    assert {text.split()[0] for text in texts(files)} == {"train", "raw"}
    assert [file.name for file in text_files(data / "valid.jsonl")] == ["valid.jsonl"]  # asked for by name


def test_a_share_is_held_out(data, tmp_path):
    kept, held = raw_pieces(tmp_path / "cache", text_files(data), task_named("causal"), tokenizer(), 64, 0.25, 0)
    numbers = [set(part.documents.numbers.tolist()) for part in (kept, held)]
    assert len(numbers[1]) == 10 and not numbers[0] & numbers[1] and len(numbers[0] | numbers[1]) == 40
    assert sorted(kept.records(np.arange(len(kept)))) == sorted(numbers[0])
    assert raw_pieces(tmp_path / "cache", text_files(data), task_named("causal"), tokenizer(), 64, 0.0, 0)[1] is None
    again = raw_pieces(tmp_path / "cache", text_files(data), task_named("causal"), tokenizer(), 64, 0.25, 1)[1]
    assert set(again.documents.numbers.tolist()) != numbers[1]
    drop_cache(tmp_path)
    assert not (tmp_path / "cache").exists()


def test_nothing_to_read(tmp_path):
    with pytest.raises(TrainError, match="P-TRAIN-003"):
        raw_pieces(tmp_path / "cache", [], task_named("causal"), tokenizer(), 64, 0.1, 0)
    (tmp_path / "raw.jsonl").write_text('{"text": ""}\n', "utf-8")
    with pytest.raises(TrainError, match="P-TRAIN-003"):
        raw_pieces(tmp_path / "cache", [tmp_path / "raw.jsonl"], task_named("causal"), tokenizer(), 64, 0.0, 0)


def test_the_file_of_a_split(data):
    assert len(records_of(data, "train")) == 20 and records_of(data, "other") == []
    (data / "dev.csv").write_text("text,label\na,b\n", "utf-8")
    (data / "dev.notes").write_text("not data", "utf-8")
    assert split_file(data, "dev").name == "dev.csv" and records_of(data, "dev")[0]["label"] == "b"
    (data / "raw.csv").write_text("text\na\n", "utf-8")
    assert split_file(data, "raw").name == "raw.jsonl"  # what a clean step writes comes first


def test_vocabulary_rows():
    assert [rows(size) for size in (1, 64, 65)] == [64, 64, 128]


def test_the_fastest_way_is_chosen_and_told():
    model = toy_model("classify")
    batch = model.task.collate(toy_pieces(model), np.arange(8), model.tokenizer, None)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fresh = partial(make_optimizers, FitOptions(optimizer="muon"))
    types = speeds_of_types(model, [batch], threads=1, seconds=0.01, optimizers=fresh)
    assert {one.dtype for one in types} == {"float32", "bfloat16"} and all(types.values())
    choice = choose(
        model, [batch], dtype="bfloat16", threads=None, compiled=False, seconds=0.02, optimizers=fresh, tried=types
    )
    tried = [one for one in choice.tried if one["dtype"] == "bfloat16"][1:]  # the first was on the batches before
    best = max(tried, key=lambda one: one["tokens_per_second"])
    assert (choice.threads, choice.tokens_per_second) == (best["threads"], best["tokens_per_second"])
    assert all((before[name] == tensor).all() for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    unmeasured = choose(model, [batch], dtype="float32", threads=None, compiled=None, seconds=0, optimizers=fresh)
    assert (unmeasured.dtype, unmeasured.threads, unmeasured.tried) == ("float32", cores(), ())
    assert choose(model, [batch], dtype="bfloat16", threads=1, compiled=True, seconds=0, optimizers=fresh).compiled


def test_the_optimizer_is_counted_once_a_step(monkeypatch):
    """Passes and moves are timed in turn; of the moves only one for each `accumulate` passes counts."""
    done = []

    def cost(work, seconds):
        done.clear()
        work()
        return sum(done)

    def counted(number, function):
        return lambda *given: done.append(number) or function(*given)

    monkeypatch.setattr("penjing.train.measure.timed", cost)
    monkeypatch.setattr("penjing.train.measure.backward", counted(10.0, backward))
    monkeypatch.setattr(Optimizers, "step", counted(1.0, Optimizers.step))
    model = toy_model("classify")
    batch = model.task.collate(toy_pieces(model), np.arange(8), model.tokenizer, None)
    fresh = partial(make_optimizers, FitOptions())
    given = dict(dtype="float32", threads=1, compiled=False, seconds=1.0, optimizers=fresh)
    once, rarely = (choose(model, [batch] * 4, accumulate=number, **given) for number in (1, 4))
    assert once.tokens_per_second == pytest.approx(4 * batch.token_count / 44)
    assert rarely.tokens_per_second == pytest.approx(4 * batch.token_count / 41)


def test_timing_takes_the_median():
    assert timed(lambda: None, 0.0) < 0.1
