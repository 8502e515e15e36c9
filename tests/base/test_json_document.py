"""JSON documents: lists of objects and SQuAD's form, in pieces of any size; what is broken is told with its place."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.base.errors import PenjingError
from penjing.base.readers import json_document
from penjing.base.readers.json_stream import BrokenJSONError, Stream
from penjing.base.records import look, read_records

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Trees",
            "paragraphs": [
                {
                    "context": "A bonsai grows in a tray.",
                    "qas": [
                        {"id": "a", "question": "Where?", "answers": [{"text": "in a tray", "answer_start": 15}]},
                        {"id": "b", "question": "Who?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        },
        {"title": "盆景", "paragraphs": [{"context": "盆景很小。", "qas": [{"id": "c", "question": "大吗？"}]}]},
    ],
}


def blocks(text, size):
    return (text[i : i + size] for i in range(0, len(text), size))


def failing(path, **options):
    with pytest.raises(PenjingError) as caught:
        list(read_records(path, **options))
    assert caught.value.text("zh") and caught.value.text("en")
    return caught.value


@settings(max_examples=60, deadline=None)
@given(st.lists(JSON, max_size=5), st.integers(1, 9), st.sampled_from([None, 2]))
def test_a_list_comes_back_in_pieces_of_any_size(values, size, indent):
    text = json.dumps(values, indent=indent)
    stream = Stream(blocks(text, size))
    assert [one.value for one in stream.elements()] == values
    stream.end()


@settings(max_examples=60, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=3), st.data())
def test_a_list_cut_short_is_broken_wherever_it_is_cut(values, data):
    text = json.dumps(values)
    cut = data.draw(st.integers(0, len(text) - 1))
    stream = Stream(blocks(text[:cut], 3))
    with pytest.raises(BrokenJSONError):
        list(stream.elements())


@pytest.mark.parametrize("indent, lines", [(None, [1, 2, 3]), (2, [2, 5, 8])])
@pytest.mark.parametrize("ending", [".json", ".jsonl", ".json.gz"])
def test_a_list_of_objects(tmp_path, indent, lines, ending):
    rows = [{"instruction": f"问 {i}", "output": "a\u2028b"} for i in range(3)]
    text = json.dumps(rows, indent=indent, ensure_ascii=False).replace(',\n    "output"', ', "output"')
    data = text.encode("utf-8-sig")
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    found = list(read_records(path, needs=("output",)))
    assert found == rows and [one.file for one in found] == [str(path)] * 3
    wanted = lines if indent is None else [2, 5, 8]
    assert [one.line for one in found] == wanted


@pytest.mark.parametrize("indent", [None, 1])
def test_squad(tmp_path, indent):
    path = tmp_path / "dev-v2.0.json"
    path.write_text(json.dumps(SQUAD, indent=indent), encoding="utf-8")
    found = list(read_records(path, needs=("context", "question")))
    assert [one["id"] for one in found] == ["a", "b", "c"] and [one.line for one in found] == [1, 2, 3]
    assert found[0]["answers"] == [{"text": "in a tray", "start": 15}] and found[0]["title"] == "Trees"
    assert found[1]["answers"] == found[2]["answers"] == [] and found[2]["context"] == "盆景很小。"
    assert found[0]["context"] is found[1]["context"]
    assert look(path).records == 3


def test_squad_whose_fields_come_in_another_order(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        '{"data": [{"id": "D", "paragraphs": [], "title": "x"}, ' + json.dumps(SQUAD["data"])[1:] + ', "v": [1]}'
    )
    assert len(list(read_records(path))) == 3


def test_lines_whose_objects_have_a_field_data(tmp_path):
    path = tmp_path / "a.json"
    for first in ('[{"x": 1}]', "[]"):
        path.write_text(f'{{"data": {first}, "text": "a"}}\n{{"data": [], "text": "b"}}\n')
        assert [one["text"] for one in read_records(path)] == ["a", "b"]


@pytest.mark.parametrize(
    "text, code, line",
    [
        ('[{"text": "a"}, {"text": "b"', "P-DATA-045", None),
        ('[{"text": "a"} {"text": "b"}]', "P-DATA-045", None),
        ('[{"text": "a"}] and more', "P-DATA-045", None),
        ('[{"text": "a"},\n{"text": b}]' + " " * 99, "P-DATA-045", None),
        ("[" * 100_000, "P-DATA-045", None),
        ('[{"text": "a"}, "b", 3]', "P-DATA-012", 2),
        ('{\n "text": "a"\n}', "P-DATA-046", None),
        ('{"data": [{"paragraphs": [{"context": "c"}]}]}', "P-DATA-047", 1),
        ('{"data": [{"paragraphs": [3]}]}', "P-DATA-047", 1),
        ('{"data": [{"paragraphs": []}', "P-DATA-045", None),
        ("[]", "P-DATA-001", None),
    ],
)
def test_what_is_broken_is_told(tmp_path, text, code, line):
    path = tmp_path / "a.json"
    path.write_text(text)
    error = failing(path)
    assert (error.code, error.line) == (code, line) and str(path) in str(error)


def test_the_line_of_a_break_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"},\n{"text":\n b}]' + " " * 99)
    assert "line 3" in failing(path).text("en")


@pytest.mark.parametrize("form", ["list", "squad"])
def test_bytes_that_cannot_be_decoded(tmp_path, form):
    path = tmp_path / "a.json"
    good = json.dumps({"text": "盆景" * 50}, ensure_ascii=False).encode()
    squad = json.dumps(SQUAD, ensure_ascii=False).encode()
    data = (
        b"[" + good + b',\n{"text": "\xff"}]'
        if form == "list"
        else squad.replace("很小".encode(), b"\xff" + good[10:100])
    )
    path.write_bytes(data)
    assert failing(path, encoding="utf-8").code == "P-DATA-007"


def test_memory_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr(json_document, "BLOCK", 1 << 14)
    path = tmp_path / "a.json"
    row = json.dumps({"text": "x" * 1000})
    path.write_text("[" + ",".join([row] * 20_000) + "]")
    tracemalloc.start()
    assert sum(1 for _ in read_records(path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4
