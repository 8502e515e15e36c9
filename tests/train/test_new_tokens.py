"""New tokens: one each, rows that begin as their pieces are, learnt, saved and folded."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import OPTIONS, halves
from test_stage_checks import codes, place  # noqa: F401 (a fixture)
from toys import RECORDS, TEXTS, toy_model, toy_task

from penjing.base.errors import PenjingError
from penjing.changes import changes_of
from penjing.model.batch import Batch
from penjing.recipe.call import call_stage
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN
from penjing.tasks.model import Model
from penjing.train.fit import fit
from penjing.train.new_tokens import check_learnt, with_new_tokens

WORDS = ["<order>", "treebox", "盆景包裹"]
ALL = "embedding|output"


@pytest.mark.parametrize(
    ("name", "family"), [("masked", "bert"), ("causal", "llama"), ("seq2seq", "t5"), ("causal", "lstm")]
)
def test_a_word_becomes_a_token_and_nothing_else_changes(name, family):
    base = toy_model(name, family).eval()
    model = with_new_tokens(base, WORDS).eval()
    size = base.tokenizer.size
    assert [model.tokenizer.encode(f"the {word}")[-1] for word in WORDS] == [size, size + 1, size + 2]
    assert model.tokenizer.decode(model.tokenizer.encode("the treebox")).replace(" ", "") == "thetreebox"
    text = base.tokenizer.encode(TEXTS[0])
    assert model.tokenizer.encode(TEXTS[0]) == text and model.network.config.vocab_size == size + 3
    tokens = torch.tensor([text])
    batch = Batch(tokens, target=tokens if family == "t5" else None)
    with torch.no_grad():
        before, after = (one.network.logits(one.network(batch)) for one in (base, model))
    torch.testing.assert_close(after[..., :size], before[..., :size], atol=1e-5, rtol=1e-5)
    for part in (base.network.embedding.weight, base.network.output.weight):
        if part is not None:
            now = (
                model.network.embedding.weight if part is base.network.embedding.weight else model.network.output.weight
            )
            torch.testing.assert_close(now[size + 1], part[base.tokenizer.encode("treebox")].mean(0))


@pytest.mark.parametrize("changes", [None, {"lora": {"rank": 2, "whole": ALL}}])
def test_their_rows_are_learnt_saved_and_folded(changes, tmp_path):
    model = with_new_tokens(toy_model("masked", "bert"), ["parcel tree", "late"][:1])
    start = model.network.embedding.weight.detach().clone()
    model = model.with_task(toy_task("classify"), 0).adapt(changes_of(changes), 1)
    check_learnt(model)
    fit(model, halves(model)[0], None, replace(OPTIONS, steps=3), tmp_path, what="toy")
    number = model.tokenizer.encode("the parcel tree")[-1]
    assert number == len(model.tokenizer) - 1 and not torch.equal(model.network.embedding.weight[number], start[number])
    model.eval().save(tmp_path / "model")
    again, asked = Model.load(tmp_path / "model"), ["the parcel tree was late", *TEXTS[:3]]
    np.testing.assert_array_equal(again.probabilities(asked), model.probabilities(asked))
    assert again.tokenizer.encode("the parcel tree")[-1] == number
    again.changes.fuse()
    again.save(tmp_path / "whole")
    np.testing.assert_allclose(
        Model.load(tmp_path / "whole").probabilities(asked), model.probabilities(asked), atol=1e-5
    )


def test_the_stage(tmp_path):
    toy_model("masked", "bert").save(tmp_path / "base")
    (tmp_path / "data").mkdir()
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS)
    (tmp_path / "data" / "train.jsonl").write_text(lines, "utf-8")
    given = {"data": "data", "model": "base", "new_tokens": ["parcel tree"], "steps": 2, "measure_seconds": 0,
             "baselines": False, "threads": 1, "dtype": "float32", "validate_times": 0}  # fmt: skip
    stage = Stage.of("finetune", BUILT_IN["finetune"])
    (tmp_path / "out").mkdir()
    call_stage(stage, tmp_path / "out", given | {"change": {"lora": {"whole": "embedding"}}}, tmp_path)
    found = Model.load(tmp_path / "out" / "model")
    assert found.tokenizer.encode("parcel tree") == [len(found.tokenizer) - 1]
    alone = Model.load(tmp_path / "out" / "adapter")  # its rows lie in it, its tokenizer beside
    np.testing.assert_allclose(alone.probabilities(TEXTS[:3]), found.probabilities(TEXTS[:3]), atol=1e-6)
    (tmp_path / "other").mkdir()
    with pytest.raises(PenjingError, match="P-TRAIN-070"):
        call_stage(stage, tmp_path / "other", given | {"change": "lora"}, tmp_path)


def test_what_cannot_become_a_token():
    base = toy_model("masked", "bert")
    with pytest.raises(PenjingError) as caught:
        with_new_tokens(base, ["the", "", " x", "new", "new"])
    assert [one.code for one in (caught.value, *caught.value.others)] == ["P-TRAIN-068"] * 4
    with pytest.raises(PenjingError, match="P-TRAIN-069"):
        with_new_tokens(base.adapt(changes_of("lora"), 0), ["new"])
    with pytest.raises(PenjingError, match=r"P-TRAIN-070(.|\n)*embedding"):
        check_learnt(toy_model("causal", "llama").adapt(changes_of("lora"), 0))


def test_before_anything_runs(place):  # noqa: F811
    assert codes("finetune", place, new_tokens=["new"]) == ["P-TRAIN-007"]
    assert codes("finetune", place, new_tokens=["", "a", "a"]) == ["P-TRAIN-068", "P-TRAIN-068", "P-TRAIN-007"]
