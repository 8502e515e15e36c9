"""Tokenizers of each family, as others ship them: ids and types of one text and of two equal AutoTokenizer's."""

import json
import os

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from penjing.base.errors import TextError
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_frame import shares
from penjing.text.tokenizer_training import train_tokenizer

os.environ["TOKENIZERS_PARALLELISM"] = "false"
TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "我的订单还没有到，请问什么时候发货？",
    "It's 12.5 % in 2024!",
] * 12
PROBES = [
    "The quick fox, doesn't it?", "订单 2024 发货！", " lead\ntrail ", "", "Hello 😀 wörld", "a</s>b <mask> <s> [SEP] x",
    "two  spaces", "Café ÉTÉ", "<|im_start|>user\nhi<|im_end|>",
]  # fmt: skip


def agree(folder, **options):
    """Ours and theirs on one text and on two; again after we saved it."""
    from transformers import AutoTokenizer

    theirs, ours = AutoTokenizer.from_pretrained(folder, **options), Tokenizer.load(folder)
    ours.save(folder / "saved")
    if (folder / "config.json").exists():
        (folder / "saved" / "config.json").write_bytes((folder / "config.json").read_bytes())
    saved, again = AutoTokenizer.from_pretrained(folder / "saved"), Tokenizer.load(folder / "saved")
    for text in PROBES:
        wanted = theirs(text)["input_ids"]
        assert ours.build(ours.encode(text)) == again.build(again.encode(text)) == wanted, text
        assert saved(text)["input_ids"] == wanted, text
    for first, second in zip(PROBES, [text for text in PROBES[1:] if text], strict=False):
        wanted = theirs(first, second)
        tokens, types = ours.build_pair(ours.encode(first), ours.encode(second))
        assert tokens == wanted["input_ids"] and types == wanted.get("token_type_ids", [0] * len(types)), first
        assert (tokens, types) == again.build_pair(again.encode(first), again.encode(second))
        assert dict(saved(first, second)) == dict(wanted) or "token_type_ids" not in wanted
    return ours, theirs


@pytest.fixture(scope="module")
def bpe():
    """The vocabulary and merges of a byte-level BPE."""
    model = json.loads(train_tokenizer(TEXTS, kind="bpe", size=400).inner.to_str())["model"]
    plain = [token for token in model["vocab"] if not token.startswith("<")]
    return plain, model["merges"]


def pair_of_files(folder, bpe, special, config=None, model_type=None):
    """vocab.json and merges.txt as a family ships them."""
    plain, merges = bpe
    vocabulary = {token: number for number, token in enumerate([*special, *plain])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = "\n".join(" ".join(merge) for merge in merges)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}\n", encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if model_type:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.mark.parametrize(
    ("special", "config", "model_type"),
    [
        (["<|endoftext|>"], {"tokenizer_class": "GPT2Tokenizer"}, "gpt2"),
        (["<|endoftext|>"], {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}, "gpt2"),
        (["<|endoftext|>"], None, "gpt2"),
        (["<|endoftext|>"], {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_eos_token": True}, "gpt2"),
        (ROBERTA, {"tokenizer_class": "RobertaTokenizer"}, "roberta"),
        (ROBERTA, {"tokenizer_class": "RobertaTokenizerFast", "add_prefix_space": True}, "roberta"),
        (ROBERTA, None, "roberta"),
        (ROBERTA, None, "bart"),
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], {"tokenizer_class": "Qwen2Tokenizer"}, "qwen2"),
    ],
)
def test_vocabulary_and_merges(special, config, model_type, bpe, tmp_path):
    ours, theirs = agree(pair_of_files(tmp_path, bpe, special, config, model_type))
    assert ours.mask == theirs.mask_token_id or "<mask>" not in special
    if special is ROBERTA:
        assert (ours.prefix, ours.suffix, ours.frame.size, ours.typed) == ([0], [2], 4, False)


