"""Token files: round trips, the cache, damage."""

import os

import numpy as np
import pytest

from penjing.base.errors import FileError, TextError
from penjing.base.progress import listen
from penjing.text import token_file
from penjing.text.token_file import TokenFile, cached_token_file, write_token_file
from penjing.text.tokenizer_training import train_tokenizer

os.environ["TOKENIZERS_PARALLELISM"] = "false"
TEXTS = ["The first document.", "", "第二篇文档，很短。", "a " * 50, "\ud83d half a pair", "last one"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS * 5, kind="wordpiece", size=120)


@pytest.mark.parametrize("batch", [1, 40, 1 << 20])
def test_round_trip(tokenizer, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(token_file, "BATCH", batch)
    made = write_token_file(tmp_path / "new" / "tokens", iter(TEXTS), tokenizer, word_starts=True)
    again = TokenFile.open(tmp_path / "new" / "tokens")
    assert len(made) == len(again) == len(TEXTS) and again.tokens.dtype == np.uint16
    for number, text in enumerate(TEXTS):
        tokens, starts = tokenizer.word_starts(text.encode("utf-8", "replace").decode())
        assert again.document(number).tolist() == made[number].tolist() == tokens
        assert again.starts(number).tolist() == starts
    assert again.lengths.dtype == np.int32 and again.lengths.tolist() == [len(one) for one in again]
    assert again.total == again.lengths.sum() and again.document(-1).tolist() == tokenizer.encode(TEXTS[-1])
    with pytest.raises(IndexError):
        again.document(len(TEXTS))


def test_wide_ids_and_nothing_at_all(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer, "size", (1 << 16) + 1)
    assert write_token_file(tmp_path / "wide", TEXTS, tokenizer).tokens.dtype == np.uint32
    empty = write_token_file(tmp_path / "empty", [], tokenizer, word_starts=True)
    assert len(TokenFile.open(tmp_path / "empty")) == len(empty) == empty.total == 0
    with pytest.raises(TextError) as caught:
        write_token_file(tmp_path / "plain", TEXTS, tokenizer).starts(0)
    assert caught.value.code == "P-TOKEN-009"


def test_nothing_is_left_when_the_texts_fail(tokenizer, tmp_path):
    def texts():
        yield "one"
        raise FileError("P-FILE-001", path="x", base="y")

    with pytest.raises(FileError):
        write_token_file(tmp_path / "tokens", texts(), tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_cache(tokenizer, tmp_path):
    source = tmp_path / "texts.txt"
    source.write_text("1")
    reads = []

    def texts():
        reads.append(1)
        return TEXTS

    def get(**options):
        return cached_token_file(tmp_path / "cache", texts, tokenizer, source=source, **options)

    first = get()
    assert get().folder == first.folder and len(reads) == 1
    assert get(word_starts=True).folder != first.folder and len(reads) == 2
    source.write_text("2")
    assert get().folder != first.folder and len(reads) == 3
    other = train_tokenizer(TEXTS, kind="wordpiece", size=110)
    assert cached_token_file(tmp_path / "cache", TEXTS, other, source="mark").about["tokenizer"] == other.fingerprint


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "key", "version"])
def test_damage_is_seen_and_mended(tokenizer, tmp_path, damage):
    made = cached_token_file(tmp_path, TEXTS, tokenizer, source="mark")
    tokens, about = made.folder / "tokens.bin", made.folder / "about.json"
    raw = tokens.read_bytes()
    if damage == "truncated":
        tokens.write_bytes(raw[:-3])
    elif damage == "changed":
        tokens.write_bytes(b"\x01" + raw[1:-1] + b"\x63")
    elif damage == "missing":
        tokens.unlink()
    else:
        about.write_text(
            about.read_text().replace(f'"{damage}": ', f'"{damage}": 1' if damage == "version" else '"key": "x')
        )
    if damage == "key":
        about.write_text(about.read_text().replace('"x"', '"x'))
    with pytest.raises(TextError) as caught:
        TokenFile.open(made.folder, key=made.about["key"])
    assert caught.value.code == "P-TOKEN-007"
    told = []
    with listen(told.append):
        mended = cached_token_file(tmp_path, TEXTS, tokenizer, source="mark")
    assert mended.tokens.tobytes() == raw and any(event.kind == "warning" for event in told)
