"""Two files whose lines belong together."""

import gzip

import pytest

from penjing.base.errors import DataError
from penjing.base.readers.parallel import parallel_files, read_parallel


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"train.{name}").write_text(text, encoding="utf-8")


def test_lines_become_records(tmp_path):
    write(tmp_path, de="ein Baum\n\nzwei\n", en="a tree\nempty\ntwo\n")
    files = parallel_files(tmp_path, "train")
    assert [path.name for path in files] == ["train.en", "train.de"]
    records = list(read_parallel(*files))
    assert [(r["source"], r["target"], r.line) for r in records] == [
        ("a tree", "ein Baum", 1),
        ("empty", "", 2),
        ("two", "zwei", 3),
    ]
    assert (
        records[0]["source_lang"] == "en" and records[0]["target_lang"] == "de" and records[0].file.endswith("train.en")
    )
    assert [path.name for path in parallel_files(tmp_path, "train", "de-en")] == ["train.de", "train.en"]
    assert parallel_files(tmp_path, "valid") is None


def test_packed_files_and_other_endings(tmp_path):
    (tmp_path / "train.zh.gz").write_bytes(gzip.compress("一棵树\n".encode()))
    write(tmp_path, lzh="木\n", tsv="source\ttarget\n", log="x\n")
    (tmp_path / "train.log").unlink()
    files = parallel_files(tmp_path, "train")
    assert [path.name for path in files] == ["train.lzh", "train.zh.gz"]
    assert [dict(record) for record in read_parallel(*files)] == [
        {"source": "木", "target": "一棵树", "source_lang": "lzh", "target_lang": "zh"}
    ]


def test_unequal_lines_are_told_with_both_counts(tmp_path):
    for first, second in (("a\nb\nc\n", "x\ny\n"), ("a\n", "x\ny\nz\n")):
        write(tmp_path, en=first, de=second)
        with pytest.raises(DataError, match="P-DATA-050") as caught:
            list(read_parallel(*parallel_files(tmp_path, "train")))
        assert all(str(len(text.split())) in str(caught.value) for text in (first, second))


def test_more_than_two_languages(tmp_path):
    write(tmp_path, en="a\n", de="x\n", fr="y\n")
    for languages in (None, "en-it", "en"):
        with pytest.raises(DataError, match="P-DATA-051") as caught:
            parallel_files(tmp_path, "train", languages)
        assert caught.value.known == ["de", "en", "fr"]
    assert [path.name for path in parallel_files(tmp_path, "train", "fr-de")] == ["train.fr", "train.de"]


def test_broken_lines_are_told(tmp_path):
    write(tmp_path, en="a\nb\n" * 300, de="x\ny\n" * 300)
    whole = (tmp_path / "train.de").read_bytes()
    (tmp_path / "train.de").write_bytes(whole[:800].replace(b"x", "ä".encode()) + b"\xff\xfe\n" + whole[806:])
    with pytest.raises(DataError) as caught:
        list(read_parallel(*parallel_files(tmp_path, "train")))
    assert caught.value.code in ("P-DATA-007", "P-DATA-008", "P-DATA-050")
