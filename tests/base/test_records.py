"""Readers: every format and packing gives the records back; every kind of bad input is one coded error."""

import gzip
import json

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.records import look, read_records, sources, write_records

PACK = {"": lambda b: b, ".gz": gzip.compress, ".zst": zstandard.compress}
CHINESE = "这家店的服务态度很好，我们都很喜欢，下次还会来的。他说那个东西不是这样用的。\n" * 4
TRADITIONAL = "這個東西我們都覺得很好，他說會再來買，可是時間不夠，沒有辦法。\n" * 4
FRENCH = "Le café était fermé à midi, déjà très fâché, élève, naïve, où êtes-vous passés hier soir ?\n" * 4


def code(function, *args, **options):
    with pytest.raises(PenjingError) as caught:
        result = function(*args, **options)
        list(result) if hasattr(result, "__next__") else None
    assert caught.value.text("zh") and caught.value.text("en")
    return caught.value


def packed(folder, name, data, packing=""):
    path = folder / (name + packing)
    path.write_bytes(PACK[packing](data if isinstance(data, bytes) else data.encode()))
    return path


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), min_size=1).filter(str.strip)


def as_csv(rows, separator):
    quoted = lambda cell: '"' + cell.replace('"', '""') + '"'  # noqa: E731
    return "".join(separator.join(map(quoted, row)) + "\n" for row in [("text", "label"), *rows])


def as_parquet(rows, folder):
    import pyarrow
    import pyarrow.parquet

    path = folder / "made.parquet"
    table = pyarrow.table({"text": [r[0] for r in rows], "label": [r[1] for r in rows]})
    pyarrow.parquet.write_table(table, path)
    return path.read_bytes()


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv", "parquet"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_records_come_back(tmp_path, format, packing, rows):
    if format == "jsonl":
        data = "".join(json.dumps({"text": t, "label": n}, ensure_ascii=False) + "\n" for t, n in rows)
    elif format == "parquet":
        data = as_parquet(rows, tmp_path)
    else:
        data = as_csv(rows, "\t" if format == "tsv" else ",")
    path = packed(tmp_path, f"data.{format}", data, packing)
    found = list(read_records(path, needs=("text",)))
    assert [(r["text"], r["label"]) for r in found] == rows
    assert all(r.file == str(path) and r.line for r in found)


@pytest.mark.parametrize("packing", PACK)
def test_plain_text(tmp_path, packing):
    by_line = packed(tmp_path, "a.txt", "one\u2028still one\r\ntwo\n", packing)
    assert [(r["text"], r.line) for r in read_records(by_line)] == [("one\u2028still one", 1), ("two", 2)]
    documents = packed(tmp_path, "b.txt", "\none\nmore\n\n\ntwo\n", packing)
    assert [(r["text"], r.line) for r in read_records(documents)] == [("one\nmore", 2), ("two", 6)]


def test_written_records_come_back(tmp_path):
    rows = [{"text": "half \ud83d and \u2028 whole"}, {"text": "盆景", "label": 3}]
    assert write_records(tmp_path / "a.jsonl", rows) == 2
    assert [dict(r) for r in read_records(tmp_path / "a.jsonl")] == rows


def test_columns_lists_folders_and_globs(tmp_path):
    packed(tmp_path, "a.csv", "review,stars\ngood,5\n")
    packed(tmp_path, "b.csv", "review;stars\nbad;1\n")
    packed(tmp_path, "notes.md", "no data")
    columns = {"text": "review", "label": "stars"}
    wanted = [{"text": "good", "label": "5"}, {"text": "bad", "label": "1"}]
    for source in (tmp_path, tmp_path / "*.csv", [tmp_path / "a.csv", tmp_path / "b.csv"]):
        assert list(read_records(source, columns=columns)) == wanted
    packed(tmp_path, "c.csv", "good,5\nbad,1\n")
    assert list(read_records(tmp_path / "c.csv", columns={"text": "1", "label": "2"})) == wanted
    packed(tmp_path, "d.tsv", 'text\tlabel\n"quoted film\t1\nplain\t0\n')
    assert [r["text"] for r in read_records(tmp_path / "d.tsv")] == ['"quoted film', "plain"]


@pytest.mark.parametrize(
    "text, encoding, found",
    [
        (CHINESE, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (FRENCH, "cp1252", "cp1252"),
        (FRENCH, "utf-16-le", "utf-16-le"),
        (CHINESE, "utf-16-be", "utf-16-be"),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE, "utf-8-sig", "utf-8-sig"),
        (CHINESE, "utf-8", "utf-8"),
    ],
)
def test_encodings_are_found_and_told(tmp_path, text, encoding, found):
    path = packed(tmp_path, "a.txt", text.encode(encoding))
    events = []
    with listen(events.append):
        read = [r["text"] for r in read_records(path)]
    assert read == text.splitlines() and sources(path)[0].encoding == found
    assert found.startswith("utf-8") or any(found in event.text for event in events)


@pytest.mark.parametrize("data", ["好的".encode("gb18030"), b"caf\xe9", "안녕하세요 반갑습니다 ".encode("euc_kr") * 9])
def test_unsure_encoding_asks(tmp_path, data):
    error = code(read_records, packed(tmp_path, "a.txt", data))
    assert error.code == "P-DATA-008" and "encoding=" in error.text("en")


