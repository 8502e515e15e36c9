"""Dialogue as a task: what is learnt and asked of each conversation, windows, answers, scores, one stop token everywhere."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from toys import KINDS, teach, tokenizer

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.readers.source import Record
from penjing.model.size import fresh_config
from penjing.tasks import task_named
from penjing.tasks.model import Model
from penjing.tasks.talks import in_window, middle_out
from penjing.tasks.task import IGNORED
from penjing.tasks.writer import Writer
from penjing.text.chat import Chat
from penjing.text.tokenizer_training import train_tokenizer

CALL = {"name": "find", "arguments": {"box": "tree", "late": 2}}
TALKS = [
    {"messages": [{"role": "user", "content": "the tree"}, {"role": "assistant", "content": "盆景 very good"},
                  {"role": "user", "content": "the box"}, {"role": "assistant", "content": "快递"}]},
    {"messages": [{"role": "system", "content": "be very late"}, {"role": "user", "content": "find the tree"},
                  {"role": "assistant", "content": "", "tool_calls": [CALL]}]},
    {"instruction": "the parcel", "output": "good 😀"},
]  # fmt: skip


def model_of(family="llama", window=256, width=32, **options):
    task, cutter = task_named("chat", **({"max_new_tokens": 100} | options)), tokenizer(KINDS.get(family, "bpe"))
    config = fresh_config(family, vocab_size=-(-cutter.size // 64) * 64, width=width, layers=1, max_tokens=window,
                          heads=None if family == "lstm" else 2, dropout=0.0, purpose="causal", pad=cutter.pad)  # fmt: skip
    return Model.new(config, family, task, cutter, 0)


def normal(model, records=TALKS):
    found = [model.task.normal(record) for record in records]
    model.task.check(found, True)
    return found


@pytest.fixture(scope="module")
def taught():
    model = model_of()
    teach(model, 150, 1e-2, model.task.pieces(model, normal(model), True))
    return model.eval()


def text(model, tokens):
    return model.tokenizer.inner.decode(list(tokens), skip_special_tokens=False)


def test_the_batch_holds_labels_where_the_answers_are():
    model = model_of()
    pieces = model.task.pieces(model, normal(model), True)
    batch = model.task.collate(pieces, np.asarray([2, 0, 1]), model.tokenizer, None)
    said = [text(model, row[row != IGNORED].tolist()) for row in batch.labels]
    call = '<tool_call>{"name": "find", "arguments": {"box": "tree", "late": 2}}</tool_call><|im_end|>'
    assert said == ["good 😀<|im_end|>", "盆景 very good<|im_end|>快递<|im_end|>", call]
    assert batch.label_count == sum(row.carries.sum() for row in pieces.rows) and batch.records == [2, 0, 1]
    assert torch.equal(batch.tokens[:, 1:][batch.labels != IGNORED], batch.labels[batch.labels != IGNORED])
    last = model_of(turns="last")
    (row,) = last.task.pieces(last, normal(last)[:1], True).rows
    assert text(last, row.tokens[row.carries]) == "快递<|im_end|>"
    other = model.task.pieces(model, normal(model)[:1], True)
    assert other.fingerprint() != last.task.pieces(last, normal(last)[:1], True).fingerprint()


def test_answers_are_right_and_the_same_in_any_company(taught):
    records = normal(taught)
    found = taught.task.answer(taught, records)
    assert [turn["text"] for turn in found[0]["turns"]] == ["盆景 very good", "快递"] and found[0]["text"] == "快递"
    assert found[1]["tool_calls"] == [CALL] and found[1]["text"] == "" and found[1]["reason"] == "stop"
    asked = [{"messages": record["messages"][:-1]} for record in records] * 3
    open_ended = taught.task.answer(taught, asked)
    assert [one["text"] for one in open_ended] == [one["text"] for one in found] * 3 and "turns" not in open_ended[0]
    for batch_tokens in (1, 300, 100_000):
        again = taught.task.answer(taught, records, batch_tokens)
        assert [one["turns"] for one in again] == [one["turns"] for one in found]
        assert np.allclose(
            *([one["measured"]["nats_per_byte"] for one in several] for several in (again, found)), atol=1e-5
        )
    writer = Writer(taught.network, taught.tokenizer)
    assert writer.reply(records[0]["messages"][:1], temperature=0, max_new_tokens=20) == "盆景 very good"


def test_scores(taught):
    records = normal(taught)
    answers = taught.task.answer(taught, records)
    found = taught.task.scores(taught.task.statistics(answers, records).sum(0))
    assert found["word_f1"] == found["exact_match"] == found["exact_calls"] == found["calls_f1"] == 1
    assert 1 < found["perplexity"] < 1.5 and 0 < found["bits_per_byte"] < 0.5
    wrong = [dict(one) for one in answers]
    wrong[0] = wrong[0] | {"turns": [{"number": 1, "text": "盆景 very bad"}, {"number": 3, "text": ""}]}
    wrong[1] = wrong[1] | {"turns": [{"number": 2, "text": "", "tool_calls": [CALL | {"arguments": {"box": "tree"}}]}]}
    found = taught.task.scores(taught.task.statistics(wrong, records).sum(0))
    assert found["exact_match"] == 1 / 4 and found["exact_calls"] == 0 and found["calls_f1"] == 0
    assert found["word_f1"] == pytest.approx((3 / 4 + 0 + 2 * 3 / (3 + 5) + 1) / 4)  # of find, box, tree, late and 2
    none = taught.task.scores(np.zeros((2, 9)))
    assert set(none) == {"word_f1", "exact_match"} and none["word_f1"].shape == (2,)


def test_perplexity_is_that_of_the_loss(taught):
    records = normal(taught)
    pieces = taught.task.pieces(taught, records, True)
    batch = taught.task.collate(pieces, np.arange(3), taught.tokenizer, None)
    with torch.no_grad():
        loss = float(taught(batch))
    answers = taught.task.answer(taught, records)
    assert sum(one["measured"]["nats_per_byte"] * one["measured"]["bytes"] for one in answers) == pytest.approx(
        loss, rel=1e-4
    )
    assert sum(one["measured"]["tokens"] for one in answers) == batch.label_count
    written = "盆景 very good" + "快递" + "good 😀" + '["find", {"box": "tree", "late": 2}]'
    assert sum(one["measured"]["bytes"] for one in answers) == len(written.encode())


def test_resampled_scores_and_the_variety_of_answers(taught):
    records = normal(taught)
    answers = taught.task.answer(taught, records)
    whole = {name: float(value[0]) for name, value in taught.task.resampled(answers, records, np.ones((1, 3))).items()}
    said = [["盆", "景", "very", "good", "快", "递", "good"], ["find", "box", "tree", "late", "2"]]
    assert whole["distinct_1"] == pytest.approx(len({*said[0], *said[1]}) / (len(said[0]) + len(said[1])))
    weights = np.random.default_rng(0).multinomial(3, [1 / 3] * 3, size=50).astype(float)
    drawn = taught.task.resampled(answers, records, weights)
    assert all(values.shape == (50,) for values in drawn.values()) and set(drawn) == set(whole)
    assert drawn["distinct_1"].std() > 0 and not drawn["distinct_2"][0] < 0


def test_the_variety_of_resamples_is_about_that_of_all():
    chance = np.random.default_rng(0)
    words = [f"w{int(number)}" for number in chance.zipf(1.6, 4000)]
    answers = [{"text": " ".join(words[i : i + 10]), "turns": []} for i in range(0, 4000, 10)]
    answers = [one | {"turns": [{"number": 0, "text": one["text"]}]} for one in answers]
    records = [{"messages": [{"role": "assistant", "content": "w1"}]}] * 400
    weights = chance.multinomial(400, [1 / 400] * 400, size=200).astype(float)
    drawn, whole = task_named("chat").resampled(answers, records, weights), task_named("chat").resampled(
        answers, records, np.ones((1, 400)))  # fmt: skip
    for name in ("distinct_1", "distinct_2"):
        low, high = np.quantile(drawn[name], (0.025, 0.975))
        assert low < float(whole[name][0]) < high and abs(drawn[name].mean() / float(whole[name][0]) - 1) < 0.03


def test_long_conversations_lose_whole_turns_from_the_front():
    model = model_of(window=48)
    turns = [{"role": ("user", "assistant")[i % 2], "content": f"{'box ' * 4}{i}"} for i in range(12)]
    record = {"messages": [{"role": "system", "content": "be late"}, *turns]}
    told = []
    with listen(told.append):
        pieces = model.task.pieces(model, [record], True)
    (row,), (event,) = pieces.rows, [one for one in told if one.kind == "warning"]
    whole = text(model, row.tokens)
    assert len(row.tokens) <= 48 and whole.startswith("<|im_start|>system\nbe late<|im_end|>\n<|im_start|>user\nbox")
    assert whole.count("user") == 1 + (row.gone == 8) and f"{'box ' * 4}11<|im_end|>" in whole and pieces.cut == 1
    assert event.values == {"conversations": 1, "messages": row.gone} and not row.cut
    asked = model.task.pieces(model, [{"messages": record["messages"][:-1]}], False)
    assert len(asked.rows[0].tokens) <= model.task.room(model) and text(model, asked.rows[0].tokens).endswith(
        "assistant\n"
    )
    assert model.task.answer(model, [record])[0]["measured"]["tokens"] == row.carries.sum()


def test_a_single_turn_that_is_longer_than_the_window():
    model = model_of(window=64)
    for question, answer in (("box " * 300, "good"), ("box", "good " * 300), ("box " * 300, "good " * 300)):
        record = {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        told = []
        with listen(told.append):
            (row,) = model.task.pieces(model, [record], True).rows
        assert len(row.tokens) == 64 and row.carries.any() and row.cut and not row.gone
        assert text(model, row.tokens).startswith("<|im_start|>user\nbox") and "assistant\n" in text(model, row.tokens)
        assert any("cut" in one.text for one in told)
        if answer == "good":
            assert text(model, row.tokens[row.carries]) == "good<|im_end|>"
    assert in_window(np.asarray([False] * 9 + [True] * 9), 8).tolist() == [0, 6, 7, 8, 9, 10, 11, 12]
    assert middle_out(10, 4).tolist() == [0, 7, 8, 9] and middle_out(3, 4).tolist() == [0, 1, 2]


def test_a_conversation_without_an_answer_is_an_error_never_a_silent_zero():
    task = task_named("chat")
    records = [Record(one, "t.jsonl", line) for line, one in enumerate([
        TALKS[0], {"question": "x"}, {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": " "}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "weight": 0}]}, {"title": "x"},
        {"text": "x"}], 1)]  # fmt: skip
    records = [task.normal(record) for record in records]
    with pytest.raises(PenjingError) as caught:
        task.check(records, True)
    found = [(one.code, one.file, one.line) for one in (caught.value, *caught.value.others)]
    assert [(code, line) for code, _, line in found] == [
        ("P-CHAT-027", 2), ("P-CHAT-028", 3), ("P-CHAT-027", 4), ("P-CHAT-020", 5), ("P-CHAT-027", 6)]  # fmt: skip
    assert all(file == "t.jsonl" for _, file, _ in found)
    task.check([record for record in records if "title" not in record], False)
    model = model_of()
    for record in (records[1], records[3]):
        with pytest.raises(PenjingError, match="P-CHAT-027"):
            model.task.pieces(model, [record], True)
    silent = model_of(template="{% for m in messages %}{% if m.role == 'user' %}x{% elif m.content == 'b' %}b<|im_end|>"
                               "{% endif %}{% endfor %}")  # fmt: skip
    with pytest.raises(PenjingError, match="P-CHAT-0(12|27)"):
        silent.task.pieces(silent, normal(silent)[:1], True)


def test_one_stop_token_in_config_generation_config_and_tokenizer(taught, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    taught.save(tmp_path / "m")
    stop = taught.tokenizer.inner.token_to_id("<|im_end|>")
    config, generation = (
        json.loads((tmp_path / "m" / f"{name}.json").read_text()) for name in ("config", "generation_config")
    )
    cutter = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert config["eos_token_id"] == generation["eos_token_id"] == cutter.eos_token_id == taught.tokenizer.end == stop
    again = Model.load(tmp_path / "m")
    records = normal(taught)
    assert again.task == taught.task and again.tokenizer.fingerprint == taught.tokenizer.fingerprint
    assert again.task.answer(again, records) == taught.task.answer(taught, records)
    ids = cutter.apply_chat_template(
        records[0]["messages"][:1], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "m").generate(**ids, max_new_tokens=20, do_sample=False)
    assert cutter.decode(theirs[0, ids["input_ids"].shape[1] :]) == "盆景 very good<|im_end|>"
    assert Writer.load(tmp_path / "m").reply(records[0]["messages"][:1], temperature=0) == "盆景 very good"


@pytest.mark.parametrize("family", ["lstm", "gpt2"])
def test_other_families_learn_too(family):
    model = model_of(family, width=48)
    records = normal(model, [TALKS[0], TALKS[2]] if family == "gpt2" else [
        {"question": "the tree", "answer": "very good"}, {"question": "the box", "answer": "late"}])  # fmt: skip
    teach(model, 150, 1e-2, model.task.pieces(model, records, True))
    answers = model.task.answer(model, records)
    assert float(model.task.scores(model.task.statistics(answers, records).sum(0))["word_f1"]) > 0.9, answers
    assert model.tokenizer.token(model.tokenizer.end) in ("<|im_end|>", "[SEP]")


def test_options_have_an_effect():
    plain = model_of(template="plain")
    assert plain.tokenizer.token(plain.tokenizer.end) == "<|endoftext|>" and "User:" in Chat(plain.tokenizer).render(
        TALKS[0]["messages"])  # fmt: skip
    short, long = model_of(max_new_tokens=3), model_of(max_new_tokens=30)
    asked = [{"messages": TALKS[0]["messages"][:1]}]
    assert len(short.task.answer(short, asked)[0]["text"]) < len(long.task.answer(long, asked)[0]["text"])
    repeats, varied = model_of(max_new_tokens=40), model_of(max_new_tokens=40, repetition_penalty=50.0)
    most = [
        Counter(one.tokenizer.encode(one.task.answer(one, asked)[0]["text"])).most_common(1)[0][1]
        for one in (repeats, varied)
    ]
    assert most[1] < most[0]


def test_unknown_words_are_told():
    cutter = train_tokenizer(["the box"] * 9, kind="wordpiece", size=40, special=["<|im_start|>", "<|im_end|>"])
    model = model_of("lstm")
    model = Model(model.network, None, model.task, cutter, "lstm")
    told = []
    with listen(told.append):
        model.task.pieces(model, normal(model)[2:], True)
    assert any(one.what == "unknown" and "%" in one.text for one in told)


def test_what_a_person_reads(taught):
    records = normal(taught)
    found = taught.task.answer(taught, records)
    lines = ["".join(part for part, _ in line) for line in taught.task.lines(records[1], found[1])]
    shown = 'find({"box": "tree", "late": 2})'
    assert lines == ["system: be very late", "user: find the tree", f"assistant: {shown}", f"→ {shown}"]
    item = taught.task.item(["the tree"])
    (answer,) = taught.task.answer(taught, [item])
    assert list(taught.task.lines(item, answer))[-1] == [("assistant: ", "dim"), ("盆景 very good", "strong")]
