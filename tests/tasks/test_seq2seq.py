"""Sequence to sequence: every encoder-decoder learns a toy translation and writes it; targets, masks, smoothing."""

import json

import numpy as np
import pytest
import torch
from toys import PAIRS, TEXTS, same_weights, teach, toy_model, toy_pieces

from penjing.base.errors import DataError, TaskError
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.families.family import unlike
from penjing.tasks import task_named
from penjing.tasks.model import Model
from penjing.tasks.seq2seq import delayed

FAMILIES = ("t5", "bart", "mbart", "marian", "vaswani")


def collated(model, rows=range(6), pieces=None):
    return model.task.collate(pieces or toy_pieces(model), np.asarray(rows), model.tokenizer, None)


def written(model, sources):
    """What the model writes, the likeliest token each time."""
    options = GenerateOptions(
        max_new_tokens=16, temperature=0, stop_tokens=(model.tokenizer.end,), decoder_start=model.decoder_start
    )
    prompts = [model.tokenizer.build(model.tokenizer.encode(source)) for source in sources]
    return [model.tokenizer.decode(answers[0].tokens) for answers in complete(model.network, prompts, options)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_toy_translation_is_learnt_written_and_saved(family, tmp_path):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = toy_model("seq2seq", family)
    found = teach(model, 200, 5e-3)
    assert np.mean(found[-5:]) < 0.2 * found[0]
    made = written(model.eval(), [pair["source"] for pair in PAIRS])
    cutter = model.tokenizer
    wanted = [cutter.decode(cutter.encode(pair["target"])) for pair in PAIRS]
    assert sum(one == other for one, other in zip(made, wanted, strict=True)) >= 12, list(
        zip(made, wanted, strict=True)
    )
    model.generation = {"num_beams": 1, "bad_words_ids": [[model.tokenizer.pad]]}
    model.save(tmp_path / "m")
    (tmp_path / "m" / "penjing.json").unlink()
    again = Model.load(tmp_path / "m")
    assert again.task.name == "seq2seq" and same_weights(model, again)
    assert not unlike(again.network.config, model.network.config) and again.decoder_start == model.decoder_start
    assert again.generation["bad_words_ids"] == model.generation["bad_words_ids"]
    assert written(again, [PAIRS[0]["source"]]) == made[:1]
    told, asked = (json.loads((tmp_path / "m" / f"{n}config.json").read_text()) for n in ("", "generation_"))
    ends = {"eos_token_id": model.tokenizer.end, "pad_token_id": model.tokenizer.pad}
    assert all(table[key] == value for table in (told, asked) for key, value in ends.items())
    theirs, cutter = (
        AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "m"),
        AutoTokenizer.from_pretrained(tmp_path / "m"),
    )
    given = cutter([PAIRS[1]["source"]], return_tensors="pt")
    batch = delayed(collated(model, [1]), model.network.config.decoder_start)
    with torch.no_grad():
        logits = theirs.eval()(**given, decoder_input_ids=batch.target).logits
        torch.testing.assert_close(logits, model.network.logits(model.network(batch)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_no_loss(family):
    model = toy_model("seq2seq", family).eval()
    with torch.no_grad():
        each = sum(float(model(collated(model, [row]))) for row in range(6))
        assert float(model(collated(model))) == pytest.approx(each, rel=1e-5)


def test_the_decoder_reads_what_is_before_the_label():
    model = toy_model("seq2seq", "t5")
    batch = collated(model)
    reads = delayed(batch, model.network.config.decoder_start)
    for row in range(6):
        wanted = batch.labels[row][batch.labels[row] >= 0]
        assert wanted[-1] == model.tokenizer.end
        assert reads.target[row, : len(wanted)].tolist() == [model.tokenizer.pad, *wanted[:-1].tolist()]
    assert batch.label_count == int(batch.target_mask.sum())


def test_smoothing_asks_all_tokens_and_only_in_training():
    model = toy_model("seq2seq", "marian")
    plain, smooth = model.eval(), toy_model(task=task_named("seq2seq", smoothing=0.1), family="marian").eval()
    batch = collated(model)
    with torch.no_grad():
        reads = delayed(batch, model.network.config.decoder_start)
        logits = model.network.logits(model.network(reads)).flatten(0, 1)
        wanted = torch.nn.functional.cross_entropy(
            logits, batch.labels.flatten(), label_smoothing=0.1, reduction="sum", ignore_index=-100
        )
        assert float(smooth(batch)) == pytest.approx(float(wanted), rel=1e-5)
    assert smooth.task.validating() == plain.task


def test_an_answer_always_ends():
    model = toy_model("seq2seq", "t5")
    model.tokenizer = toy_model("causal", "llama").tokenizer  # puts nothing around a text
    assert not model.tokenizer.suffix and int(collated(model).labels[0].max()) >= 0
    assert collated(model, [0]).labels[0, -1] == model.tokenizer.end
    long = toy_pieces(model, [{"source": "tree", "target": "tree " * 200}])
    batch = collated(model, [0], long)
    assert batch.target.shape[1] <= model.window + 1 and batch.labels[0, -1] == model.tokenizer.end


def test_bad_input():
    model = toy_model("seq2seq", "t5")
    with pytest.raises(DataError, match="P-TASK-009"):
        model.task.targets([{"source": "a", "target": "b"}, {"source": "a"}])
    with pytest.raises(TaskError, match="P-TASK-040"):
        collated(model, [0, 1], toy_pieces(model, [{"source": "tree " * 200, "target": "tree"}]))
    with pytest.raises(TaskError, match="P-TASK-006"):
        model.answer([{"source": TEXTS[0]}])
