"""Bad inputs, each made in a folder of its own: what a user may give, the code that must come back, words in it.

A case is a function (place, more) -> words of the command line. `place` holds train.jsonl, valid.jsonl, test.jsonl and
recipe.yaml; `more` is an ExitStack for what must be undone afterwards. Cases with `run=True` also get a finished run
in `runs/toy`. test_bad_inputs.py demands what is said here; benchmarks/bad_inputs.py prints the table.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from penjing.cli.main import main

RECIPE = """name: toy
stages:
  clean: {train: train.jsonl, valid: valid.jsonl, test: test.jsonl, near_duplicates: false}
  tokenizer: {data: $clean, kind: wordpiece, size: 300}
  finetune: {data: $clean, tokenizer: $tokenizer, layers: 1, width: 16, max_tokens: 64, steps: 2, measure_seconds: 0,
             threads: 1, dtype: float32}
"""
GOOD, BAD = ["great", "lovely", "wonderful", "nice", "superb"], ["bad", "awful", "broken", "terrible", "ugly"]
THINGS = ["film", "book", "phone", "parcel", "service", "meal", "hotel", "room", "staff", "ticket"]


@dataclass(frozen=True)
class Case:
    """One bad input."""

    name: str
    code: str  # of the message, or "" where the command must go well
    says: tuple[str, ...]  # in the message in both languages
    exit: int
    run: bool
    make: Callable[[Path, contextlib.ExitStack], Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    exit: int
    out: str
    error: str
    left: tuple[str, ...]  # what was half-written, or made by a command that failed

    @property
    def codes(self) -> list[str]:
        """The codes of the messages on stderr; problems listed under a first message count with it."""
        return [line.split(":")[0] for line in self.error.splitlines() if line.startswith("P-")]

    @property
    def message(self) -> str:
        """stderr from the first message on."""
        return self.error[self.error.index("P-") :] if "P-" in self.error else self.error


CASES: list[Case] = []


def case(
    name: str, code: str, *says: str, exit: int = 2, run: bool = False
) -> Callable[[Callable[..., Sequence[str]]], Callable[..., Sequence[str]]]:
    """Put a function into the list of cases."""

    def put(make: Callable[..., Sequence[str]]) -> Callable[..., Sequence[str]]:
        CASES.append(Case(name, code, says, exit, run, make))
        return make

    return put


def lines(count: int, seed: int) -> list[str]:
    """JSON lines with a text and one of two labels."""
    draw, made = random.Random(seed), []
    for i in range(count):
        words = (GOOD, BAD)[i % 2]
        text = f"The {draw.choice(THINGS)} {draw.randrange(10**6)} was {draw.choice(words)}, and {draw.choice(words)}."
        made.append(json.dumps({"text": text, "label": ("good", "bad")[i % 2]}))
    return made


def prepare(place: Path) -> None:
    """The files that every case finds."""
    for seed, (name, count) in enumerate((("train", 60), ("valid", 12), ("test", 12))):
        (place / f"{name}.jsonl").write_text("\n".join(lines(count, seed)) + "\n", encoding="utf-8")
    (place / "recipe.yaml").write_text(RECIPE, encoding="utf-8")


def files_under(place: Path) -> set[str]:
    """Every file and folder, by its path inside `place`."""
    return {path.relative_to(place).as_posix() for path in place.rglob("*")}


def leftovers(place: Path, before: set[str]) -> tuple[str, ...]:
    """What is new and neither in a whole step folder nor a pointer to one, nor a training that can go on."""
    whole = [p.parent for p in place.rglob("manifest.json") if not p.parent.name.endswith(".part")]
    whole += [p.parent for p in place.rglob("resume.json")]
    left = []
    for name in sorted(files_under(place) - before):
        path = place / name
        inside = any(path == folder or folder in path.parents or path in folder.parents for folder in whole)
        if not inside and not path.is_symlink() and path.name != "run.json":
            left.append(name)
    return tuple(left)


def perform(one: Case, place: Path, language: str, finished: Path | None = None) -> Outcome:
    """Make the bad input in `place` and give it to the command line, in this process."""
    prepare(place)
    if one.run and finished:
        shutil.copytree(finished, place / "runs", symlinks=True)
    out, error, here = io.StringIO(), io.StringIO(), Path.cwd()
    previous = signal.getsignal(signal.SIGTERM)
    environment = mock.patch.dict(os.environ, {"PENJING_LANG": language, "PENJING_DEBUG": ""})
    try:
        os.chdir(place)
        with contextlib.ExitStack() as more, environment:
            words = one.make(place, more)
            before = files_under(place)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                code = main(words)
        return Outcome(code, out.getvalue(), error.getvalue(), leftovers(place, before))
    finally:
        os.chdir(here)
        signal.signal(signal.SIGTERM, previous)


def finished_run(place: Path) -> Path:
    """A whole run of the toy recipe; its `runs` folder is copied into the cases that ask for one."""
    outcome = perform(Case("a good run", "", (), 0, False, lambda *_: ["run", "recipe.yaml"]), place, "en")
    assert outcome.exit == 0 and not outcome.left, outcome
    return place / "runs"


# ---- data ----


def cleaning(*words: str) -> list[str]:
    return ["clean", "--out", "out", *words]


@case("empty file", "P-DATA-001", "empty.csv")
def empty_file(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("empty.csv").touch()
    return cleaning("--train", "empty.csv")


@case("only a header", "P-DATA-001", "header.csv")
def only_a_header(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("header.csv").write_text("text,label\n")
    return cleaning("--train", "header.csv")


@case("missing column", "P-DATA-017", "'lable'", "label")
def missing_column(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_text("review,label\nnice,good\nugly,bad\n")
    return cleaning("--train", "a.csv", "--columns", "text=review", "--columns", "label=lable")


@case("no column is named text", "P-DATA-017", "'text'", "reviw")
def no_text_column(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_text("reviw,label\nnice,good\nugly,bad\n")
    return cleaning("--train", "a.csv")


@case("wrong encoding given", "P-DATA-007", "a.csv", "3", "ascii")
def wrong_encoding(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_bytes("text,label\nnice,good\n真不错,good\nugly,bad\n".encode("gb18030"))
    return cleaning("--train", "a.csv", "--encoding", "ascii")


@case("unsure encoding", "P-DATA-008", "a.txt")
def unsure_encoding(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.txt").write_bytes(b"caf\xe9 au lait\nna\xefve\n")
    return cleaning("--raw", "a.txt")


@case("unknown encoding", "P-DATA-009", "utf-88", "utf-8")
def unknown_encoding(place: Path, more: contextlib.ExitStack) -> list[str]:
    return cleaning("--train", "train.jsonl", "--encoding", "utf-88")


@case("broken JSON lines among many", "P-DATA-011", "many.jsonl", "1500", "2")
def broken_lines(place: Path, more: contextlib.ExitStack) -> list[str]:
    many = lines(3000, 7)
    many[1499], many[2499] = '{"text": "half', "{]"
    Path("many.jsonl").write_text("\n".join(many))
    return cleaning("--train", "many.jsonl")


@case("JSON, but no object", "P-DATA-012", "a.jsonl", "2")
def json_but_no_object(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.jsonl").write_text('{"text": "a", "label": "b"}\n"only text"\n')
    return cleaning("--train", "a.jsonl")


@case("CSV row with too many cells", "P-DATA-014", "a.csv", "3")
def too_many_cells(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_text("text,label\nnice,good\nugly, really,bad\n")
    return cleaning("--train", "a.csv")


@case("CSV with an open quote", "P-DATA-013", "a.csv", "3")
def open_quote(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_text('text,label\nnice,good\n"ugly,bad\nmore,bad\n')
    return cleaning("--train", "a.csv")


@case("corrupt gzip", "P-DATA-006", "a.jsonl.gz")
def corrupt_gzip(place: Path, more: contextlib.ExitStack) -> list[str]:
    packed = gzip.compress("\n".join(lines(500, 3)).encode())
    Path("a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    return cleaning("--train", "a.jsonl.gz")


@case("corrupt zstd", "P-DATA-006", "a.jsonl.zst")
def corrupt_zstd(place: Path, more: contextlib.ExitStack) -> list[str]:
    import zstandard

    packed = bytearray(zstandard.compress("\n".join(lines(5000, 3)).encode()))
    packed[len(packed) // 2] ^= 255
    Path("a.jsonl.zst").write_bytes(packed[:-9])
    return cleaning("--train", "a.jsonl.zst")


@case("not packed at all", "P-DATA-006", "a.csv.gz")
def not_packed(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv.gz").write_text("text,label\nnice,good\n")
    return cleaning("--train", "a.csv.gz")


@case("corrupt Parquet", "P-DATA-016", "a.parquet")
def corrupt_parquet(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.parquet").write_bytes(b"PAR1" + b"\0" * 200)
    return cleaning("--train", "a.parquet")


@case("unknown format", "P-DATA-004", "a.docx")
def unknown_format(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.docx").write_bytes(b"PK\3\4" + b"\0" * 99)
    return cleaning("--train", "a.docx")


@case("binary file named as text", "P-DATA-030", "a.csv")
def binary_file(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_bytes(bytes(range(256)) * 40)
    return cleaning("--train", "a.csv")


@case("folder with mixed formats", "P-DATA-005", "csv", "jsonl")
def mixed_formats(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("mixed").mkdir()
    Path("mixed/a.csv").write_text("text,label\nnice,good\n")
    Path("mixed/b.jsonl").write_text('{"text": "ugly", "label": "bad"}\n')
    return cleaning("--train", "mixed")


@case("folder without data", "P-DATA-002", "nothing")
def folder_without_data(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("nothing").mkdir()
    return cleaning("--train", "nothing")


@case("label in test unseen in train", "P-DATA-029", "'strange'")
def unseen_label(place: Path, more: contextlib.ExitStack) -> list[str]:
    with open("test.jsonl", "a") as file:
        file.write('{"text": "what is this", "label": "strange"}\n')
    return ["run", "recipe.yaml", "--only", "clean"]


@case("one class only", "P-DATA-028", "'good'")
def one_class(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("one.jsonl").write_text("\n".join(lines(40, 5)[::2]))
    return cleaning("--train", "one.jsonl")


@case("missing label", "P-DATA-018", "a.csv", "3")
def missing_label(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_text("text,label\nnice,good\nugly,\nbroken,bad\n")
    return cleaning("--train", "a.csv")


@case("label of a strange kind", "P-DATA-022", "a.jsonl", "2")
def strange_label(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "c", "label": {"x": 1}}\n')
    return cleaning("--train", "a.jsonl")


@case("fine-tuning data without labels", "P-TASK-009", "train.jsonl")
def without_labels(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("bare.jsonl").write_text("".join(json.dumps({"text": json.loads(x)["text"]}) + "\n" for x in lines(40, 4)))
    sets = ["clean.train=bare.jsonl", "clean.valid=bare.jsonl", "clean.test=null", "clean.across_splits=report"]
    return ["run", "recipe.yaml", *(word for one in sets for word in ("--set", one))]


# ---- options and recipes ----


@case("unknown command", "P-OPTION-004", "'finetun'", "finetune")
def unknown_command(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["finetun"]


@case("unknown stage", "P-OPTION-004", "recipe.yaml", "3", "'clena'", "clean")
def unknown_stage(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text("name: toy\nstages:\n  clena: {train: train.jsonl}\n")
    return ["run", "recipe.yaml"]


@case("unknown option in a recipe", "P-OPTION-001", "recipe.yaml", "5", "'leyers'", "layers")
def unknown_option(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text(RECIPE.replace("layers", "leyers"))
    return ["run", "recipe.yaml"]


@case("unknown flag", "P-OPTION-001", "--trian", "--train")
def unknown_flag(place: Path, more: contextlib.ExitStack) -> list[str]:
    return cleaning("--trian", "train.jsonl")


@case("wrong type", "P-OPTION-002", "recipe.yaml", "'many'", "layers", "int")
def wrong_type(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text(RECIPE.replace("layers: 1", "layers: many"))
    return ["run", "recipe.yaml"]


@case("value out of range", "P-OPTION-002", "valid_share", "-1")
def out_of_range(place: Path, more: contextlib.ExitStack) -> list[str]:
    return cleaning("--train", "train.jsonl", "--valid-share", "-1")


@case("needed option missing", "P-OPTION-003", "recipe.yaml", "'data'")
def needed_option(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text(RECIPE.replace("tokenizer: {data: $clean, kind", "tokenizer: {kind"))
    return ["run", "recipe.yaml"]


@case("no length of training", "P-TRAIN-005")
def no_length(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text(RECIPE.replace("steps: 2, ", ""))
    return ["run", "recipe.yaml"]


@case("no tokenizer for a fresh network", "P-OPTION-003", "recipe.yaml", "'tokenizer'")
def no_tokenizer(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text(
        RECIPE.replace("finetune: {data: $clean, tokenizer: $tokenizer,", "finetune: {data: $clean,")
    )
    return ["run", "recipe.yaml"]


@case("missing file", "P-FILE-001", "trian.jsonl", "train.jsonl")
def missing_file(place: Path, more: contextlib.ExitStack) -> list[str]:
    return cleaning("--train", "trian.jsonl")


@case("missing recipe", "P-FILE-001", "recipe.yml", "recipe.yaml")
def missing_recipe(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yml"]


@case("reference to an unknown step", "P-RECIPE-008", "recipe.yaml", "'cleen'", "clean")
def unknown_step(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text(RECIPE.replace("$clean, kind", "$cleen, kind"))
    return ["run", "recipe.yaml"]


@case("YAML syntax error", "P-RECIPE-001", "recipe.yaml", "3")
def yaml_error(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text("name: toy\nstages:\n  clean: {train: [train.jsonl}\n")
    return ["run", "recipe.yaml"]


@case("a recipe with tabs", "P-RECIPE-001", "recipe.yaml", "3")
def yaml_tabs(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("recipe.yaml").write_text("name: toy\nstages:\n\tclean:\n\t\ttrain: a\n")
    return ["run", "recipe.yaml"]


@case("data given as the recipe", "P-RECIPE-002", "train.jsonl")
def no_recipe(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("train.jsonl").write_text(lines(1, 1)[0])
    return ["run", "train.jsonl"]


@case("--set of an unknown step", "P-OPTION-004", "'finetone'", "finetune")
def set_of_unknown_step(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--set", "finetone.layers=2"]


@case("--set of an unknown option", "P-OPTION-001", "'layer'", "layers")
def set_of_unknown_option(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--set", "finetune.layer=2"]


@case("a change of rank 0", "P-OPTION-002", "rank", "0", "change lora")
def rank_0(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--set", "finetune.change.lora.rank=0"]


@case("a change that is not known", "P-OPTION-004", "'lore'", "lora")
def unknown_change(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--set", "finetune.change=lore"]


@case("--set without a value", "P-RECIPE-006", "finetune.layers")
def set_without_value(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--set", "finetune.layers"]


@case("--only before what it needs", "P-RECIPE-011", "clean", "tokenizer")
def only_too_early(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--only", "tokenizer"]


@case("unknown family", "P-OPTION-004", "'brt'", "bert")
def unknown_family(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--set", "finetune.family=brt"]


@case("width that heads do not divide", "P-MODEL-001", "width")
def odd_width(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--set", "finetune.width=129"]


# ---- prompts with examples ----


def fewshot(*more: str, model: str = ".") -> list[str]:
    return ["fewshot", "--model", model, "--data", ".", "--out", "out", *more]


@case("shots that are no numbers", "P-SHOT-011", "few")
def wordy_shots(place: Path, more: contextlib.ExitStack) -> list[str]:
    return fewshot("--shots", "0,few")


@case("template without a place for the label", "P-SHOT-001", "label")
def template_without_label(place: Path, more: contextlib.ExitStack) -> list[str]:
    return fewshot("--template", "Text: {text}")


@case("template that is no Jinja", "P-SHOT-002", "{{ text")
def broken_template(place: Path, more: contextlib.ExitStack) -> list[str]:
    return fewshot("--template", "{{ text }} {{ label")


@case("a classifier asked to write", "P-MODEL-009", run=True)
def classifier_that_writes(place: Path, more: contextlib.ExitStack) -> list[str]:
    return fewshot(model="runs/toy")


# ---- models ----


def model_folder() -> Path:
    return Path("runs/toy/finetune/model")


@case("0-byte checkpoint", "P-MODEL-018", "model.safetensors", run=True)
def empty_checkpoint(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "model.safetensors").write_bytes(b"")
    return ["predict", "runs/toy", "a text"]


@case("truncated checkpoint", "P-MODEL-018", "model.safetensors", run=True)
def truncated_checkpoint(place: Path, more: contextlib.ExitStack) -> list[str]:
    file = model_folder() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    return ["predict", "runs/toy", "a text"]


@case("weights gone", "P-MODEL-016", run=True)
def weights_gone(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "model.safetensors").unlink()
    return ["predict", "runs/toy", "a text"]


@case("pickle .bin only", "P-MODEL-050", "pytorch_model.bin", run=True)
def pickle_only(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "model.safetensors").rename(model_folder() / "pytorch_model.bin")
    return ["predict", "runs/toy", "a text"]


@case("config.json is no JSON", "P-FILE-004", "config.json", run=True)
def config_no_json(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "config.json").write_text("{")
    return ["predict", "runs/toy", "a text"]


@case("config.json is a list", "P-FILE-004", "config.json", run=True)
def config_a_list(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "config.json").write_text("[]")
    return ["predict", "runs/toy", "a text"]


@case("config.json is empty bytes", "P-FILE-004", "config.json", run=True)
def config_binary(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "config.json").write_bytes(b"\xff\xfe\0\1")
    return ["predict", "runs/toy", "a text"]


@case("config.json of another width", "P-MODEL-014", run=True)
def config_other_width(place: Path, more: contextlib.ExitStack) -> list[str]:
    change_config(hidden_size=32)
    return ["predict", "runs/toy", "a text"]


@case("config.json of a foreign family", "P-MODEL-010", "config.json", "'mamba'", run=True)
def config_foreign_family(place: Path, more: contextlib.ExitStack) -> list[str]:
    change_config(model_type="mamba")
    return ["predict", "runs/toy", "a text"]


def change_config(**values: object) -> None:
    file = model_folder() / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@case("penjing.json is broken", "P-FILE-004", "penjing.json", run=True)
def broken_about(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "penjing.json").write_text('{"kind": ')
    return ["predict", "runs/toy", "a text"]


@case("penjing.json lacks the task", "P-FILE-004", "penjing.json", run=True)
def about_without_task(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "penjing.json").write_text("{}")
    return ["predict", "runs/toy", "a text"]


@case("tokenizer that does not fit", "P-TASK-004", run=True)
def wrong_tokenizer(place: Path, more: contextlib.ExitStack) -> list[str]:
    from penjing.text.tokenizer_training import train_tokenizer

    texts = [" ".join(f"w{i}{j}" for j in range(200)) for i in range(200)]
    train_tokenizer(texts, kind="wordpiece", size=3000).save(model_folder())
    return ["predict", "runs/toy", "a text"]


@case("tokenizer.json is broken", "P-TOKEN-001", "tokenizer.json", run=True)
def broken_tokenizer(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "tokenizer.json").write_text("{}")
    return ["predict", "runs/toy", "a text"]


@case("tokenizer gone", "P-TOKEN-001", run=True)
def tokenizer_gone(place: Path, more: contextlib.ExitStack) -> list[str]:
    (model_folder() / "tokenizer.json").unlink()
    return ["predict", "runs/toy", "a text"]


@case("broken linear model", "P-EVAL-003", run=True)
def broken_linear(place: Path, more: contextlib.ExitStack) -> list[str]:
    folder = next(Path("runs/toy/finetune/baselines").glob("tfidf*"))
    next(folder.glob("*.safetensors")).write_bytes(b"")
    return ["predict", str(folder), "a text"]


@case("predict in a folder without a model", "P-RECIPE-020", run=True)
def no_model(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["predict", "runs/toy/clean", "a text"]


# ---- texts to predict ----


@case("predict without a text", "P-DATA-031", run=True)
def predict_nothing(place: Path, more: contextlib.ExitStack) -> list[str]:
    more.enter_context(mock.patch.object(sys, "stdin", io.StringIO("\n \n")))
    return ["predict", "runs/toy"]


@case("predict an empty text", "P-DATA-031", run=True)
def predict_empty(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["predict", "runs/toy", ""]


@case("predict a binary file", "P-DATA-030", "a.txt", run=True)
def predict_binary(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.txt").write_bytes(bytes(range(256)) * 40)
    return ["predict", "runs/toy", "--file", "a.txt"]


@case("predict binary bytes on stdin", "P-DATA-007", "stdin", "1", run=True)
def predict_binary_stdin(place: Path, more: contextlib.ExitStack) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\xfa\n"), encoding="utf-8")
    more.enter_context(mock.patch.object(sys, "stdin", stream))
    return ["predict", "runs/toy"]


@case("predict a file without a column text", "P-DATA-017", "'text'", "review", run=True)
def predict_no_column(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_text("review,stars\nnice,5\n")
    return ["predict", "runs/toy", "--file", "a.csv"]


@case("predict with --columns, but no --file", "P-OPTION-005", "--columns", "--file", run=True)
def predict_columns(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["predict", "runs/toy", "a text", "--columns", "text=review"]


@case("predict with --file and a text", "P-OPTION-006", "--file", "TEXT", run=True)
def predict_both(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["predict", "runs/toy", "a text", "--file", "train.jsonl"]


@case("predict with a strange --columns", "P-OPTION-002", "--columns", "'review'", run=True)
def predict_strange_columns(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["predict", "runs/toy", "--file", "train.jsonl", "--columns", "review"]


@case("predict a file whose texts are numbers", "P-DATA-021", "a.jsonl", "1", run=True)
def predict_numbers(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.jsonl").write_text('{"text": 5}\n')
    return ["predict", "runs/toy", "--file", "a.jsonl"]


@case("a text longer than the window", "", exit=0, run=True)
def predict_long(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["predict", "runs/toy", "the film was great. " * 400]


# ---- init ----


@case("init on a file without text", "P-RECIPE-021", "a.csv", "price")
def init_no_text(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").write_text("id,price\n1,2.5\n2,3.5\n")
    return ["init", "a.csv"]


@case("init on an empty file", "P-DATA-001", "a.csv")
def init_empty(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("a.csv").touch()
    return ["init", "a.csv"]


@case("advise on a task that the fields are not for", "P-ADVISE-001", "span", "context + question")
def advise_task(place: Path, more: contextlib.ExitStack) -> list[str]:
    (place / "a.csv").write_text("text,label\na,b\n")
    return ["advise", "a.csv", "--task", "span"]


@case("advise on records without text", "P-ADVISE-002", "2")
def advise_no_text(place: Path, more: contextlib.ExitStack) -> list[str]:
    (place / "a.jsonl").write_text('{"source": "", "target": "b"}\n{"source": null, "target": "c"}\n')
    return ["advise", "a.jsonl"]


@case("advise with a recipe for a task that reads a folder", "P-ADVISE-003", "span", "a.jsonl")
def advise_no_folder(place: Path, more: contextlib.ExitStack) -> list[str]:
    (place / "a.jsonl").write_text('{"question": "Who?", "context": "Ann.", "answers": []}\n')
    return ["advise", "a.jsonl", "--no-measure", "--write", "mine"]


@case("init on mixed formats", "P-DATA-005", "csv", "jsonl")
def init_mixed(place: Path, more: contextlib.ExitStack) -> list[str]:
    mixed_formats(place, more)
    return ["init", "mixed"]


# ---- step folders ----


@case("verify a tampered step folder", "P-RECIPE-015", "train.jsonl", exit=1, run=True)
def verify_tampered(place: Path, more: contextlib.ExitStack) -> list[str]:
    tamper()
    return ["verify", "runs/toy"]


def tamper() -> None:
    with open("runs/toy/clean/train.jsonl", "a", encoding="utf-8") as file:
        file.write(lines(1, 99)[0] + "\n")


@case("run on a tampered step folder", "P-RECIPE-012", "train.jsonl", run=True)
def run_tampered(place: Path, more: contextlib.ExitStack) -> list[str]:
    tamper()
    return ["run", "recipe.yaml", "--set", "tokenizer.size=301"]


@case("a stage on a tampered step folder", "P-RECIPE-012", "train.jsonl", run=True)
def stage_tampered(place: Path, more: contextlib.ExitStack) -> list[str]:
    tamper()
    return ["tokenizer", "--out", "out", "--data", "runs/toy/clean"]


@case("verify a folder that is no run", "P-RECIPE-014")
def verify_nothing(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["verify", "."]


@case("a JSON list that breaks off", "P-DATA-045", "list.json")
def broken_list(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("list.json").write_text('[{"text": "nice", "label": "good"}, {"text": "ug')
    return cleaning("--train", "list.json")


@case("one JSON object over several lines", "P-DATA-046", "one.json")
def one_object(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("one.json").write_text(json.dumps({"text": "nice", "label": "good"}, indent=1))
    return cleaning("--train", "one.json")


def questions(*answers: dict[str, object]) -> list[str]:
    """Words that teach the answers of one question."""
    Path("qa").mkdir()
    record = {"question": "What?", "context": "a tree in a tray", "answers": list(answers)}
    Path("qa/train.jsonl").write_text(json.dumps(record))
    return [
        "finetune",
        "--out",
        "out",
        "--data",
        "qa",
        "--task",
        "span",
        "--tokenizer",
        "runs/toy/tokenizer",
        "--steps",
        "1",
    ]


@case("an answer that is no part of its context", "P-DATA-049", "qa/train.jsonl:1", "bush", run=True)
def foreign_answer(place: Path, more: contextlib.ExitStack) -> list[str]:
    return questions({"text": "bush", "start": 2})


@case("an answer at a wrong place, in several places", "P-DATA-048", "qa/train.jsonl:1", run=True)
def misplaced_answer(place: Path, more: contextlib.ExitStack) -> list[str]:
    return questions({"text": "a", "start": 2})


@case("a folder with the user's files as --out", "P-RECIPE-013", "mine")
def own_files(place: Path, more: contextlib.ExitStack) -> list[str]:
    Path("mine").mkdir()
    Path("mine/thesis.doc").write_text("years of work")
    return ["clean", "--out", "mine", "--train", "train.jsonl"]


# ---- the machine ----


@contextlib.contextmanager
def failing(error: int, *endings: str) -> Iterator[None]:
    """Writing a file whose name holds one of `endings` fails in its middle."""
    opened = open

    def opens(file, mode="r", *given, **named):
        stream = opened(file, mode, *given, **named)
        if set(mode) & set("wax+") and any(ending in str(file) for ending in endings):
            return Failing(stream, error)
        return stream

    with mock.patch("builtins.open", opens), mock.patch("io.open", opens):
        yield


class Failing:
    """A file that takes a first write and refuses the next flush or write."""

    def __init__(self, stream, error):
        self.stream, self.error, self.written = stream, error, 0

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *given):
        self.stream.close()

    def __iter__(self):
        return iter(self.stream)

    def write(self, data):
        self.written += 1
        if self.written > 1:
            self.refuse()
        return self.stream.write(data)

    def flush(self):
        self.refuse()

    def refuse(self):
        raise OSError(self.error, os.strerror(self.error))


FULL = {
    "data": ("train.jsonl",),
    "tokenizer": ("tokenizer.json",),
    "state": ("state-",),
    "model": ("model.safetensors",),
    "log": ("log.jsonl",),
    "manifest": ("manifest.json",),
    "baseline": ("baselines",),
    "run.json": ("run.json",),
}


def full(name: str) -> None:
    """A case in which the disk is full while `name` is written."""

    @case(f"full disk: {name}", "P-FILE-002")
    def full_disk(place: Path, more: contextlib.ExitStack) -> list[str]:
        words = ["run", "recipe.yaml", "--set", "finetune.save_seconds=0"]
        more.enter_context(failing(errno.ENOSPC, *FULL[name]))
        return words


for _name in FULL:
    full(_name)


@case("full disk: token file", "P-FILE-002", run=True)
def full_cache(place: Path, more: contextlib.ExitStack) -> list[str]:
    more.enter_context(failing(errno.ENOSPC, "cache"))
    data = ["--data", "runs/toy/clean", "--tokenizer", "runs/toy/tokenizer", "--measure-seconds", "0"]
    return ["pretrain", "--out", "out", *data, "--steps", "1"]


@case("full disk: init", "P-FILE-002", "recipe.yaml")
def full_init(place: Path, more: contextlib.ExitStack) -> list[str]:
    more.enter_context(failing(errno.ENOSPC, "recipe.yaml"))
    return ["init", "train.jsonl"]


@case("read-only folder", "P-FILE-003")
def read_only(place: Path, more: contextlib.ExitStack) -> list[str]:
    made = Path.mkdir

    def mkdir(self, *given, **named):
        if "locked" in self.parts:
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return made(self, *given, **named)

    more.enter_context(mock.patch.object(Path, "mkdir", mkdir))
    return ["run", "recipe.yaml", "--out", "locked/toy"]


@case("output below a file", "P-FILE-005", "train.jsonl")
def below_a_file(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["run", "recipe.yaml", "--out", "train.jsonl/deep"]


@case("init below a file", "P-FILE-005", "train.jsonl")
def init_below_a_file(place: Path, more: contextlib.ExitStack) -> list[str]:
    return ["init", "train.jsonl", "--out", "train.jsonl/deep"]


@case("input without permission", "P-FILE-003", "train.jsonl")
def unreadable(place: Path, more: contextlib.ExitStack) -> list[str]:
    opened = open

    def opens(file, mode="r", *given, **named):
        if str(file).endswith("train.jsonl") and "r" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return opened(file, mode, *given, **named)

    more.enter_context(mock.patch("builtins.open", opens))
    return cleaning("--train", "train.jsonl")


def hide(more: contextlib.ExitStack, module: str) -> None:
    """As if `module` were not installed."""
    import importlib.util

    find = importlib.util.find_spec

    def finds(name, *given):
        return None if name.split(".")[0] == module else find(name, *given)

    more.enter_context(
        mock.patch.dict(sys.modules, {m: None for m in [*sys.modules, module] if m.split(".")[0] == module})
    )
    more.enter_context(mock.patch("penjing.recipe.stage.find_spec", finds))


@case("extra missing: scikit-learn", "P-SYSTEM-001", "sklearn", "penjing[evaluate]")
def without_sklearn(place: Path, more: contextlib.ExitStack) -> list[str]:
    hide(more, "sklearn")
    return ["run", "recipe.yaml"]


@case("extra missing: pyarrow", "P-SYSTEM-001", "pyarrow", "penjing[data]")
def without_pyarrow(place: Path, more: contextlib.ExitStack) -> list[str]:
    hide(more, "pyarrow")
    Path("a.parquet").write_bytes(b"PAR1" + b"\0" * 200)
    return cleaning("--train", "a.parquet")


@case("extra missing: jieba", "P-SYSTEM-001", "jieba", run=True)
def without_jieba(place: Path, more: contextlib.ExitStack) -> list[str]:
    hide(more, "jieba")
    data = ["--data", "runs/toy/clean", "--tokenizer", "runs/toy/tokenizer", "--measure-seconds", "0"]
    return [
        "pretrain",
        "--out",
        "out",
        *data,
        "--steps",
        "1",
        "--task",
        "{masked: {whole_words: true, chinese_words: true}}",
    ]


def interrupted(name: str, number: int) -> None:
    """A case in which a signal comes in the middle of training."""

    @case(f"{name} during a run", "P-TRAIN-002", exit=130)
    def stopped(place: Path, more: contextlib.ExitStack) -> list[str]:
        timer = threading.Thread(target=signal_later, args=(place, number), daemon=True)
        more.callback(timer.join, 20)
        timer.start()
        return ["run", "recipe.yaml", "--set", "finetune.steps=100000"]


def signal_later(place: Path, number: int) -> None:
    """Send a signal to this process once training writes its log."""
    import time

    for _ in range(2000):
        if any(file.stat().st_size for file in place.glob("runs/toy/*.part/log.jsonl")):
            os.kill(os.getpid(), number)
            return
        time.sleep(0.01)


interrupted("Ctrl-C", signal.SIGINT)
interrupted("SIGTERM", signal.SIGTERM)
