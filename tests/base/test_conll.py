"""CoNLL files: sentences, columns, comments, boundaries, line ends, encodings, and how each can be broken."""

import gzip

import pytest

from penjing.base.errors import DataError
from penjing.base.records import look, read_records

WHOLE = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

# id = 7
# a longer comment
# # B-NP O
Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER


"""


def read(path, text, **options):
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return list(read_records(path, **options))


def complaint(path, text, **options):
    with pytest.raises(DataError) as error:
        read(path, text, **options)
    assert error.value.text("en") and error.value.text("zh")
    return error.value


@pytest.mark.parametrize("ending", ["conll", "bio", "iob", "bmes"])
def test_sentences_become_records(ending, tmp_path):
    first, second = read(tmp_path / f"train.{ending}", WHOLE)
    assert first == {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]} and first.line == 3
    assert second == {"tokens": ["#", "Peter", "Blackburn"], "tags": ["O", "B-PER", "I-PER"]} and second.line == 8
    assert second.file.endswith(ending) and look(tmp_path / f"train.{ending}").records == 2


def test_columns_by_number(tmp_path):
    first, second = read(tmp_path / "a.conll", WHOLE, columns={"tags": "2"})
    assert first["tags"] == ["NNP", "VBZ"] and first["tokens"] == ["EU", "rejects"]
    first, _ = read(tmp_path / "a.conll", WHOLE, columns={"tokens": "3", "chunks": "1"})
    assert first == {"tokens": ["B-NP", "B-VP"], "tags": ["B-ORG", "O"], "chunks": ["EU", "rejects"]}
    assert complaint(tmp_path / "a.conll", WHOLE, columns={"tags": "9"}).code == "P-DATA-042"


def test_one_column_has_no_tags(tmp_path):
    assert read(tmp_path / "a.conll", "北\n京\n") == [{"tokens": ["北", "京"]}]


def test_tabs_windows_and_encodings(tmp_path):
    text = "# global = x y\nNew York\tB-LOC\r\n \tO\r\n\r\n北\tO"
    assert complaint(tmp_path / "a.bio", text).code == "P-DATA-041"
    text = text.replace(" \tO\r\n", "")
    found = read(tmp_path / "a.bio", text)
    assert [record["tokens"] for record in found] == [["New York"], ["北"]] and found[1]["tags"] == ["O"]
    chinese = "".join(f"{letter} O\n" for letter in "中国的人民是在我们的国家里面工作和学习的" * 3)
    assert read(tmp_path / "b.bio", chinese.encode("gb18030"))[0]["tokens"][:2] == ["中", "国"]
    packed = tmp_path / "c.conll.gz"
    assert read(packed, gzip.compress(WHOLE.encode()))[1]["tags"][0] == "O"
    assert read(tmp_path / "d.bmes", "\u3000 O\n中 B-X\n国 E-X\n")[0]["tokens"] == ["\u3000", "中", "国"]


def test_broken_lines_are_told_together(tmp_path):
    error = complaint(tmp_path / "a.conll", "a O\nb\nc O O\n\nd O\n#x\n")
    assert error.code == "P-DATA-040" and error.line == 2
    assert [other.line for other in error.others] == [3, 6] and "1 columns" in error.text("en")
    assert complaint(tmp_path / "a.conll", "\n-DOCSTART- O\n\n").code == "P-DATA-001"
    assert complaint(tmp_path / "b.conll", "a O\n#b\n").line == 2  # inside a sentence it is no comment
