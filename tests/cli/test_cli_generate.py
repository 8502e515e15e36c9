"""generate and show-mask from the command line."""

import io
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from toys import toy_model  # noqa: E402

MODEL = "model"
SHORT = ("--max-new-tokens", "6", "--seed", "1")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "llama"
    toy_model("causal", "llama", seed=1, max_tokens=64).save(folder)
    return folder


@pytest.fixture
def generate(cli, saved):
    """`generate(prompt, flag, …)` with the toy model -> (exit code, stdout, stderr)."""
    Path(MODEL).symlink_to(saved)
    return lambda *words: cli("generate", MODEL, *words)


def test_texts_go_on(generate):
    code, out, error = generate("the parcel", *SHORT)
    assert code == 0 and out.startswith("the parcel") and len(out) > 12 and not error
    assert generate("the parcel", *SHORT)[1] == out
    assert generate("the parcel", *SHORT, "--only-new")[1] == out.removeprefix("the parcel")
    both = generate("the parcel", "box", *SHORT)[1]
    assert both.startswith(out + "\nbox") and generate("--file", "in.txt", *SHORT)[1].startswith(
        Path("in.txt").read_text()
    )


def test_answers_as_json(generate, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("the\n\n盆景\n"))
    code, out, _ = generate("--json", "--returns", "2", "--top-log-probabilities", "3", *SHORT)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [line["prompt"] for line in lines] == ["the", "盆景"]
    for answer in (answer for line in lines for answer in line["answers"]):
        assert answer["reason"] in ("length", "stop") and len(answer["tokens"]) == len(answer["log_probabilities"])
        assert len(answer["top"][0]) == 3 and "stopped_by" not in answer
    (line,) = generate("the", "--json", "--beams", "2", "--max-new-tokens", "3")[1].splitlines()
    assert json.loads(line)["answers"][0]["score"] < 0


def test_options_reach_the_decoding(generate):
    text = generate("the", *SHORT, "--only-new")[1].strip("\n")
    cut = generate("the", *SHORT, "--only-new", "--stop", text[2:4])[1].strip("\n")
    assert (
        cut == text[:2]
        and generate("the", *SHORT, "--only-new", "--stop", text[2:4], "--keep-stop")[1] == text[:4] + "\n"
    )
    tokens = json.loads(generate("the", *SHORT, "--json")[1])["answers"][0]["tokens"]
    for flags in (["--bad-words", f"[{tokens[0]}]"], ["--logit-bias", f"{tokens[0]}=-100"],
                  ["--bad-words", "[0, 1]", "--bad-words", f"[{tokens[0]}]"]):  # fmt: skip
        assert json.loads(generate("the", *SHORT, "--json", *flags)[1])["answers"][0]["tokens"][0] != tokens[0]


@pytest.mark.parametrize(
    "flags, matches",
    [
        (["--choices", "yes", "--choices", "no"], ("yes\n", "no\n")),
        (["--regex", "[ab]{2}"], ("aa\n", "ab\n", "ba\n", "bb\n")),
        (["--grammar", 'start: "so"'], ("so\n",)),
        (["--grammar", "g.lark"], ("file\n",)),
        (["--json-schema", '{"const": 7}'], ("7\n",)),
    ],
)
def test_forms(generate, flags, matches):
    Path("g.lark").write_text('start: "file"')
    assert generate("the", "--only-new", *SHORT, *flags)[1] in matches


