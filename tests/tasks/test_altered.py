"""Training texts read otherwise in each epoch: in windows, in pairs, never for validation, and again after a stop."""

import numpy as np
import pytest
import torch
from toys import LABELS, RECORDS, toy_model

from penjing.base.errors import PenjingError
from penjing.base.options import with_paths
from penjing.recipe.call import call_stage
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN
from penjing.tasks import made_task, task_named
from penjing.train.fit import FitOptions
from penjing.train.prove import prove_resume

SWAP = {"swap": {"share": 0.9}}


def model_with(augment=SWAP, **more):
    return toy_model(task=task_named("classify", labels=LABELS, augment=augment), **more)


def rows_of(model, pieces, rows, seed=0):
    chance = np.random.Generator(np.random.PCG64(seed))
    return model.task.collate(pieces, np.asarray(rows), model.tokenizer, chance)


def test_labels_stay_and_words_move():
    model = model_with()
    pieces = model.task.pieces(model, RECORDS, True)
    one, again, other = (rows_of(model, pieces, range(8), seed) for seed in (0, 0, 1))
    plain = model.task.collate(pieces, np.arange(8), model.tokenizer, None)
    assert torch.equal(one.tokens, again.tokens) and not torch.equal(one.tokens, other.tokens)
    assert torch.equal(one.labels, plain.labels) and one.records == plain.records
    assert not torch.equal(one.tokens, plain.tokens)
    for row in range(8):  # a swap moves words, it makes none
        assert sorted(one.tokens[row].tolist()) == sorted(plain.tokens[row].tolist())


def test_validation_and_answers_read_the_texts_themselves():
    model = model_with()
    learnt = model.task.pieces(model, RECORDS, True)
    valid = model.task.validating().pieces(model, RECORDS, True)
    assert learnt.altered is not None and valid.altered is None
    assert model.task.pieces(model, RECORDS, False).altered is None
    assert learnt.fingerprint() != valid.fingerprint()


def test_windows_of_a_long_text_stay_in_their_places():
    model = model_with({"delete": {"share": 0.5}}, max_tokens=16)
    text = " ".join(["good"] + ["tree"] * 40 + ["late"] * 40)
    pieces = model.task.pieces(model, [{"text": text, "label": "good"}, *RECORDS[:2]], True)
    assert len(pieces) > 5
    batch = rows_of(model, pieces, range(len(pieces)))
    assert batch.tokens.shape[1] <= 16 and batch.records == pieces.records(np.arange(len(pieces)))
    tree, late = (model.tokenizer.encode(word)[0] for word in ("tree", "late"))
    assert tree in batch.tokens[1] and late not in batch.tokens[1] and late in batch.tokens[len(pieces) - 3]


def test_each_text_of_a_pair_is_read_by_itself():
    records = [record | {"text_b": f"the {RECORDS[-1 - row]['text']}"} for row, record in enumerate(RECORDS[:12])]
    records.append({"text": "good tree box", "label": "good"})
    model = model_with()
    pieces = model.task.pieces(model, records, True)
    batch = rows_of(model, pieces, range(13))
    plain = model.task.collate(pieces, np.arange(13), model.tokenizer, None)
    assert torch.equal(batch.segments, plain.segments) and not torch.equal(batch.tokens, plain.tokens)
    for kind in (0, 1):
        for row in range(13):
            here = batch.segments[row] == kind
            assert sorted(batch.tokens[row][here].tolist()) == sorted(plain.tokens[row][here].tolist())


def test_a_cut_run_goes_on_in_the_same_bits(tmp_path):
    model = model_with({"swap": {}, "delete": {}}, dropout=0.1)
    how = FitOptions(steps=12, batch_tokens=128, threads=1, dtype="float32", measure_seconds=0, validate_times=1)
    pieces = model.task.pieces(model, RECORDS, True)
    assert prove_resume(model, pieces, None, how, tmp_path, what="toy")["identical"]


def test_files_are_kept_by_name(tmp_path):
    file = tmp_path / "words.tsv"
    file.write_text("tree\tbush\n", "utf-8")
    task = made_task("classify", RECORDS, {"augment": {"synonyms": {"file": str(file)}}})
    assert task.record()["augment"]["synonyms"] == {"file": "words.tsv", "share": 0.1}
    assert str(tmp_path) not in str(task.record())
    assert task_named(**{"name": "classify", **{k: v for k, v in task.record().items() if k != "task"}}).augment
    given = {"classify": {"augment": {"synonyms": {"file": "a.tsv", "share": 0.2}}, "smoothing": 0.1}}
    assert str(with_paths(given)["classify"]["augment"]["synonyms"]["file"]) == "a.tsv" and with_paths("tag") == "tag"


def test_the_stage_looks_for_the_file_beside_the_recipe(tmp_path):
    """Its bytes count: other synonyms are another step."""
    import json

    for split, count in (("train", 40), ("valid", 10)):
        lines = (json.dumps(record) for record in RECORDS[:count])
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines), "utf-8")
    call_stage(
        Stage.of("tokenizer", BUILT_IN["tokenizer"]), tmp_path / "cutter", {"data": "train.jsonl", "size": 90}, tmp_path
    )
    stage = Stage.of("finetune", BUILT_IN["finetune"])
    options = {"data": ".", "tokenizer": "cutter", "steps": 2, "width": 16, "layers": 1, "max_tokens": 32, "threads": 1,
               "measure_seconds": 0, "dtype": "float32", "baselines": False,
               "task": {"classify": {"augment": {"synonyms": {"file": "words.tsv"}}}}}  # fmt: skip
    with pytest.raises(PenjingError, match="P-FILE-001"):
        call_stage(stage, tmp_path / "out", options, tmp_path)
    hashes = []
    for other in ("bush", "oak"):
        (tmp_path / "words.tsv").write_text(f"tree\t{other}\n", "utf-8")
        hashes.append(call_stage(stage, tmp_path / "out", options, tmp_path)["hash"])
    assert hashes[0] != hashes[1]
    with pytest.raises(PenjingError, match="P-OPTION-002"):
        call_stage(
            stage, tmp_path / "o2", options | {"task": {"classify": {"augment": {"swap": {"shar": 1}}}}}, tmp_path
        )
