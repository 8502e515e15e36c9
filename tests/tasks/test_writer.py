"""The writer: prompts and conversations to text, its defaults, stop strings, every kind of network, and what cannot be."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import tokenizer, toy_model

import penjing
from penjing.base.errors import FileError, GenerateError, ModelError, OptionError, TextError
from penjing.base.progress import listen
from penjing.generate.options import GenerateOptions
from penjing.generate.rules import Rule
from penjing.model.size import fresh_config
from penjing.model.transformer import Transformer
from penjing.tasks.defaults import Defaults, read_defaults
from penjing.tasks.writer import Writer
from penjing.text.history import fitted
from penjing.text.tokenizer import Tokenizer

PROMPTS = ["the parcel", "盆景", "", "the tree box was very late today and", "fine 😀"]
CHAT = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "the parcel"}]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A decoder, an encoder-decoder and an LSTM, saved; the weights are random, so every token is likely."""
    place = tmp_path_factory.mktemp("writers")
    toy_model("causal", "llama", seed=1, max_tokens=64).save(place / "llama")
    toy_model("causal", "lstm", seed=2).save(place / "lstm")
    write_t5(place / "t5")
    toy_model("masked", "bert").save(place / "bert")
    return place


def write_t5(folder):
    """An encoder-decoder in the Hugging Face layout."""
    from penjing.model.checkpoint import write_checkpoint

    cutter = tokenizer("unigram")
    config = fresh_config("t5", vocab_size=cutter.size, width=32, layers=1, heads=2, max_tokens=64)
    config = dataclasses.replace(config, decoder_layers=1, encoder_layers=1, decoder_start=cutter.pad)
    ids = {"eos_token_id": cutter.end, "pad_token_id": cutter.pad}
    write_checkpoint(folder, Transformer.new(config, 3), family="t5", purpose="seq2seq", extra=ids)
    cutter.save(folder)


@pytest.fixture(scope="module")
def writers(folders):
    return {name: Writer.load(folders / name) for name in ("llama", "lstm", "t5")}


@pytest.mark.parametrize("name", ["llama", "lstm", "t5"])
def test_writing_streaming_and_answers_agree(writers, name):
    writer = writers[name]
    options = {"max_new_tokens": 12, "seed": 3, "temperature": 1.0}
    texts = writer.write(PROMPTS, **options)
    assert texts == writer.write(PROMPTS, **options) and len(set(texts)) > 1
    assert texts == ["".join(writer.stream(prompt, **options)) for prompt in PROMPTS]
    for prompt, text, (answer,) in zip(PROMPTS, texts, writer.answers(PROMPTS, **options), strict=True):
        assert answer.text == text and len(answer.tokens) == len(answer.log_probabilities) <= 12
        assert answer.reason in ("stop", "length") and answer.stopped_by is None and answer.top is None
        whole = writer.tokenizer.decode([*([] if name == "t5" else writer.prompt(prompt)), *answer.tokens])
        assert whole.endswith(text)
    many = writer.write(PROMPTS[:2], returns=3, **options)
    assert len(many) == 6 and many[::3] == texts[:2]
    assert writer.answers(["the"], top_log_probabilities=2, **options)[0][0].top


def test_a_stream_says_why_it_ended_and_can_be_closed(writers):
    stream = writers["llama"].stream("the", max_new_tokens=5, seed=1)
    assert stream.reason is None and "".join(stream) and stream.reason == "length"
    stream = writers["llama"].stream("the", max_new_tokens=50, seed=1)
    next(stream)
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)


