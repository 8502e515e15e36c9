"""The stage: trains on train and raw texts only, or takes a tokenizer that exists."""

import json
import os

import pytest

from penjing.base.errors import PenjingError
from penjing.recipe.check import check_step
from penjing.recipe.stages import BUILT_IN
from penjing.recipe.stages.tokenizer import tokenizer
from penjing.text.tokenizer import Tokenizer

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def test_stage(tmp_path):
    data, out, second = (tmp_path / name for name in ("data", "out", "second"))
    for folder in (data, out, second):
        folder.mkdir()
    for name, text in (("train", "good day"), ("raw", "good night"), ("valid", "zebra"), ("test", "yonder")):
        (data / f"{name}.jsonl").write_text((json.dumps({"text": text}) + "\n") * 3)
    summary = tokenizer(out, data=data, size=64)
    made, report = Tokenizer.load(out), json.loads((out / "report.json").read_text())
    assert summary["size"] == made.size and made.size % 8 == 0 and report["measured_on"] == "valid"
    assert "night" in made.inner.get_vocab() and not {"z", "zebra"} & set(made.inner.get_vocab())
    taken = tokenizer(second, data=data, source=out)
    assert (taken["trained"], taken["fingerprint"]) == (False, summary["fingerprint"])
    assert (second / "tokenizer.json").read_bytes() == (out / "tokenizer.json").read_bytes()


def test_stage_takes_a_file(tmp_path):
    (tmp_path / "texts.txt").write_text("one day\n\ntwo days\n")
    assert tokenizer(tmp_path, data=tmp_path / "texts.txt", kind="bpe", size=300)["bytes_per_token"] >= 1


def test_a_tokenizer_that_is_taken_heeds_no_option_of_training(tmp_path):
    given = {"data": tmp_path, "source": tmp_path}
    check_step("tokenizer", BUILT_IN["tokenizer"], given, tmp_path)
    with pytest.raises(PenjingError) as caught:
        check_step("tokenizer", BUILT_IN["tokenizer"], given | {"size": 99, "kind": "bpe"}, tmp_path)
    assert [e.code for e in (caught.value, *caught.value.others)] == ["P-TRAIN-007"] * 2