def test_added_tokens_stand_under_their_numbers(bpe, tmp_path):
    size = len(bpe[0]) + 1
    chat = {
        str(size + i): {"content": token, "special": True} for i, token in enumerate(("<|im_start|>", "<|im_end|>"))
    }
    config = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": chat}
    ours, _ = agree(pair_of_files(tmp_path, bpe, ["<|endoftext|>"], config, "qwen2"))
    assert ours.inner.token_to_id("<|im_end|>") == size + 1 and size + 1 in ours.special
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<extra>": size + 9}))
    with pytest.raises(TextError, match="P-TOKEN-020"):
        Tokenizer.load(tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps(["<extra>"]))
    with pytest.raises(TextError, match="P-TOKEN-002"):
        Tokenizer.load(tmp_path)


def test_a_class_that_nobody_knows(bpe, tmp_path):
    pair_of_files(tmp_path, bpe, ROBERTA, {"tokenizer_class": "RobretaTokenizer"})
    with pytest.raises(TextError, match="P-TOKEN-021"):
        Tokenizer.load(tmp_path)
    pair_of_files(tmp_path, bpe, ["<|endoftext|>"], {"tokenizer_class": "RobertaTokenizer"})
    with pytest.raises(TextError, match="P-TOKEN-002"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("name", ["bert", "distilbert", "electra"])
def test_wordpiece_in_a_file_and_alone(name, lowercase, tmp_path):
    """The config's case wins over tokenizer.json's, as in transformers."""
    made = train_tokenizer([*TEXTS, "Café"], kind="wordpiece", size=300, lowercase=lowercase)
    made.save(tmp_path)
    table = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    table["normalizer"]["lowercase"] = not lowercase
    (tmp_path / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name}))
    ours, _ = agree(tmp_path)
    assert (ours.encode("THE") == ours.encode("the")) is lowercase and ours.typed
    words = sorted(table["model"]["vocab"], key=table["model"]["vocab"].__getitem__)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    alone, _ = agree(tmp_path)
    assert alone.encode_many(PROBES[:5]) == ours.encode_many(PROBES[:5])


def llama(folder, form, **config):
    """A toy of Llama's: pieces with a mark for spaces, bytes for what is unknown."""
    letters = sorted(set("".join(TEXTS).replace(" ", "▁")))
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters, "▁t", "▁th", "▁the"]
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e")]
    inner = tokenizers.Tokenizer(
        models.BPE({token: i for i, token in enumerate(vocabulary)}, merges, unk_token="<unk>", fuse_unk=True,
                   byte_fallback=True)
    )  # fmt: skip
    if form == "legacy":
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        inner.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=form, split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:0", pair="<s>:0 $A:0 <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    inner.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names | config))
    return folder


@pytest.mark.parametrize("form", ["legacy", "first", "always", "never"])
@pytest.mark.parametrize("flags", [{}, {"add_bos_token": False, "add_eos_token": True, "legacy": False}])
def test_llama(form, flags, tmp_path):
    """What tokenizer.json says holds, as in transformers: the flags speak of files without it."""
    ours, _ = agree(llama(tmp_path, form, tokenizer_class="PreTrainedTokenizerFast", **flags))
    assert (ours.prefix, ours.suffix) == ([1], [])


def test_t5_and_modernbert(tmp_path):
    for kind, name in (("unigram", "t5"), ("wordpiece", "modernbert")):
        (tmp_path / name).mkdir()
        train_tokenizer(TEXTS, kind=kind, size=200).save(tmp_path / name)
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": name}))
        agree(tmp_path / name)


def test_pairs_are_cut_as_transformers_cuts_them(tmp_path):
    from transformers import AutoTokenizer

    ours = train_tokenizer(TEXTS, kind="wordpiece", size=300)
    ours.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for first in range(0, 14, 3):
        for second in range(1, 15, 2):
            one, other = " ".join(["fox"] * first), " ".join(["dog"] * second)
            a, b = ours.encode(one), ours.encode(other)
            for most in (7, 8, 13, 20, 21, 40):
                wanted = theirs(one, other, truncation=True, max_length=most)
                kept = shares(len(a), len(b), most - ours.frame.size)
                tokens, types = ours.build_pair(a[: kept[0]], b[: kept[1]])
                assert (tokens, types) == (wanted["input_ids"], wanted["token_type_ids"]), (first, second, most)


