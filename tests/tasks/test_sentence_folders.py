"""sentence-transformers opens what is saved here with the same vectors, and its folders are opened here."""

import json

import numpy as np
import pytest
from toys import TEXTS, toy_model

from penjing.base.errors import TaskError
from penjing.base.files import write_json
from penjing.tasks import task_named
from penjing.tasks.model import Model
from penjing.tasks.sentence_folders import read_sentence_folder, write_sentence_folder

CASES = [("bert", "mean", True), ("bert", "first", False), ("modernbert", "max", True), ("llama", "last", True)]


def saved(folder, family="bert", pooling="mean", normalise=True):
    model = toy_model(family=family, task=task_named("embed", pooling=pooling, normalise=normalise))
    model.save(folder)
    return model


@pytest.mark.parametrize(("family", "pooling", "normalise"), CASES)
def test_theirs_of_ours(family, pooling, normalise, tmp_path):
    from sentence_transformers import SentenceTransformer

    model = saved(tmp_path / "m", family, pooling, normalise)
    theirs = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    texts = [*TEXTS[:6], "满意😀"]
    assert np.abs(theirs.encode(texts, show_progress_bar=False) - model.task.vectors(model, texts)).max() < 1e-5
    assert theirs.max_seq_length == model.window


def test_ours_of_theirs(tmp_path):
    """A folder that they saved, and long texts, which they cut."""
    from sentence_transformers import SentenceTransformer

    saved(tmp_path / "m", pooling="first", normalise=False)
    theirs = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    theirs.save(str(tmp_path / "theirs"))
    model = Model.load(tmp_path / "theirs")
    assert model.task == task_named("embed", pooling="first", normalise=False) and model.long_text == "head"
    texts = [*TEXTS[:3], "tree " * 200]
    assert np.abs(theirs.encode(texts, show_progress_bar=False) - model.task.vectors(model, texts)).max() < 1e-5


def test_the_files_come_back(tmp_path):
    for number, pooling in enumerate(("mean", "first", "last", "max")):
        folder = tmp_path / pooling
        write_sentence_folder(folder, pooling, bool(number % 2), 32, 64)
        assert read_sentence_folder(folder) == ({"pooling": pooling, "normalise": bool(number % 2)}, 64)
    write_json(
        tmp_path / "mean" / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": "lasttoken"}
    )
    assert read_sentence_folder(tmp_path / "mean")[0]["pooling"] == "last"
    (tmp_path / "mean" / "sentence_bert_config.json").unlink()
    assert read_sentence_folder(tmp_path / "mean")[1] is None


def test_what_is_not_known_is_told(tmp_path):
    """Other modules, several poolings, and a prompt that they would put before every text."""
    saved(tmp_path / "m")
    (tmp_path / "m" / "penjing.json").unlink()
    modules = json.loads((tmp_path / "m" / "modules.json").read_text("utf-8"))
    pooling = json.loads((tmp_path / "m" / "1_Pooling" / "config.json").read_text("utf-8"))

    def refused(name, value):
        file = tmp_path / "m" / name
        before = file.read_bytes() if file.exists() else None
        write_json(file, value)
        with pytest.raises(TaskError, match="P-TASK-092"):
            Model.load(tmp_path / "m")
        file.unlink() if before is None else file.write_bytes(before)

    refused("modules.json", [*modules, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])
    refused("modules.json", modules[:1])
    refused("modules.json", [*modules, modules[1]])
    refused("1_Pooling/config.json", pooling | {"pooling_mode_max_tokens": True})
    refused("1_Pooling/config.json", {"pooling_mode_weightedmean_tokens": True})
    refused("sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    refused("config_sentence_transformers.json", {"prompts": {"query": "query: "}, "default_prompt_name": "query"})
    assert Model.load(tmp_path / "m").task == task_named("embed", pooling="mean", normalise=True)
