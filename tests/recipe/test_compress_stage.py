"""The stage compress: a search that is kept, a choice that is shown or refused, and a confirmation on unseen records."""

import html
import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from toys import RECORDS, sentences, teach, toy_model

from penjing.base.errors import PenjingError
from penjing.base.records import write_records
from penjing.changes import changes_of
from penjing.recipe.compressing import point, search
from penjing.recipe.compressing.limits import Limits
from penjing.recipe.stages.compress import check, compress
from penjing.recipe.stages.ensemble import ensemble
from penjing.tasks.model import Model

HOW = dict(
    methods=["layers", "int8"], epochs=2, rounds=1, learning_rate=5e-3, batch_tokens=256, max_drop="10%", calibration=16
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Records of three splits, and a classifier of four blocks that has learnt them."""
    root = tmp_path_factory.mktemp("compress")
    torch.set_num_threads(1)
    for seed, (split, count) in enumerate({"train": 64, "valid": 96, "test": 80}.items()):
        records = [{"text": text, "label": label} for text, label in sentences(count, seed)]
        write_records(root / "data" / f"{split}.jsonl", records)
        write_records(root / "few" / f"{split}.jsonl", records[:6])
    model = toy_model(layers=4)
    teach(model, steps=30)
    model.save(root / "whole")
    return root


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Times are told and not judged here: one round is enough."""
    for name, number in {"ROUNDS": 1, "SINGLE": 2, "BATCHES": 1}.items():
        monkeypatch.setattr(point, name, number)


def lines(folder):
    return [json.loads(line) for line in (folder / "points.jsonl").read_text("utf-8").splitlines()]


def test_the_smallest_within_the_budget_is_taken_and_confirmed(place, tmp_path, monkeypatch):
    """Stopped before the healed point is kept, it goes on after the last point; what is left is the model that was measured."""
    out, plain, made = tmp_path / "out", search.Search.folder, []

    def stopped(self, stack, kept):
        made.append(stack)
        if len(made) == 7 and not (out / "stopped").exists():
            (out / "stopped").touch()
            raise KeyboardInterrupt
        return plain(self, stack, kept)

    out.mkdir()
    monkeypatch.setattr(search.Search, "folder", stopped)
    with pytest.raises(KeyboardInterrupt):
        compress(out, model=place / "whole", data=place / "data", **HOW)
    before, wanted = lines(out), made.pop()
    (out / "stopped").rename(tmp_path / "stopped")
    monkeypatch.setattr(search.Search, "folder", lambda self, *given: (made.append(given[0]), plain(self, *given))[1])
    assert len(before) == 6 and not (out / "model").exists()
    found = compress(out, model=place / "whole", data=place / "data", **HOW)
    assert lines(out)[:6] == before and made[6] == wanted and len({json.dumps(one) for one in made}) == 7
    evidence = json.loads((out / "compress.json").read_text("utf-8"))
    taken, test = evidence["chosen"], evidence["test"]
    assert found["outcome"] == "confirmed" and test["drop"]["records"] == 80 and test["drop"]["high"] <= 0.1
    within = [one for one in lines(out) if one["kept"] and one["drop"]["high"] <= 0.1]
    assert taken["bytes"] == min(one["bytes"] for one in within) < evidence["original"]["bytes"]
    assert "heal" in taken["stack"] and taken["stack"][-1] != "heal"
    model = Model.load(out / "model")
    assert model.changes.records() and model.task.record() == Model.load(place / "whole").task.record()
    assert model.lineage["compress"]["stack"] == taken["stack"]
    assert {path.name for path in out.iterdir()} == {
        "model", "points.jsonl", "compress.json", "compress.html", "compress.txt", "resume.json"
    }  # fmt: skip
    page = (out / "compress.html").read_text("utf-8")
    assert "<svg" in page and "confirmed on records" in page and html.escape(found["front"][0]["stack"]) in page


def test_few_records_show_nothing_and_say_how_many_would(place, tmp_path):
    found = compress(tmp_path, model=place / "whole", data=place / "few", **HOW | {"rounds": 0})
    assert found["outcome"] == "not_shown" and "would be needed" in found["verdict"]
    evidence = json.loads((tmp_path / "compress.json").read_text("utf-8"))
    assert evidence["records_needed"] > 6 and evidence["test"] is None and not (tmp_path / "model").exists()


def test_a_target_out_of_reach_says_the_smallest_reached(place, tmp_path):
    given = dict(model=place / "whole", data=place / "data", **HOW | {"rounds": 0, "methods": ["int8"]})
    with pytest.raises(PenjingError) as caught:
        compress(tmp_path, size="1kB", **given)
    assert caught.value.code == "P-CHANGE-112" and "int8 with" in str(caught.value)
    smallest = min(point["bytes"] for point in lines(tmp_path) if point["kept"])
    found = compress(tmp_path, size=f"{smallest}B", latency="9s", **given)
    assert found["bytes"] == smallest


@pytest.mark.parametrize("said", ["half", "0.5", 0.5, "-1%", "120%", "1e-3%"])
def test_a_budget_that_cannot_be_read_is_told(said):
    with pytest.raises(PenjingError) as caught:
        Limits.said(said, None, None)
    assert caught.value.code == "P-CHANGE-110"


def test_limits_are_read():
    assert Limits.said("0.5%", "5 MB", "3ms") == Limits(0.005, 5e6, 0.003) and Limits.said("0%", None, None) == Limits(
        0.0
    )
    usual = dict(size="5", latency=3, max_drop="1%", methods=["int8"], rounds=4, minutes=30.0, epochs=2.0,
                 learning_rate=2e-4, batch_tokens=2048)  # fmt: skip
    assert [error.code for error in check(usual, Path())] == ["P-CHANGE-111", "P-CHANGE-111", "P-TRAIN-007"]


def several(root):
    toy_model(seed=1).save(root.parent / "other")
    ensemble(root, members=[root.parent / "whole", root.parent / "other"])
    return root


def adapted(root):
    Model.load(root.parent / "whole").adapt(changes_of("lora")).save(root)
    return root


def scoreless(root):
    toy_model("contrast").save(root)
    return root


@pytest.mark.parametrize(
    ("make", "code"), [(several, "P-TRAIN-056"), (adapted, "P-CHANGE-115"), (scoreless, "P-CHANGE-114")]
)
def test_what_cannot_be_compressed_is_told(make, code, place, tmp_path):
    root = place / make.__name__
    root.mkdir()
    with pytest.raises(PenjingError) as caught:
        compress(tmp_path, model=make(root), data=place / "data", **HOW)
    assert caught.value.code == code and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("split", "code"), [("train", "P-TRAIN-111"), ("valid", "P-CHANGE-113")])
def test_empty_splits_are_told(split, code, place, tmp_path):
    for name in ("train", "valid"):
        write_records(tmp_path / "data" / f"{name}.jsonl", [] if name == split else RECORDS[:4])
    (tmp_path / "out").mkdir()
    with pytest.raises(PenjingError) as caught:
        compress(tmp_path / "out", model=place / "whole", data=tmp_path / "data")
    assert caught.value.code == code and not list((tmp_path / "out").iterdir())


def test_nothing_that_can_be_done_is_told(place, tmp_path):
    toy_model(layers=1).save(tmp_path / "single")
    (tmp_path / "out").mkdir()
    with pytest.raises(PenjingError) as caught:
        compress(tmp_path / "out", model=tmp_path / "single", data=place / "data", methods=["layers"])
    assert caught.value.code == "P-CHANGE-116"
