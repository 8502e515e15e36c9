"""Sequence to sequence: targets, masks, tags, mixing, answers; every family is in tests/contract."""

import json

import numpy as np
import pytest
import tokenizers
import torch
from toys import PAIRS, TEXTS, teach, tokenizer, toy_model

from penjing.base.errors import DataError, OptionError, TaskError
from penjing.base.progress import listen
from penjing.tasks import made_task, task_named
from penjing.tasks.batches import Batches
from penjing.tasks.model import Model
from penjing.tasks.seq2seq import Task, delayed
from penjing.tasks.two_sides import drawn_more, in_our_form, tag_of
from penjing.text.tokenizer import Tokenizer

FAMILIES = ("t5", "bart", "mbart", "marian", "vaswani")
MANY = [{"source": "tree", "target": "盆景", "source_lang": "en", "target_lang": "zh"}] * 6
MANY += [{"source": "tree", "target": "parcel", "source_lang": "zh", "target_lang": "en"}] * 2


def collated(model, rows=range(6), records=PAIRS):
    pieces = model.task.pieces(model, records, True)
    return model.task.collate(pieces, np.asarray(rows), model.tokenizer, None)


@pytest.mark.parametrize("family", FAMILIES)
def test_others_open_what_was_learnt(family, tmp_path):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = toy_model("seq2seq", family)
    teach(model, 20, 5e-3, model.task.pieces(model, PAIRS, True))
    model.generation = {"num_beams": 1, "max_length": 3, "bad_words_ids": [[model.tokenizer.pad]]}
    model.task = Task(beams=3, no_repeat_ngram=2, length_penalty=0.5, max_new_tokens=9)
    model.eval().save(tmp_path / "m")
    (tmp_path / "m" / "penjing.json").unlink()
    again = Model.load(tmp_path / "m")
    assert again.task.name == "seq2seq" and again.decoder_start == model.decoder_start
    assert [one["text"] for one in again.answer(PAIRS[:4])] == [one["text"] for one in model.answer(PAIRS[:4])]
    told, asked = (json.loads((tmp_path / "m" / f"{n}config.json").read_text()) for n in ("", "generation_"))
    ends = {"eos_token_id": model.tokenizer.end, "pad_token_id": model.tokenizer.pad}
    assert all(table[key] == value for table in (told, asked) for key, value in ends.items())
    theirs, cutter = (one.from_pretrained(tmp_path / "m") for one in (AutoModelForSeq2SeqLM, AutoTokenizer))
    for record, answer in zip(PAIRS[:4], model.answer(PAIRS[:4]), strict=True):
        ids = theirs.eval().generate(**cutter([record["source"]], return_tensors="pt"))
        assert cutter.decode(ids[0], skip_special_tokens=True).strip() == answer["text"]
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
        assert model.tokenizer.decode(wanted) == PAIRS[row]["target"]
        assert reads.target[row, : len(wanted)].tolist() == [model.tokenizer.pad, *wanted[:-1].tolist()]
    assert batch.label_count == int(batch.target_mask.sum())


def test_smoothing_asks_all_tokens_and_only_in_training():
    plain, smooth = (
        toy_model("seq2seq", "marian"),
        toy_model(task=task_named("seq2seq", smoothing=0.1), family="marian"),
    )
    batch = collated(plain)
    reads = delayed(batch, plain.network.config.decoder_start)
    scores = plain.network.logits(plain.network(reads)).flatten(0, 1)
    wanted = torch.nn.functional.cross_entropy(
        scores, batch.labels.flatten(), label_smoothing=0.1, reduction="sum", ignore_index=-100
    )
    found = smooth.train()(batch)
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    one, other = (torch.autograd.grad(loss, model.network.embedding.weight)[0]
                  for loss, model in ((wanted, plain), (found, smooth)))  # fmt: skip
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        assert float(smooth.eval()(batch)) == pytest.approx(float(plain.eval()(batch)), rel=1e-6)


def test_an_answer_always_ends_and_what_is_cut_is_told():
    model = toy_model("seq2seq", "t5")
    heard = []
    with listen(heard.append):
        batch = collated(model, [0], [{"source": "tree " * 200, "target": "tree " * 200}])
    assert batch.target.shape[1] == batch.tokens.shape[1] == model.window
    assert batch.labels[0, -1] == batch.tokens[0, -1] == model.tokenizer.end
    assert [event.values["cut"] for event in heard if event.kind == "warning"] == [1, 1]
    model.tokenizer = toy_model("causal", "llama").tokenizer  # puts nothing around a text
    assert not model.tokenizer.suffix and collated(model, [0]).labels[0, -1] == model.tokenizer.end


def test_batches_have_little_padding_on_both_sides():
    chance = np.random.default_rng(0)
    lengths = np.stack([chance.integers(4, 40, 3000), chance.integers(4, 40, 3000)], axis=1)
    batches = Batches(lengths, 2048, 0)
    assert batches.padding() < 0.1
    assert sorted(np.concatenate(batches.epoch(0)).tolist()) == list(range(3000))
    assert all((lengths[rows].max(0).sum() * len(rows)) <= 2048 * 1.15 for rows in batches.epoch(1))


