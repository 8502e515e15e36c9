"""run, verify, the stages, predict and init from the command line."""

import io
import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from toy_stages import TWO

from penjing.base.records import write_records
from penjing.base.texts import texts_in
from penjing.cli.predict import asked
from penjing.cli.verify import counted
from penjing.recipe.draft import draft
from penjing.recipe.reading import read_recipe
from penjing.recipe.stages import BUILT_IN
from penjing.recipe.stages.clean import clean as made_clean
from penjing.tasks import task_named

WHOLE = (
    TWO + "  finetune:\n    data: $first\n  evaluate:\n    model: $finetune/model\n  report:\n    evaluate: $evaluate\n"
)


def test_run_ends_with_a_table_the_verdict_and_three_commands(cli):
    Path("recipe.yaml").write_text(WHOLE)
    code, out, error = cli("run", "recipe.yaml")
    assert code == 0
    assert "0.900 (0.880 – 0.920)" in out and "tfidf" in out and "both together" in out
    assert "worth it: +2.1 points" in out and "characters 2" in out
    for command in ("penjing predict runs/toy", "runs/toy/report/report.html", "penjing init YOUR_FILE.csv"):
        assert command in out
    assert "first: 100 % done" in error
    code, out, _ = cli("run", "recipe.yaml")
    assert code == 0 and out.count("unchanged") == 5


def test_run_in_chinese(cli):
    Path("recipe.yaml").write_text(WHOLE)
    assert "接下来可以" in cli("run", "recipe.yaml", "--lang", "zh")[1]


def test_dry_run_makes_nothing(cli):
    code, out, _ = cli("run", "recipe.yaml", "--dry-run", "--set", "second.times=9")
    assert code == 0 and "to make" in out and not Path("runs").exists()


def test_run_with_set_only_out(cli):
    assert cli("run", ".", "--out", "o", "--only", "first", "--set", "first.text=abc")[0] == 0
    assert Path("o/first/deep/made.txt").read_text() == "abcx0"
    assert not Path("o/second").exists()


def test_verify(cli):
    cli("run", "recipe.yaml")
    assert cli("verify", "runs/toy")[:2] == (0, "2 steps, 2 files: all as their manifests say\n")
    Path("runs/toy/second/copy.txt").write_text("tampered")
    code, out, error = cli("verify", "runs/toy")
    assert code == 1 and "P-RECIPE-015" in error and "copy.txt" in error and out.endswith(": 1 change\n")
    assert "发现 1 处改动" in cli("verify", "runs/toy", "--lang", "zh")[1]
    Path("in.txt").unlink()
    assert "in.txt" in cli("verify", "runs/toy")[1]


def test_a_stage_as_a_command(cli):
    assert cli("make", "--out", "o", "--source", "in.txt", "--seed", "3")[0] == 0
    words = ["--data", "o", "--data", "in.txt", "--names", "a=b", "--names", "c=d", "--loud", "--order", "down"]
    assert cli("copy", "--out", "p", *words)[0] == 0
    assert Path("p/copy.txt").read_text() == 'HIX3Xdown{"a": "b", "c": "d"}'
    options = json.loads(Path("p/manifest.json").read_text())["options"]
    assert options["names"] == {"a": "b", "c": "d"} and options["loud"] is True
    assert cli("copy", "--out", "p", "--data", "[o]", "--names", "{e: f}", "--no-loud")[0] == 0


class Answerer:
    labels, several = ["no", "yes"], False

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    def load(cls, folder):
        return cls(folder)

    def answer(self, texts):
        return [{"label": "yes", "probability": 0.75, "probabilities": {"no": 0.25, "yes": 0.75}} for _ in texts]


@pytest.fixture
def models(monkeypatch):
    """Stand-ins for the two kinds of models; returns what was loaded."""
    loaded = []

    def load(folder):
        kind = json.loads((folder / "penjing.json").read_text()).get("kind", "model")
        loaded.append((kind, folder.resolve().name))
        return Answerer(folder)

    monkeypatch.setattr(import_module("penjing.evaluate.ensemble"), "load_candidate", load)
    return loaded


@pytest.mark.parametrize("place", ["runs/toy", "runs/toy/finetune", "runs/toy/finetune/model"])
def test_predict_finds_the_model(cli, models, place):
    Path("recipe.yaml").write_text(WHOLE)
    cli("run", "recipe.yaml")
    code, out, _ = cli("predict", place, "is it so?", "--top", "1")
    assert code == 0 and models == [("toy", "model")]
    assert out.split("\n")[0] == "is it so?" and "> ███████████████       75.0 %  yes" in out and "no" not in out


