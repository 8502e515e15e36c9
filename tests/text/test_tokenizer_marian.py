"""opus-mt folders (source.spm, target.spm, vocab.json): the ids of transformers' MarianTokenizer."""

import json
import random

import pytest

from penjing.base.errors import TextError
from penjing.text.tokenizer import Tokenizer

ENGLISH, GERMAN = (line.split() for line in (
    "the tree was late and a small box came today with good very lovely parcels from london",
    "der Baum kam heute spät mit einer kleinen Schachtel und sehr schönen Päckchen aus München an",
))  # fmt: skip
TEXTS = [
    "the tree was late", "  two   spaces, and a tab\there ", "ﬁne ａｂｃ ½", "", "lovely parcels!", "Baum und Schachtel",
    ">>de<< the small box", "unknown: ☃ and 盆景", "a\nline", "trees treeing boxes",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two small SentencePiece models, and one list of ids for both."""
    import sentencepiece

    folder, chance, pieces = tmp_path_factory.mktemp("opus"), random.Random(0), {}
    for name, words, size in (("source", ENGLISH, 70), ("target", GERMAN, 80)):
        lines = iter([" ".join(chance.choices(words, k=8)) for _ in range(300)] + ["a , . ! : b 1 2"] * 9)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines,
            model_prefix=str(folder / name),
            vocab_size=size,
            hard_vocab_limit=False,
            minloglevel=9,
            num_threads=1,
        )
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.spm"))
        pieces |= dict.fromkeys(model.id_to_piece(i) for i in range(3, len(model)))
    ordered = ["</s>", "<unk>", *sorted(pieces), ">>de<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(ordered)}), encoding="utf-8")
    config = {"source_lang": "en", "target_lang": "de", "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_ids_are_those_of_transformers(folder, tmp_path):
    from transformers import AutoTokenizer, MarianTokenizer

    theirs, ours, same = MarianTokenizer.from_pretrained(folder), Tokenizer.load(folder), 0
    for text in [*TEXTS, *(" ".join(random.Random(i).choices(ENGLISH + GERMAN, k=9)) for i in range(50))]:
        ids, expected = ours.build(ours.encode(text)), theirs(text)["input_ids"]
        same += ids == expected
        assert ids == expected or (1 in expected and text not in TEXTS), text  # letters the source has never seen
        assert ids == expected or ids.count(1) < expected.count(1)
    assert same > 35
    assert (ours.end, ours.pad, ours.unknown, ours.begin) == (0, theirs.pad_token_id, 1, None)
    written = theirs(text_target="der Baum kam heute spät")["input_ids"]
    assert ours.decode(written) == "der Baum kam heute spät" == theirs.decode(written, skip_special_tokens=True)
    assert (
        ours.encode_targets(["der Baum kam heute spät"])
        == [written[:-1]]
        != ours.encode_many(["der Baum kam heute spät"])
    )
    ours.save(tmp_path)
    kept = Tokenizer.load(tmp_path)
    assert kept.encode_targets(GERMAN) == ours.encode_targets(GERMAN) and kept.encode_many(TEXTS) == ours.encode_many(
        TEXTS
    )
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert all(again(text)["input_ids"] == ours.build(ours.encode(text)) for text in TEXTS)


def test_broken_files_are_told(folder, tmp_path):
    for name in ("vocab.json", "source.spm"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole = (tmp_path / "source.spm").read_bytes()
    for broken in (b"", whole[:50], b"\xff" * 40, whole[:-3]):
        (tmp_path / "source.spm").write_bytes(broken)
        with pytest.raises(TextError, match="P-TOKEN-002"):
            Tokenizer.load(tmp_path)
    (tmp_path / "source.spm").write_bytes(whole)
    (tmp_path / "vocab.json").write_text('{"</s>": 0, "<unk>": 2}')
    with pytest.raises(TextError, match="gaps"):
        Tokenizer.load(tmp_path)


def test_pieces_without_a_number_are_told(folder, tmp_path):
    from penjing.base.progress import listen

    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    kept = [token for token in ids if token != "▁tree"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(kept)}), encoding="utf-8")
    (tmp_path / "source.spm").write_bytes((folder / "source.spm").read_bytes())
    events = []
    with listen(events.append):
        ours = Tokenizer.load(tmp_path)
    assert any(event.values.get("pieces") == 1 for event in events)
    assert ours.decode(ours.encode("the tree")) == "the tree"
