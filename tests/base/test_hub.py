"""Models by their id on the hub: from a cache laid out as the hub's client does, and every way in which it fails."""

import json

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from penjing.base.errors import PenjingError
from penjing.base.hub import PICKLED, UNWANTED, hub_id, local_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def raised(code, call, *given, **options):
    with pytest.raises(PenjingError) as caught:
        call(*given, **options)
    assert caught.value.code == code, caught.value
    assert caught.value.text("en") and caught.value.text("zh")
    return caught.value


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with one model, without a network: as after an earlier download."""
    hub, here = tmp_path / "hub", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = hub / "models--owner--tiny"
    folder = model / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for name in ("main", "v1"):
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / name).write_text(COMMIT)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_model_of_the_cache(cache):
    for said in ("owner/tiny", "hub:owner/tiny", "owner/tiny@v1", f"owner/tiny@{COMMIT}"):
        assert local_folder(said).resolve() == cache.resolve(), said
    assert local_folder("owner/tiny", revision="v1").resolve() == cache.resolve()
    assert "HF_HUB_OFFLINE" in raised("P-MODEL-053", local_folder, "owner/other").text("en")
    raised("P-MODEL-053", local_folder, "owner/tiny@v2")


def test_what_stands_here_is_never_looked_for_there(cache, tmp_path):
    (tmp_path / "here" / "owner" / "tinny").mkdir(parents=True)
    assert hub_id("owner/tinny") is None and str(local_folder("owner/tinny")) == "owner/tinny"
    assert raised("P-FILE-001", local_folder, "owner/tiny").nearest == "tinny"
    assert local_folder("hub:owner/tiny").resolve() == cache.resolve()
    for path in ("tiny", "../tiny", "/no/such", "a/b/c", "owner/ti ny", ""):
        assert hub_id(path) is None, path
    raised("P-MODEL-054", local_folder, "owner/tinny", revision="main")
    assert str(hub_id("hub:gpt2")) == "gpt2" and hub_id("some/name@refs/pr/1").revision == "refs/pr/1"


class Answer:
    """As much of a response as the hub's errors ask for."""

    headers, request, status_code, text = {}, None, 404, ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.GatedRepoError, "P-MODEL-052"),
        (errors.RepositoryNotFoundError, "P-MODEL-051"),
        (errors.RevisionNotFoundError, "P-MODEL-051"),
        (errors.HfHubHTTPError, "P-MODEL-053"),
        (errors.LocalEntryNotFoundError, "P-MODEL-053"),
        (ConnectionError, "P-MODEL-053"),
    ],
)
def test_what_can_go_wrong(error, code, cache, monkeypatch):
    def fail(*given, **options):
        raise error("no\nmore", response=Answer()) if issubclass(error, errors.HfHubHTTPError) else error("no\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    assert raised(code, local_folder, "owner/tiny").given == "owner/tiny"


def test_only_what_is_needed_is_asked_for(cache, monkeypatch):
    asked = []

    def fetch(name, *, revision, allow_patterns, ignore_patterns, tqdm_class):
        bar = tqdm_class(total=3)
        assert bar.disable and ignore_patterns == UNWANTED
        asked.append((name, revision, allow_patterns))
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    local_folder("owner/tiny@v1")
    assert len(asked) == 1 and asked[0][:2] == ("owner/tiny", "v1") and not set(PICKLED) & set(asked[0][2])
    (cache / "model.safetensors").unlink()
    local_folder("owner/tiny")
    assert len(asked) == 3 and set(PICKLED) < set(asked[2][2])


def test_every_door_takes_an_id(cache, monkeypatch, tmp_path):
    from toys import RECORDS, same_weights, toy_model

    from penjing.base.records import write_records
    from penjing.recipe.call import call_stage
    from penjing.recipe.models import load_answerer
    from penjing.recipe.stage import Stage
    from penjing.recipe.stages import BUILT_IN
    from penjing.tasks.model import Model

    made = toy_model("classify")
    made.save(cache)
    assert same_weights(Model.load("owner/tiny"), made) and same_weights(Model.load("owner/tiny", revision="v1"), made)
    assert abs(load_answerer("owner/tiny").probabilities(["good"]) - made.probabilities(["good"])).max() < 1e-6
    write_records("train.jsonl", RECORDS)
    finetune = Stage.of("finetune", BUILT_IN["finetune"])
    quick = dict(steps=1, measure_seconds=0, validate_times=0, baselines=False, threads=1, dtype="float32")
    manifest = call_stage(finetune, tmp_path / "out", {"data": ".", "model": "owner/tiny", **quick})
    assert any(COMMIT in entry["path"] for entry in manifest["inputs"])
    raised("P-MODEL-053", call_stage, finetune, tmp_path / "no", {"data": ".", "model": "owner/none", **quick})
    raised("P-FILE-001", call_stage, finetune, tmp_path / "no", {"data": ".", "model": "none", **quick})
