"""`penjing advise` on the command line: in 80 columns, in both languages, as JSON, with a recipe."""

import json
import re

import pytest
from rich.cells import cell_len

from penjing.base.records import write_records
from penjing.cli.advise import wrapped
from penjing.cli.main import main

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def advise(tmp_path, monkeypatch, capsys):
    """`advise("--json")` about a toy file -> exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENJING_LANG", "en")
    write_records("mine.jsonl", [{"text": f"text number {n}", "label": "ab"[n % 2]} for n in range(50)])

    def call(*words, file="mine.jsonl"):
        return main(["advise", file, "--no-measure", *words]), *capsys.readouterr()

    return call


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_fits_on_a_terminal(advise, monkeypatch, lang):
    monkeypatch.setenv("PENJING_LANG", lang)
    code, out, _ = advise("--minutes", "20")
    assert code == 0 and all(cell_len(line) <= 80 for line in out.splitlines())
    question = {"en": "Is my data enough?", "zh": "我的数据够吗？"}[lang]
    assert question in out and (len(CHINESE.findall(out)) > 300) == (lang == "zh")


def test_json_and_recipe(advise, tmp_path):
    code, out, _ = advise("--json", "--write", "new")
    told = json.loads(out)
    assert code == 0 and told["recipe"] == "new/recipe.yaml" and (tmp_path / "new" / "recipe.yaml").exists()
    code, out, _ = advise("--write", "other")
    assert code == 0 and "penjing run other/recipe.yaml" in out
    code, _, error = advise("--write", "new")
    assert code == 2 and "P-RECIPE-013" in error


@pytest.mark.parametrize(
    "words, file, wanted",
    [
        (["--task", "tags"], "mine.jsonl", "P-OPTION-004"),
        (["--task", "seq2seq"], "mine.jsonl", "P-ADVISE-001"),
        (["--minutes", "-3"], "mine.jsonl", "P-OPTION-002"),
        (["--model", "nowhere"], "mine.jsonl", "P-FILE-001"),
        ([], "absent.jsonl", "P-FILE-001"),
    ],
)
def test_a_mistake_is_one_message(advise, words, file, wanted):
    code, out, error = advise(*words, file=file)
    assert code == 2 and not out and error.startswith(wanted)


def test_lines_break_between_wide_characters_and_keep_what_belongs_together():
    lines = wrapped("中" * 60 + "，" + "word " * 30 + "and 5 % more", "  ", "    ")
    assert all(cell_len(line) <= 80 for line in lines) and lines[0].startswith("  中") and lines[1].startswith("    ")
    assert not [line for line in lines if line.lstrip().startswith(("，", "%"))]
    assert "".join("".join(lines).split()) == "中" * 60 + "，" + "word" * 30 + "and5%more"
    mixed = [wrapped("中" * wide + " TF-IDF 0.826，又一句", "", "") for wide in range(28, 40)]
    assert not [line for lines in mixed for line in lines if line.startswith("，")]
