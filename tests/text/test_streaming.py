"""Streaming: pieces add up to the whole text for every kind of tokenizer, no half character, stop strings across tokens."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models, pre_tokenizers

from penjing.base.errors import TextError
from penjing.text.streaming import StopTexts, TextPieces, TextStream, streamed
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_training import train_tokenizer

TEXTS = ["The quick brown fox, isn't it? 12.5 %", "这个酒店的早餐非常好，推荐！", "Hello 😀👍🏽 wörld  two spaces"] * 9
LLAMA = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
)


def bytes_with(decoder):
    """A tokenizer with all 256 bytes, some words, words that are only spaces, and a token without text."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁", "▁▁", "▁a", "a", "▁你", "好", "b▁", ""]
    inner = Inner(models.BPE({word: n for n, word in enumerate(words)}, [], byte_fallback=True, unk_token="<unk>"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoder
    inner.add_special_tokens(["<s>", "</s>"])
    return Tokenizer(inner)


@pytest.fixture(scope="module")
def kinds():
    """A tokenizer with each decoder in use."""
    found = {kind: train_tokenizer(TEXTS, kind=kind, size=320) for kind in ("bpe", "wordpiece", "unigram")}
    found["unigram with bytes"] = train_tokenizer(TEXTS, kind="unigram", size=420, byte_fallback=True)
    found["llama"] = bytes_with(LLAMA)
    found["metaspace"] = bytes_with(decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]))
    found["suffix"] = Tokenizer(Inner(models.BPE({"a</w>": 0, "b": 1, "<unk>": 2, "c</w>": 3}, [])))
    found["suffix"].inner.decoder = decoders.BPEDecoder("</w>")
    found["none"] = Tokenizer(Inner(models.WordLevel({"a": 0, "b": 1, "<unk>": 2}, unk_token="<unk>")))
    return found


NAMES = ["bpe", "wordpiece", "unigram", "unigram with bytes", "llama", "metaspace", "suffix", "none"]


@pytest.mark.parametrize("kind", NAMES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pieces_add_up(kinds, kind, data):
    tokenizer = kinds[kind]
    tokens = data.draw(st.lists(st.integers(0, tokenizer.size - 1), max_size=24))
    pieces = list(streamed(tokenizer, tokens))
    assert "".join(pieces) == tokenizer.decode(tokens) and all(pieces)
    cut = data.draw(st.integers(0, len(tokens)))
    whole, first = tokenizer.decode(tokens), tokenizer.decode(tokens[:cut])
    if not first.endswith("\ufffd") and kind not in ("llama", "metaspace", "unigram with bytes"):
        assert first + "".join(streamed(tokenizer, tokens[cut:], before=tokens[:cut])) == whole


@pytest.mark.parametrize("kind", ["bpe", "llama", "unigram with bytes"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=20))
def test_no_half_character_is_shown(kinds, kind, text):
    tokenizer = kinds[kind]
    tokens = tokenizer.encode("😀" + text + "好")
    whole, shown = tokenizer.decode(tokens), ""
    for piece in streamed(tokenizer, tokens):
        assert "\ufffd" not in piece
        shown += piece
        assert whole.startswith(shown)
    assert shown == whole


def test_half_characters_wait_and_come_at_the_end(kinds):
    for kind, tokens in (("bpe", kinds["bpe"].encode("😀")), ("llama", [3 + byte for byte in "😀".encode()])):
        pieces = TextPieces(kinds[kind])
        assert [pieces.push(token) for token in tokens[:-1]] == [""] * (len(tokens) - 1)
        assert "\ufffd" in pieces.finish()


def test_spaces_follow_the_text_before(kinds):
    for kind in ("unigram", "llama", "wordpiece"):
        tokenizer = kinds[kind]
        first = tokenizer.encode("a")
        second = tokenizer.encode("a a")[len(first) :]
        assert "".join(streamed(tokenizer, second, before=[*first, *tokenizer.suffix])) == " a"


def test_ids_outside_the_vocabulary(kinds):
    with pytest.raises(TextError, match="P-TOKEN-004"):
        TextPieces(kinds["bpe"]).push(kinds["bpe"].size)


STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


@settings(max_examples=300)
@given(pieces=st.lists(st.text("ab\n", max_size=5), max_size=12), stops=STOPS, keep=st.booleans())
def test_stop_strings_do_not_mind_where_pieces_part(pieces, stops, keep):
    def cut(parts):
        one, shown = StopTexts(stops, keep), []
        for part in parts:
            shown.append(one.push(part))
            if one.found is None:
                text = "".join(shown)
                assert not any(stop in text for stop in stops)
        return "".join(shown) + one.finish(), one.found

    text = "".join(pieces)
    shown, found = cut(pieces)
    assert (shown, found) == cut([text]) == cut(list(text))
    assert (found is None) == (not any(stop in text for stop in stops))
    if found is None:
        assert shown == text
    else:
        assert text.startswith(shown) and (shown.endswith(found) if keep else text.startswith(shown + found))


def test_what_may_be_a_stop_is_held_back_only_as_long_as_it_may(kinds):
    one = StopTexts(["\nUser:", "<end>"])
    assert [one.push(piece) for piece in ("Hi\n", "U", "p <e", "nd", ">more", "x")] == ["Hi", "", "\nUp ", "", "", ""]
    assert one.found == "<end>" and one.finish() == ""
    one = StopTexts(["", "zz"])
    assert one.push("az") == "a" and one.finish() == "z" and one.found is None


def test_a_stream_stops_across_tokens(kinds):
    tokenizer = kinds["bpe"]
    tokens = tokenizer.encode("The quick brown fox")
    assert "".join(streamed(tokenizer, tokens, ["ck br"])) == "The qui"
    assert "".join(streamed(tokenizer, tokens, ["ck br"], keep=True)) == "The quick br"
    stream = TextStream(tokenizer, ["fox!"])
    shown = "".join(stream.push(token) for token in tokens)
    assert shown == "The quick brown " and stream.finish() == "fox" and stream.found is None