def test_predict_with_a_baseline_and_json(cli, models, monkeypatch):
    Path("base").mkdir()
    Path("base/penjing.json").write_text('{"kind": "linear"}')
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n\ntwo\n"))
    code, out, _ = cli("predict", "base", "--json")
    assert code == 0 and models == [("linear", "base")]
    answers = [json.loads(line) for line in out.splitlines()]
    assert [a["text"] for a in answers] == ["one", "two"] and answers[0]["label"] == "yes"


def test_predict_never_pairs_across_an_empty_text(cli, models):
    Path("base").mkdir()
    Path("base/penjing.json").write_text('{"kind": "linear"}')
    for words in (["a", "", "c", ""], ["a", "b", "c"]):
        code, out, error = cli("predict", "base", "--pair", *words)
        assert code == 2 and "P-TASK-033" in error


def test_predict_reads_what_windows_programs_write(cli, models, monkeypatch):
    Path("base").mkdir()
    Path("base/penjing.json").write_text('{"kind": "linear"}')
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffone\n\ufefftwo\n"))
    _, out, _ = cli("predict", "base", "--json")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["one", "\ufefftwo"]
    stream = io.TextIOWrapper(io.BytesIO(b"fine\n\xff\xfe\n"), encoding="utf-8", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdin", stream)
    code, _, error = cli("predict", "base")
    assert code == 2 and "P-DATA-007" in error and "stdin:2" in error


def test_predict_without_a_model(cli, models):
    assert "P-RECIPE-020" in cli("predict", ".", "x")[2]
    cli("run", "recipe.yaml")
    assert "P-RECIPE-020" in cli("predict", "runs/toy", "x")[2]
    assert "P-FILE-001" in cli("predict", "nowhere", "x")[2]


@pytest.fixture
def data(monkeypatch):
    """Stand-ins for the readers; `data(rows)` is what the file holds."""
    records, language = ModuleType("penjing.base.records"), ModuleType("penjing.text.language")
    language.language_of = lambda text: "zh" if ord(text[0]) > 255 else "en"
    monkeypatch.setitem(sys.modules, "penjing.text", ModuleType("penjing.text"))
    monkeypatch.setitem(sys.modules, "penjing.text.language", language)
    monkeypatch.setitem(sys.modules, "penjing.base.records", records)

    def fill(rows):
        columns = list(rows[0]) if rows else []
        seen = SimpleNamespace(format="csv", encoding="utf-8", columns=columns, samples=rows[:3], records=len(rows))
        records.look = lambda source: seen
        records.read_records = lambda source, **named: iter(rows)

    return fill


def clean(
    out, *, folder: Path, columns: dict[str, str], train: str = "", raw: str = "", valid_share: float = 0.0
) -> dict:
    """Stands for the real one."""


def tokenizer(out, *, data: Path, size: int = 10) -> dict:
    """Stands for the real one."""


def tuned(out, *, data: Path, model: Path, tokenizer: Path, epochs: int = 1) -> dict:
    """Stands for finetune and evaluate."""


def pretrain(out, *, data: Path, tokenizer: Path, minutes: float = 1) -> dict:
    """Stands for the real one."""


def told(out, *, evaluation: Path, finetune: Path) -> dict:
    """Stands for report."""


STAGES = {
    "clean": clean,
    "tokenizer": tokenizer,
    "pretrain": pretrain,
    "finetune": tuned,
    "evaluate": tuned,
    "report": told,
}


def rows(count=40, text="review", label="mood"):
    return [
        {"id": str(i), text: f"A sentence of some length, number {i}.", label: "good" if i % 3 else "bad"}
        for i in range(count)
    ]


def test_init_writes_a_recipe_with_reasons(data, tmp_path):
    data(rows())
    path, found = draft(tmp_path / "my.csv", tmp_path / "mine", STAGES)
    text = path.read_text()
    recipe = yaml.safe_load(text)
    assert recipe["name"] == "mine" and list(recipe["stages"]) == list(STAGES)
    step = recipe["stages"]["clean"]
    assert step["columns"] == {"text": "review", "label": "mood"} and step["train"] == "my.csv"
    assert step["folder"] == tmp_path.as_posix() and step["valid_share"] == 0.1 and "test_share" not in step
    assert recipe["stages"]["pretrain"] == {"data": "$clean", "tokenizer": "$tokenizer"}  # epochs, not minutes
    links = {"epochs": 15, "data": "$clean", "model": "$pretrain/model"}
    assert recipe["stages"]["finetune"] == links and recipe["stages"]["evaluate"]["model"] == "$finetune"
    assert recipe["stages"]["report"] == {"evaluation": "$evaluate", "finetune": "$finetune"}
    assert all("#" in line for line in text.splitlines() if line.startswith("    "))
    assert "2 labels" in "\n".join(found) and "en 40" in text


def test_init_without_labels_is_for_raw_text(data, tmp_path):
    data([{"text": f"句子 {i}"} for i in range(9)])
    recipe = yaml.safe_load(draft(tmp_path / "raw" / "*.txt", tmp_path / "mine", STAGES)[0].read_text())
    assert list(recipe["stages"]) == ["clean", "tokenizer", "pretrain"]
    assert recipe["stages"]["clean"]["raw"] == "*.txt" and recipe["stages"]["tokenizer"]["size"] == 2000


def test_init_by_usual_names(data, tmp_path):
    data(
        [
            {"title": "a much longer text than the other one", "content": "short one", "cat": "x" if i % 2 else "y"}
            for i in range(4)
        ]
    )
    recipe = yaml.safe_load(draft(tmp_path, tmp_path / "mine", STAGES)[0].read_text())
    assert recipe["stages"]["clean"]["columns"] == {"text": "content", "label": "cat"}


@pytest.mark.parametrize(
    "name, known", [("my data [1]", "my_data_1"), ("数据 集", "数据_集"), ("2024", "2024"), ("no", "no")]
)
def test_init_gives_a_name_that_runs(data, tmp_path, name, known):
    data(rows())
    text = draft(tmp_path / "my.csv", tmp_path / name, STAGES)[0].read_text()
    recipe, problems = read_recipe(tmp_path / name)
    assert yaml.safe_load(text)["name"] == recipe.name == known and not problems


def test_init_finds_that_there_is_no_header(tmp_path):
    lines = [f"{i % 2},a text that says something about {i}" for i in (1, *range(40))]
    (tmp_path / "bare.csv").write_text("\n".join(lines))
    path, found = draft(tmp_path / "bare.csv", tmp_path / "mine", BUILT_IN)
    step = yaml.safe_load(path.read_text())["stages"]["clean"]
    assert step["columns"] == {"text": "2", "label": "1"} and "no header row" in "\n".join(found)
    (tmp_path / "out").mkdir()
    assert made_clean(tmp_path / "out", **step)["read"] == {"train": 41}


@pytest.mark.parametrize("gap", [{"label": None}, {}])
def test_init_with_labels_missing(tmp_path, gap):
    made = [{"text": f"a text that says something about {i}", "label": "ab"[i % 2]} for i in range(40)]
    write_records(tmp_path / "gaps.jsonl", [{"text": "a text of no label"} | gap, *made])
    path, _ = draft(tmp_path / "gaps.jsonl", tmp_path / "mine", BUILT_IN)
    step = yaml.safe_load(path.read_text())["stages"]["clean"]
    assert step["empty"] == "drop"
    (tmp_path / "out").mkdir()
    assert made_clean(tmp_path / "out", **step)["empty"] == {"train": 1}


def test_init_without_text(cli, data):
    data([{"id": "1", "price": "2.5", "n": 3}])
    code, _, error = cli("init", "in.txt")
    assert code == 2 and "P-RECIPE-021" in error and "id, price, n" in error


def test_init_from_the_command_line(cli, data, monkeypatch):
    monkeypatch.setattr("penjing.recipe.draft.BUILT_IN", STAGES)
    monkeypatch.setattr(draft, "__defaults__", (None, STAGES))
    data(rows())
    code, out, _ = cli("init", "in.txt")
    assert code == 0 and "penjing run in-recipe/recipe.yaml" in out
    code, _, error = cli("init", "in.txt")
    assert code == 2 and "P-RECIPE-013" in error


def test_predict_asks_for_as_many_texts_as_the_task_needs(cli, monkeypatch):
    class Asked(Answerer):
        task = task_named("span")

    monkeypatch.setattr(import_module("penjing.evaluate.ensemble"), "load_candidate", Asked.load)
    Path("base").mkdir()
    Path("base/penjing.json").write_text("{}")
    for words in (["who?"], ["who?", ""], ["who?", "Ann.", "where?"]):
        code, _, error = cli("predict", "base", *words)
        assert code == 2 and "P-TASK-110" in error and "question, context" in error and "--pair" not in error


@pytest.mark.parametrize(
    "record, columns, wanted",
    [
        ({"query": "a", "passage": "b"}, [], {"text": "a", "text_b": "b"}),
        ({"text": "a", "positive": "b", "negative": "c"}, [], {"text": "a", "positive": "b", "negative": "c"}),
        ({"one": "a", "two": "b"}, ["text=one", "text_b=two"], {"text": "a", "text_b": "b"}),
    ],
)
def test_predict_reads_the_files_of_vectors_that_training_reads(tmp_path, record, columns, wanted):
    write_records(tmp_path / "asked.jsonl", [record])
    found = list(asked(task_named("embed"), None, tmp_path / "asked.jsonl", columns, False))
    assert [dict(one) for one in found] == [wanted]
    assert texts_in(record) == ([] if columns else list(record.values()))


def test_one_step_is_one_step():
    assert [counted(number, "step") for number in (1, 2)] == ["1 step", "2 steps"]
