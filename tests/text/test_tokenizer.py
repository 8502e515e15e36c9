"""Tokenizers of the three kinds: round trips, equality with transformers' AutoTokenizer, loading, errors."""

import json
import os
import subprocess
import sys
import types

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from penjing.base.errors import FileError, MachineError, OptionError, TextError
from penjing.base.progress import listen
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_report import tokenizer_report
from penjing.text.tokenizer_training import sample_texts, train_tokenizer

os.environ["TOKENIZERS_PARALLELISM"] = "false"
ENGLISH = [
    "The quick brown fox jumps over the lazy dog, doesn't it?",
    "My order has not arrived yet; where is my order?",
    "Thank you! The parcel came today, and the jumper fits well.",
    "Prices rose by 12.5 % in 2024 - quicker than expected.",
]
CHINESE = [
    "这个酒店的早餐非常好，推荐！",
    "我的订单还没有到，请问什么时候发货？",
    "手机很好用，物流也很快。",
    "客服态度不好，不推荐这个酒店。",
]
TEXTS = (ENGLISH + CHINESE) * 10
PROBES = [
    *ENGLISH,
    *CHINESE,
    "Hello 😀👍🏽 wörld",
    "两  个 spaces",
    "",
    " lead\ntrail ",
    "龘靐 [MASK] <mask> </s>",
    "한국어 ñ \x00 ﬁ",
]
SIZES = {"wordpiece": 400, "bpe": 400, "unigram": 300}