def test_forms_of_others():
    wmt = in_our_form({"translation": {"en": "tree", "de": "Baum"}})
    assert (wmt["source"], wmt["target"], wmt["source_lang"], wmt["target_lang"]) == ("tree", "Baum", "en", "de")
    for names in (("document", "summary"), ("dialogue", "summary"), ("article", "highlights"), ("text", "summary")):
        found = in_our_form(dict(zip(names, ("long", "short"), strict=True)))
        assert (found["source"], found["target"]) == ("long", "short")
        assert Task.made([found]).summaries and Task.made([found]).main_score == "rouge_l"
    assert in_our_form({"document": "long", "references": ["a", "b"]})["target"] == "a"
    assert in_our_form({"text": "long"})["source"] == "long" and in_our_form({"x": 1}) == {"x": 1}


def test_several_languages_by_tag():
    cutter = toy_model("seq2seq", "marian").tokenizer
    cutter = Tokenizer(tokenizers.Tokenizer.from_str(cutter.inner.to_str()), cutter.config)  # all toys share the other
    cutter.inner.add_special_tokens(["<2zh>", "<|reserved_0|>", "<|reserved_1|>"])
    cutter = type(cutter)(cutter.inner, cutter.config)
    task = made_task("seq2seq", MANY, {"languages": "auto"})
    assert task.languages == ["en", "zh"] and task.pairs == ["en-zh", "zh-en"]
    assert tag_of(cutter, task.languages, "zh") == cutter.inner.token_to_id("<2zh>")
    assert tag_of(cutter, task.languages, "en") == cutter.inner.token_to_id("<|reserved_0|>")
    task.suits(cutter)
    with pytest.raises(TaskError, match="P-TASK-071"):
        task.suits(tokenizer("wordpiece"))
    with pytest.raises(DataError, match="P-TASK-072"):
        task.check([{"source": "tree"}], learn=False)
    assert task.item(["<2zh> tree"]) == {"source": "tree", "target_lang": "zh"}
    assert task.item(["tree"]) == {"source": "tree"}
    answers = [{"text": record["target"]} for record in MANY]
    found = task.score(answers, MANY)
    assert found["bleu_zh-en"] == 0.0 and found["chrf_zh-en"] == 100.0  # one word has no run of four
    assert list(task.score(answers[:2], MANY[:2])) == ["bleu", "bleu_en-zh", "chrf", "chrf_en-zh"]  # what is measured
    assert {"bleu", "chrf", "bleu_en-zh"} <= set(found) and "tok:zh" in task.notes(MANY)["bleu"]


def test_small_pairs_are_drawn_more_often():
    pairs = ["a"] * 80 + ["b"] * 5
    plain, mixed = drawn_more(pairs, 1.0), drawn_more(pairs, 5.0)
    assert plain.tolist() == list(range(85))
    assert (mixed < 80).sum() == 80 and (mixed >= 80).sum() == round(80 * (5 / 80) ** 0.2)
    assert set(mixed.tolist()) == set(range(85))
    even = drawn_more(pairs, 1e9)
    assert (even >= 80).sum() == 80
    heard = []
    with listen(heard.append):
        made_task("seq2seq", MANY, {})
    assert "2 languages" in heard[0].text


def test_options_without_effect():
    for options, record in (({"stemmer": True}, PAIRS[0]), ({"mixing": 2.0}, PAIRS[0]), ({"watch_records": 5}, PAIRS[0]),
                            ({"beams": 1, "length_penalty": 0.5}, PAIRS[0])):  # fmt: skip
        with pytest.raises(OptionError, match="P-OPTION-005"):
            made_task("seq2seq", [record], options)
    summary = in_our_form({"document": "a", "summary": "b"})
    assert made_task("seq2seq", [summary], {"stemmer": True}).stemmer


def test_the_score_can_be_watched_and_lengths_are_settled():
    model = toy_model(task=made_task("seq2seq", PAIRS, {"watch": "score", "watch_records": 3, "beams": 1}), family="t5")
    model.eval()
    some = [PAIRS[row] for row in (0, (len(PAIRS) - 1) // 2, -1)]  # all along the file, which may be sorted
    wanted = model.task.score(model.answer(some), some)["bleu"]
    assert model.task.watched(model, PAIRS) == wanted and Task().watched(model, PAIRS) is None
    assert model.task.max_new_tokens is None
    settled = model.task.settled(model, PAIRS)
    longest = max(len(model.tokenizer.encode(pair["target"])) + 1 for pair in PAIRS)
    assert settled.max_new_tokens == int(1.5 * longest) + 8 and settled.settled(model, PAIRS) == settled


def test_scores_of_summaries():
    records = [in_our_form({"document": "d", "summary": "the tree", "references": ["the tree", "a small tree"]})]
    task = Task.made(records)
    assert task.baselines == ("lead",) and "best of 2" in task.notes(records)["rouge"]
    found = task.score([{"text": "A small tree"}], records)
    assert found == {"rouge_l": 100.0, "rouge1": 100.0, "rouge2": 100.0}
    assert "".join(text for text, _ in list(task.lines(records[0], {"text": "T"}))[1]).split() == ["summary", "T"]


def test_bad_records_are_all_told():
    task = Task()
    records = [{"source": "a"}, {"source": 5, "target": "b"}, {"source": " ", "target": "b"}, {"source": "a", "target": "b"},
               {"source": "a", "target": "b", "references": "b"}]  # fmt: skip
    with pytest.raises(DataError) as caught:
        task.check(records, learn=True)
    found = [caught.value, *caught.value.others]
    assert [(one.code, one.line) for one in found] == [
        ("P-TASK-009", 1), ("P-DATA-021", 2), ("P-TASK-070", 3), ("P-TASK-073", 5)
    ]  # fmt: skip
    task.check([{"source": ""}, {"source": TEXTS[0]}], learn=False)
    with pytest.raises(TaskError, match="P-TASK-110"):
        task.item(["a", "b"])