def test_given_encoding(tmp_path):
    path = packed(tmp_path, "a.txt", "好的".encode("gb18030"))
    assert [r["text"] for r in read_records(path, encoding="gb18030")] == ["好的"]
    error = code(read_records, path, encoding="gb18031")
    assert error.code == "P-DATA-009" and error.nearest == "gb18030"


def test_one_broken_line_is_named_and_nothing_after_it_is_given(tmp_path):
    good = json.dumps({"text": "fine"}) + "\n"
    path = packed(tmp_path, "a.jsonl", good * 1000 + '{"text": \n' + good * 10 + "[1]\n" + good)
    given = []
    with pytest.raises(PenjingError) as caught:
        given.extend(read_records(path))
    error = caught.value
    assert (error.code, error.line, len(error.others), len(given)) == ("P-DATA-011", 1001, 1, 1000)
    assert error.others[0].code == "P-DATA-012" and error.others[0].line == 1012 and str(path) in str(error)


def test_all_problems_are_counted(tmp_path):
    path = packed(tmp_path, "a.jsonl", "{bad\n" * 5000)
    error = code(read_records, path)
    assert "5000 problems" in error.text("en") and len({id(one) for one in error.others}) < 20


@pytest.mark.parametrize(
    "name, data, wanted",
    [
        ("a.jsonl", b"", "P-DATA-001"),
        ("a.csv", b"text,label\n", "P-DATA-001"),
        ("a.docx", b"x", "P-DATA-004"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 99, mtime=0)[:-9], "P-DATA-006"),
        ("a.jsonl.zst", zstandard.compress(b'{"text": "a"}\n' * 99)[:-9], "P-DATA-006"),
        ("a.jsonl.zst", b"this is not packed at all", "P-DATA-006"),
        (
            "a.jsonl",
            '{"text": "盆景盆景盆景盆景盆景盆景盆景盆景"}\n'.encode() * 9 + b'{"text": "\xff"}\n',
            "P-DATA-007",
        ),
        ("a.jsonl", b'{"text": "a"}\n"b"\n', "P-DATA-012"),
        ("a.csv", b'text,label\n"a"b,1\nc,2\n', "P-DATA-013"),
        ("a.csv", b'text,label\n"open,1\nc,2\n', "P-DATA-013"),
        ("a.csv", b"text,label\na,b,c\n", "P-DATA-014"),
        ("a.csv", b"text,text\na,b\n", "P-DATA-015"),
        ("a.parquet", b"PAR1 but no more", "P-DATA-016"),
        ("a.csv", b"txt,label\na,b\n", "P-DATA-017"),
        ("a.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "P-DATA-017"),
        ("a.jsonl", b'{"text": null}\n', "P-DATA-018"),
        ("a.csv", b"text,label\n,b\n", "P-DATA-018"),
    ],
)
def test_bad_files(tmp_path, name, data, wanted):
    error = code(read_records, packed(tmp_path, name, data), needs=("text",))
    assert error.code == wanted and name in error.text("en")


def test_missing_column_names_the_nearest(tmp_path):
    path = packed(tmp_path, "a.csv", "review,stars\na,b\n")
    error = code(read_records, path, columns={"text": "reviews"})
    assert error.code == "P-DATA-017" and error.nearest == "review"


def test_bad_sources(tmp_path):
    assert code(read_records, tmp_path).code == "P-DATA-002"
    assert code(read_records, tmp_path / "*.jsonl").code == "P-DATA-003"
    assert code(read_records, tmp_path / "none.jsonl").code == "P-FILE-001"
    packed(tmp_path, "a.jsonl", '{"text": "a"}')
    packed(tmp_path, "b.csv", "text\na\n")
    assert code(read_records, tmp_path).code == "P-DATA-005"


def test_look(tmp_path):
    path = packed(tmp_path, "a.jsonl", '{"text": "a", "stars": 3}\n' * 5000, ".gz")
    seen = look(path)
    assert (seen.format, seen.encoding, seen.columns) == ("jsonl", "utf-8", ["text", "stars"])
    assert not seen.counted and 4000 < seen.records < 6000 and len(seen.samples) == 5
    (tmp_path / "a.parquet").write_bytes(as_parquet([("a", "b")] * 3, tmp_path))
    assert (look(tmp_path / "a.parquet").records, look(tmp_path / "a.parquet").counted) == (3, True)


def test_what_spreadsheets_write(tmp_path):
    """A line for Excel that names the separator; columns without a name at the end; a first row that is no header."""
    path = packed(tmp_path, "a.csv", '\ufeffsep=;\r\n"text, free";label;;\r\nhello;a;;\r\n')
    assert [(r["text, free"], r["label"], r.line) for r in read_records(path)] == [("hello", "a", 3)]
    bare = packed(tmp_path, "b.csv", "1,a fine day\n2,a bad day\n")
    found = list(read_records(bare, columns={"label": "1", "text": "2"}))
    assert [(r["label"], r["text"]) for r in found] == [("1", "a fine day"), ("2", "a bad day")]


def test_a_gap_in_a_column_of_numbers_is_null(tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": ["a", "b"], "label": [1.0, float("nan")]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [r["label"] for r in read_records(tmp_path / "a.parquet")] == [1.0, None]
    assert code(lambda: list(read_records(tmp_path / "a.parquet", needs=("text", "label")))).code == "P-DATA-018"