@pytest.fixture(scope="module")
def trained():
    """One tokenizer of each kind."""
    return {kind: train_tokenizer(TEXTS, kind=kind, size=size, spare=2) for kind, size in SIZES.items()}


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("model_type", [None, "bert", "qwen3", "t5", "llama"])
def test_auto_tokenizer_gives_the_same_ids(trained, kind, model_type, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = trained[kind]
    tokenizer.save(tmp_path)
    if model_type:  # a checkpoint's folder: its config.json must not change the tokenizer
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in PROBES:
        assert tokenizer.build(tokenizer.encode(text)) == theirs(text)["input_ids"], text
    assert (theirs.pad_token_id, theirs.mask_token_id, theirs.eos_token_id or tokenizer.end) == (
        tokenizer.pad, tokenizer.mask, tokenizer.end,
    )  # fmt: skip
    assert (theirs.model_max_length, theirs.padding_side) == (512, "right")
    again = Tokenizer.load(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint and again.special == tokenizer.special
    assert [again.encode(text) for text in PROBES] == again.encode_many(PROBES) == tokenizer.encode_many(PROBES)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_bytes_come_back_whole(trained, text):
    assume(not any(trained["bpe"].token(i) in text for i in trained["bpe"].special))
    assert trained["bpe"].decode(trained["bpe"].encode(text)) == text


def test_what_a_kind_makes(trained):
    assert (trained["wordpiece"].prefix, trained["wordpiece"].suffix) == ([2], [3])
    assert (trained["bpe"].prefix, trained["bpe"].suffix, trained["bpe"].unknown) == ([], [], None)
    assert (trained["unigram"].prefix, trained["unigram"].suffix) == ([], [1])
    assert all(one.pad != one.end for one in trained.values())
    for text in ENGLISH[:1]:
        assert trained["wordpiece"].decode(trained["wordpiece"].encode(text)).replace(" ", "") == text.lower().replace(
            " ", ""
        )
        assert trained["unigram"].decode(trained["unigram"].encode(text)) == text


def test_options_have_effects():
    extra = train_tokenizer(
        TEXTS, kind="unigram", size=600, extra_ids=5, byte_fallback=True, multiple=64, lowercase=True
    )
    assert extra.size % 64 == 0 and extra.inner.token_to_id("<extra_id_0>") > extra.inner.token_to_id("<extra_id_4>")
    assert extra.unknown not in extra.encode("龘靐") and extra.decode(extra.encode("A 龘靐")) == "a 龘靐"
    cased = train_tokenizer(TEXTS, kind="wordpiece", size=400, lowercase=False, longest=64)
    assert cased.config["model_max_length"] == 64 and "T" in cased.decode(cased.encode("The"))
    few = train_tokenizer(TEXTS, kind="wordpiece", size=400, alphabet=20)
    assert few.unknown in few.encode(CHINESE[0])
    assert (
        train_tokenizer(TEXTS, kind="bpe", size=400, least=50).size < train_tokenizer(TEXTS, kind="bpe", size=400).size
    )
    half = [
        train_tokenizer(ENGLISH + CHINESE, kind="bpe", size=300, sample_bytes=150, seed=s).fingerprint for s in (0, 1)
    ]
    assert half[0] != half[1]


def test_a_small_text_says_that_the_size_was_not_reached():
    told = []
    with listen(told.append):
        assert train_tokenizer(["a b"], kind="bpe", size=5000).size < 5000
    assert any(event.kind == "note" and "5000" in event.text for event in told)


def test_sample_is_bounded_even_and_in_order():
    texts = [f"{i:04d}" for i in range(2000)]
    sample = sample_texts(texts, 400, seed=0)
    assert len(sample) == 100 and sample == sorted(sample) and 700 < sum(map(int, sample)) / 100 < 1300
    assert sample_texts(texts, 10**6, seed=1) == texts
    assert sample_texts(["x" * 200_000], 10**6, 0) == ["x" * 65536] * 3 + ["x" * (200_000 - 3 * 65536)]


def test_training_is_the_same_in_each_process():
    code = (
        "from tests.text.test_tokenizer import *\n"
        "print([train_tokenizer(TEXTS, kind=kind, size=size).fingerprint for kind, size in list(SIZES.items())[:2]])"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1 and len(runs.pop()) > 130


def test_word_starts(trained):
    tokens, starts = trained["wordpiece"].word_starts("jumpers, fox")
    assert starts == [not trained["wordpiece"].token(i).startswith("##") for i in tokens]
    for tokenizer in trained.values():
        for text in ("the unexpectedly brown dog", "one two"):
            tokens, starts = tokenizer.word_starts(text)
            assert tokens == tokenizer.encode(text) and sum(starts) == len(text.split())
        many = tokenizer.word_starts_many(PROBES)
        alone = [tokenizer.word_starts(text) for text in PROBES]
        assert [(tokens.tolist(), starts.tolist()) for tokens, starts in many] == alone


def test_chinese_words_are_joined(trained, monkeypatch):
    from penjing.text import word_starts

    words = types.SimpleNamespace(cut=lambda run: [run[i : i + 2] for i in range(0, len(run), 2)], setLogLevel=print)
    word_starts.jieba.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", words)
    tokens, starts = trained["wordpiece"].word_starts("酒店早餐 好", chinese_words=True)
    assert starts == [True, False, True, False, True] and len(tokens) == 5
    for tokenizer in trained.values():
        apart, joined = tokenizer.word_starts(CHINESE[0])[1], tokenizer.word_starts(CHINESE[0], chinese_words=True)[1]
        assert sum(joined) <= sum(apart)
    word_starts.jieba.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(MachineError, match="P-SYSTEM-001"):
        trained["wordpiece"].word_starts("酒店", chinese_words=True)


def test_loads_the_files_of_gpt2_and_bert(trained, tmp_path):
    model = json.loads(trained["bpe"].inner.to_str())["model"]
    vocabulary = {token.replace("<pad>", "<other>"): number for token, number in model["vocab"].items()}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + merges + "\n", encoding="utf-8")
    told = []
    with listen(told.append):
        loaded = Tokenizer.load(tmp_path)
    assert any("no padding token" in event.text for event in told) and loaded.pad == loaded.end
    assert loaded.decode(loaded.encode(CHINESE[0])) == CHINESE[0]
    assert Tokenizer.load(tmp_path / "merges.txt").fingerprint == loaded.fingerprint
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##s", "店"]
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    bert = Tokenizer.load(tmp_path / "bert")
    assert bert.build(bert.encode("Hellos店")) == [2, 5, 6, 7, 3]
    (tmp_path / "bert" / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert Tokenizer.load(tmp_path / "bert").encode("Hello") == [1]


def test_padding_baked_in_is_taken_out(trained, tmp_path):
    trained["bpe"].save(tmp_path)
    table = json.loads((tmp_path / "tokenizer.json").read_text())
    table["padding"] = {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 3,
                        "pad_type_id": 0, "pad_token": "<pad>"}  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(table))
    assert Tokenizer.load(tmp_path).encode("a") == trained["bpe"].encode("a")


def raises(code, call, kind=TextError):
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.code == code
    assert code in caught.value.text("zh") and "\n" in caught.value.text("en")


def test_errors_of_files(trained, tmp_path):
    raises("P-FILE-001", lambda: Tokenizer.load(tmp_path / "none"), FileError)
    raises("P-TOKEN-001", lambda: Tokenizer.load(tmp_path))
    (tmp_path / "other.json").write_text("{}")
    raises("P-TOKEN-001", lambda: Tokenizer.load(tmp_path / "other.json"))
    for broken in ("{", "[]", '{"model": {"type": "no"}, "added_tokens": []}'):
        (tmp_path / "tokenizer.json").write_text(broken)
        raises("P-TOKEN-002", lambda: Tokenizer.load(tmp_path))
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    raises("P-TOKEN-002", lambda: Tokenizer.load(tmp_path))
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    raises("P-TOKEN-002", lambda: Tokenizer.load(tmp_path / "vocab.txt"))
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1}')
    for merges, code in (("a b c", "P-TOKEN-002"), ("a b", "P-TOKEN-002"), ("", "P-TOKEN-003")):
        (tmp_path / "merges.txt").write_text(merges)
        raises(code, lambda: Tokenizer.load(tmp_path / "vocab.json"))


def test_errors_of_ids_and_training(trained):
    raises("P-TOKEN-004", lambda: trained["bpe"].decode([0, 10**6, -1]))
    raises("P-TOKEN-004", lambda: trained["bpe"].token(10**6))
    for kind in SIZES:
        raises("P-TOKEN-005", lambda kind=kind: train_tokenizer(["", " \n"], kind=kind, size=300))
        raises("P-TOKEN-006", lambda kind=kind: train_tokenizer(TEXTS, kind=kind, size=8))
    raises("P-TOKEN-008", lambda: train_tokenizer(TEXTS, kind="bpe", size=400, lowercase=True), OptionError)
    raises("P-OPTION-004", lambda: train_tokenizer(TEXTS, kind="wordpeice", size=400), OptionError)


def test_report(trained):
    for tokenizer in trained.values():
        report = json.loads(json.dumps(tokenizer_report(tokenizer, PROBES)))
        assert report["english"]["bytes_per_token"] > 1 and report["chinese"]["characters"] > 40
        assert report["english"]["tokens_per_word"] >= 1 and sum(report["scripts"].values()) == tokenizer.size
        assert len(report["longest"][0]) >= len(report["longest"][-1])
    unknown = tokenizer_report(trained["wordpiece"], ["龘 the"])
    assert unknown["all"]["unknown_share"] == 0.5 and unknown["unknown_characters"] == [["龘", 1]]
    assert tokenizer_report(trained["bpe"], [])["all"]["bytes_per_token"] is None