@pytest.mark.parametrize("name", ["llama", "lstm", "t5"])
def test_stop_strings_end_an_answer(writers, name):
    writer = writers[name]
    options = {"max_new_tokens": 30, "seed": 5, "temperature": 1.0}
    text = writer.write(["the parcel"], **options)[0]
    middle = text[len(text) // 2 : len(text) // 2 + 3]
    first = text.index(middle)
    for keep in (False, True):
        wanted = text[: first + len(middle) * keep]
        (answer,) = writer.answers(["the parcel", "box"], stop=["no such text", middle], keep_stop=keep, **options)[0]
        assert (answer.text, answer.reason, answer.stopped_by) == (wanted, "stop", middle)
        stream = writer.stream("the parcel", stop=[middle], keep_stop=keep, **options)
        assert "".join(stream) == wanted and stream.reason == "stop"
    beams = writer.answers(["the parcel"], beams=3, returns=2, max_new_tokens=8, stop=[middle])[0]
    assert all(middle not in answer.text and answer.score is not None for answer in beams)


def test_stop_tokens_end_an_answer(folders):
    class End(Rule):
        def __init__(self, token):
            self.token = token

        def start(self, prompts):
            self.made = 0

        def apply(self, scores):
            scores[:, self.token] = 1e6 if self.made == 3 else -torch.inf
            return scores

        def accept(self, tokens):
            self.made += 1

    writer = Writer.load(folders / "llama")
    for prompts in (["the"], ["the", "box"]):
        answers = writer.answers(prompts, rules=[End(writer.tokenizer.end)], max_new_tokens=9)
        assert [(len(one.tokens), one.reason) for (one,) in answers] == [(3, "stop")] * len(prompts)
    stream = writer.stream("the", rules=[End(writer.tokenizer.end)], max_new_tokens=9)
    assert writer.tokenizer.token(writer.tokenizer.end) not in "".join(stream) and stream.reason == "stop"


def test_replies(writers):
    writer = writers["llama"]
    assert writer.chat.built_in == "chatml"
    end = writer.tokenizer.inner.token_to_id("<|im_end|>")
    assert end in writer.options({}, chat=True).stop_tokens and end not in writer.options({}).stop_tokens
    options = {"max_new_tokens": 8, "seed": 1}
    reply = writer.reply(CHAT, **options)
    assert reply == "".join(writer.stream(CHAT, **options)) != writer.reply(CHAT[1:], **options)
    tools = [{"type": "function", "function": {"name": "f"}}]
    long = {**options, "max_new_tokens": 4}
    with pytest.raises(GenerateError, match="P-GENERATE-007"):
        writer.reply([{"role": "user", "content": "the " * 99}], tools, **long)
    with pytest.raises(TextError, match="P-CHAT-003"):
        writer.reply([{"role": "robot", "content": "x"}])
    named = Writer(writer.network, writer.tokenizer, template="{{ messages[-1].content }}{{ mark }}")
    assert named.question(CHAT, template_options={"mark": "!"}) == writer.tokenizer.encode("the parcel!")
    plain = writers["t5"]
    text = plain.reply(CHAT, seed=1, temperature=1.0, max_new_tokens=8)
    assert plain.chat.built_in == "plain" and text == text.strip()


def test_the_oldest_turns_leave_a_full_window(writers):
    writer = writers["llama"]
    turn = [{"role": "user", "content": "the"}, {"role": "assistant", "content": "box"}]
    messages, before = [CHAT[0], *turn * 9, CHAT[1]], 1
    for room in (0, 10, 20, 28):
        kept, dropped = writer.fitted(messages, room)
        assert kept[0] == CHAT[0] and kept[-1] == CHAT[1] and kept[1]["role"] == "user"
        assert len(kept) + dropped == len(messages) and dropped % 2 == 0 and dropped >= before
        assert len(writer.question(kept)) <= 64 - room < len(writer.question([kept[0], *turn, *kept[1:]]))
        before = dropped
    assert writer.fitted(CHAT, 64) == (CHAT, 0)  # the last turn stays whatever it takes
    assert fitted(writer.chat, [*turn[1:], *turn], 1) == (turn, 1)
    assert writers["lstm"].window is None and writers["lstm"].fitted(messages, 9) == (messages, 0)


def test_scores_are_the_networks(writers):
    writer = writers["llama"]
    (found,) = writer.score(["the parcel was late"])
    (answer,) = writer.answers(["the"], max_new_tokens=6, seed=2, stop_tokens=[])[0]
    tokens = writer.prompt("the")
    text = writer.tokenizer.decode([*tokens, *answer.tokens])
    if writer.prompt(text) == [*tokens, *answer.tokens]:
        assert writer.score([text])[0][len(tokens) - 1 :] == pytest.approx(answer.log_probabilities, abs=1e-4)
    assert len(found) == len(writer.prompt("the parcel was late")) - 1 and max(found) < 0
    pairs = writers["t5"].score(["fine", "bad"], ["the parcel", "the box"])
    assert [len(one) for one in pairs] == [len(writers["t5"].target(text)) - 1 for text in ("fine", "bad")]


def test_tokens_that_the_tokenizer_lacks_never_come(folders):
    cutter = tokenizer("bpe")
    config = fresh_config("llama", vocab_size=cutter.size + 500, width=32, layers=1, heads=2, max_tokens=64)
    writer = Writer(Transformer.new(config, 0), cutter)
    tokens = [token for (one,) in writer.answers(PROMPTS, max_new_tokens=20, seed=1) for token in one.tokens]
    assert tokens and max(tokens) < cutter.size
    small = fresh_config("llama", vocab_size=cutter.size - 1, width=32, layers=1, heads=2, max_tokens=64)
    with pytest.raises(ModelError, match="P-TASK-004"):
        Writer(Transformer.new(small, 0), cutter)


def test_an_answer_begins_with_the_token_that_the_makers_force(folders, tmp_path):
    write_t5(tmp_path / "forced")
    cutter = tokenizer("unigram")
    sign = cutter.encode("box")[-1]
    (tmp_path / "forced" / "generation_config.json").write_text(json.dumps({"forced_bos_token_id": sign}))
    writer = Writer.load(tmp_path / "forced")
    for (answer,) in writer.answers(["the parcel", "late"], max_new_tokens=4):
        assert answer.tokens[0] == sign and answer.log_probabilities[0] == 0.0
    assert writer.options({}).temperature == 0 and writer.defaults.decoder_start == cutter.pad


def test_what_cannot_write(folders, tmp_path):
    with pytest.raises(ModelError, match="P-MODEL-009"):
        Writer.load(folders / "bert")
    with pytest.raises(ModelError, match="P-MODEL-009"):
        Writer(toy_model("masked", "bert").network, tokenizer())
    with pytest.raises(FileError, match="P-FILE-001"):
        Writer.load(tmp_path / "nothing")
    writer = Writer.load(folders / "llama")
    for options, code in (
        ({"tempreature": 1}, "P-OPTION-001"), ({"temperature": -1}, "P-OPTION-002"), ({"beams": 2, "top_k": 3}, "P-OPTION-006"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=code):
            writer.write(["x"], **options)
    with pytest.raises(GenerateError, match="P-GENERATE-007"):
        writer.stream("the " * 99).__next__()
    assert writer.write([]) == [] and writer.write(["\ud800"], max_new_tokens=1, seed=0)
    assert penjing.Writer is Writer


def test_defaults_are_read_and_what_is_strange_is_told():
    told = []
    with listen(told.append):
        found = read_defaults({
            "do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 1.0, "num_beams": 1, "length_penalty": 2.0,
            "no_repeat_ngram_size": 3, "bad_words_ids": [[5]], "eos_token_id": [7, 8, 7], "min_p": None,
            "penalty_alpha": 0.5, "guidance": 2, "pad_token_id": 0, "early_stopping": "never", "max_length": 20,
        }, False)  # fmt: skip
    wanted = {"temperature": 0.6, "top_k": 20, "no_repeat_ngram": 3, "bad_words": [[5]]}
    assert (found.options, found.stop_tokens) == (wanted, (7, 8))
    assert len(told) == 1 and told[0].values["names"] == ["guidance", "penalty_alpha"]
    assert read_defaults({"do_sample": False, "top_k": 9}, False).options == {"temperature": 0.0}
    theirs = {"num_beams": 4, "early_stopping": True, "max_length": 61, "min_length": 11}
    wanted = {"beams": 4, "early_stopping": True, "max_new_tokens": 60, "min_new_tokens": 10}
    assert read_defaults(theirs, True).options == wanted
    assert read_defaults({}, True).options == {"temperature": 0.0} and read_defaults({}, False).options == {}
    with pytest.raises(FileError, match="P-FILE-004"):
        read_defaults({"eos_token_id": "</s>"}, False)


OURS = st.fixed_dictionaries({}, optional={
    "temperature": st.sampled_from([0.0, 0.7]), "top_k": st.just(5), "top_p": st.just(0.9), "beams": st.sampled_from([1, 3]),
    "length_penalty": st.just(2.0), "early_stopping": st.just(True), "max_new_tokens": st.just(4), "seed": st.just(1),
    "min_new_tokens": st.just(9), "top_log_probabilities": st.just(2),
})  # fmt: skip
THEIRS = st.sampled_from([
    {}, {"temperature": 0.0}, {"temperature": 0.6, "top_k": 20, "top_p": 0.9}, {"min_new_tokens": 20},
    {"beams": 4, "early_stopping": True, "length_penalty": 0.6}, {"beams": 2, "min_new_tokens": 5},
])  # fmt: skip


@settings(max_examples=300)
@given(given=OURS, theirs=THEIRS)
def test_defaults_never_contradict_what_is_asked_for(given, theirs):
    """What is right by itself is right over any defaults."""
    ends = {"stop_tokens": (1,)}
    try:
        GenerateOptions(**given, **ends)
    except (OptionError, GenerateError):
        return
    settled = Defaults(theirs).settled(given)
    if "seed" in given and (settled.get("temperature") == 0 or settled.get("beams", 1) > 1):
        return  # the seed alone asks for no chance, and says so
    made = GenerateOptions(**settled, **ends)
    assert all(getattr(made, name) == value for name, value in given.items())


def test_the_template_comes_along(tmp_path, folders):
    writer = Writer.load(folders / "llama")
    cutter = Tokenizer(writer.tokenizer.inner, writer.tokenizer.config | {"chat_template": "{{ messages[0].content }}"})
    toy = toy_model("causal", "llama")
    toy.tokenizer = cutter
    toy.save(tmp_path / "chatty")
    again = Writer.load(tmp_path / "chatty", dtype="bfloat16")
    assert again.chat.built_in is None and again.chat.render(CHAT) == "be kind"
    assert next(again.network.parameters()).dtype == torch.bfloat16
    assert isinstance(again.reply(CHAT, max_new_tokens=3, seed=1), str)