def buffer(*fields):
    """A protocol buffer of (number, value): texts and bytes, whole numbers, floats."""
    import struct

    def whole(value):
        return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + whole(value >> 7)

    found = b""
    for number, value in fields:
        if isinstance(value, float):
            found += whole(number << 3 | 5) + struct.pack("<f", value)
        elif isinstance(value, int):
            found += whole(number << 3) + whole(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            found += whole(number << 3 | 2) + whole(len(data)) + data
    return found


def sentencepiece(path, pieces, kind):
    """A SentencePiece model of (text, score); kind: 1 unigram, 2 BPE."""
    parts = [(1, buffer((1, text), (2, score))) for text, score in pieces]
    path.write_bytes(buffer(*parts, (2, buffer((3, kind), (40, 0))), (3, buffer((1, "identity"), (3, 1)))))
    return path


@pytest.mark.parametrize("form", ["first", "always", "never"])
def test_llama_from_its_pieces(form, tmp_path):
    """The same ids as the tokenizer.json of the same vocabulary."""
    ours = Tokenizer.load(llama(tmp_path, form))
    vocabulary = sorted(ours.inner.get_vocab(), key=ours.inner.get_vocab().__getitem__)
    (tmp_path / "alone").mkdir()
    flags = {"first": {}, "always": {"legacy": True}, "never": {"add_prefix_space": False}}[form]
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, **flags}
    (tmp_path / "alone" / "tokenizer_config.json").write_text(json.dumps(config))
    sentencepiece(tmp_path / "alone" / "tokenizer.model", [(text, -float(i)) for i, text in enumerate(vocabulary)], 2)
    alone = Tokenizer.load(tmp_path / "alone")
    for text in PROBES:
        assert alone.build(alone.encode(text)) == ours.build(ours.encode(text)), text
        assert form == "never" or alone.decode(alone.encode(text)) == ours.decode(ours.encode(text))
    (tmp_path / "alone" / "tokenizer_config.json").unlink()
    (tmp_path / "alone" / "config.json").write_text('{"model_type": "llama"}')
    assert Tokenizer.load(tmp_path / "alone").prefix == []  # as transformers, where no flag stands


def test_t5_and_xlm_roberta_from_their_pieces(tmp_path):
    table = json.loads(train_tokenizer(TEXTS, kind="unigram", size=200).inner.to_str())["model"]["vocab"]
    rest = [(text, score) for text, score in table if not text.startswith("<")]
    t5, xlm = tmp_path / "t5", tmp_path / "xlm"
    for folder, name, head, model_type in (
        (t5, "spiece.model", ("<pad>", "</s>", "<unk>"), "t5"),
        (xlm, "sentencepiece.bpe.model", ("<unk>", "<s>", "</s>"), "xlm-roberta"),
    ):
        folder.mkdir()
        sentencepiece(folder / name, [*((text, 0.0) for text in head), *rest], 1)
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    one, other = Tokenizer.load(t5), Tokenizer.load(xlm)
    assert (one.size, one.pad, one.suffix) == (len(rest) + 103, 0, [1])
    assert (
        one.inner.token_to_id("<extra_id_0>") == one.size - 1
        and one.inner.token_to_id("<extra_id_99>") == len(rest) + 3
    )
    assert (other.prefix, other.suffix, other.pad, other.frame.size) == ([0], [2], 1, 4)
    assert other.mask == other.size - 1 == len(rest) + 4
    for text in PROBES[:4]:
        known = [(a, b) for a, b in zip(one.encode(text), other.encode(text), strict=True) if a != one.unknown]
        assert all(b == a + 1 for a, b in known) and (known or not text)
    assert one.decode(one.encode("The quick fox")) == "The quick fox"


def test_broken_pieces(tmp_path):
    good = sentencepiece(tmp_path / "spiece.model", [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("a", -1.0)], 1)
    whole = good.read_bytes()
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    assert Tokenizer.load(tmp_path).size == 104
    for broken in (b"", whole[:9], b"\xff" * 30, b"hello world"):
        good.write_bytes(broken)
        with pytest.raises(TextError, match="P-TOKEN-002"):
            Tokenizer.load(tmp_path)
    good.write_bytes(whole)
    for model_type in ("bert", "llama"):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        with pytest.raises(TextError, match="P-TOKEN-021"):
            Tokenizer.load(tmp_path)