@pytest.mark.parametrize(
    "words, said",
    [
        (["the", "--tempreature", "1"], ["P-OPTION-001", "did you mean: --temperature"]),
        (["the", "--temperature", "-1"], ["P-OPTION-002", "temperature"]),
        (["the", "--beams", "2", "--top-k", "5"], ["P-OPTION-006", "top_k"]),
        (["the", "--regex", "a", "--choices", "b"], ["P-OPTION-006", "choices"]),
        (["the", "--regex", "("], ["P-GENERATE-032"]),
        (["the " * 99], ["P-GENERATE-007", "64"]),
        (["the", "--file", "in.txt"], ["P-OPTION-006", "--file"]),
        (["--file", "empty.txt"], ["P-DATA-001"]),
        (["the", "--grammar", "bytes"], ["P-FILE-004", "UTF-8"]),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_mistakes(generate, words, said, language):
    Path("empty.txt").touch()
    Path("bytes").write_bytes(b"\xff")
    code, out, error = generate(*words, "--lang", language)
    assert code == 2 and not out and "Traceback" not in error and error.count("P-") == 1
    assert all(text in error for text in said if language == "en" or not text.startswith("did")), error


def test_what_cannot_generate(cli, tmp_path):
    toy_model("masked", "bert").save(tmp_path / "bert")
    assert "P-MODEL-009" in cli("generate", "bert", "x")[2]
    assert "P-FILE-001" in cli("chat", "nowhere")[2]
    assert "P-RECIPE-020" in cli("generate", ".", "x")[2]


CONVERSATION = {"messages": [{"role": "user", "content": "the parcel"}, {"role": "assistant", "content": "好 😀 box"}]}


def test_show_mask_of_conversations_and_text(cli, saved, monkeypatch):
    Path("chats.jsonl").write_text(json.dumps(CONVERSATION) + "\n" + json.dumps({"text": "the box"}) + "\n")
    code, out, error = cli("show-mask", str(saved), "chats.jsonl")
    assert code == 0 and "ChatML" in error
    assert "<|im_start|>assistant⏎\n⟦好 😀 box<|im_end|>⟧⏎" in out and "carry loss (by the template's generation" in out
    assert "⟦" in out.split("record 2")[1] and "every token but the first" in out
    table = cli("show-mask", str(saved), "chats.jsonl", "--first", "1", "--table")[1]
    assert (
        "record 2" not in table
        and '"<|im_end|>"' in table
        and any(line[0] == "+" for line in table.splitlines() if line)
    )
    Path("own.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>{% endif %}"
    )
    out = cli("show-mask", str(saved / "tokenizer.json"), "chats.jsonl", "--template", "own.jinja", "--lang", "zh")[1]
    assert "⟦好 😀 box<|im_end|>⟧" in out and "计入损失" in out
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(CONVERSATION) + "\n\njust text\n"))
    assert cli("show-mask", str(saved), "-", "--lang", "en")[1].count("record ") == 2


def test_show_mask_reads_every_form(cli, saved):
    said = [{"role": "user", "content": "the parcel"}, {"role": "assistant", "content": "box"}]
    forms = [
        {"conversations": [{"from": "human", "value": "the parcel"}, {"from": "gpt", "value": "box"}]},
        {"instruction": "the", "input": "parcel", "output": "box"}, {"prompt": "the parcel", "completion": "box"},
        {"question": "the parcel", "answer": "box"}, {"messages": [*said, {**said[1], "weight": 0}]},
        {"text": "kept aside", "messages": said},
    ]  # fmt: skip
    Path("forms.jsonl").write_text("".join(json.dumps(one) + "\n" for one in forms))
    code, out, _ = cli("show-mask", str(saved), "forms.jsonl", "--first", "9")
    assert code == 0 and out.count("⟦box<|im_end|>⟧") == len(forms) == out.count("⟦")


def test_show_mask_in_colour(cli, saved, monkeypatch):
    from penjing.cli.show_mask import painted

    assert painted(iter([("a", False), ("b\n", True), ("", True), ("c", True)]), True) == (
        "\033[2ma\033[0m\033[1;32mb⏎\nc\033[0m"
    )


def test_show_mask_says_when_nothing_is_learned(cli, saved):
    Path("one.jsonl").write_text(json.dumps({"messages": CONVERSATION["messages"][:1]}) + "\n")
    code, out, _ = cli("show-mask", str(saved), "one.jsonl")
    assert code == 1 and "nothing here is learned" in out


@pytest.mark.parametrize(
    "record, said",
    [
        ({"title": "x"}, ["P-CHAT-020", "messages", "r.jsonl:1"]),
        ({"conversations": [{"from": "humna", "value": "x"}]}, ["P-CHAT-003", "conversations[0].from", "human"]),
        (
            {"messages": [{"role": "robot", "content": "x"}, {"role": "user"}]},
            ["P-CHAT-003", "P-CHAT-004", "r.jsonl:1"],
        ),
        ({"messages": "hello"}, ["P-CHAT-001", "r.jsonl:1"]),
    ],
)
def test_show_mask_names_the_line(cli, saved, record, said):
    Path("r.jsonl").write_text(json.dumps(record) + "\n")
    code, _, error = cli("show-mask", str(saved), "r.jsonl")
    assert code == 2 and all(text in error for text in said), error
