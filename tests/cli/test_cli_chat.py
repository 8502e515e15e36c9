"""chat: a conversation through pipes, its commands, a terminal, Ctrl-C."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from toys import tokenizer, toy_model  # noqa: E402

from penjing.cli import chat as chat_command  # noqa: E402
from penjing.cli.talk import Talk  # noqa: E402
from penjing.tasks.writer import Writer  # noqa: E402

ROOT = Path(__file__).parents[2]
SHORT = ("--max-new-tokens", "5", "--seed", "1")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    toy_model("causal", "llama", seed=1, max_tokens=96).save(place / "llama")
    toy_model("causal", "lstm", seed=2).save(place / "lstm")
    return place


@pytest.fixture
def chat(cli, models, monkeypatch):
    """`chat(lines, flag, …)` -> (exit code, stdout, stderr)."""

    def call(lines, *words, model="llama"):
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
        return cli("chat", str(models / model), *SHORT, *words)

    return call


def test_turns_and_commands(chat):
    lines = [
        "the parcel",
        "/history",
        "",
        "盆景",
        "/undo",
        "/history",
        "/save a.jsonl",
        "/clear",
        "/history",
        "/undo",
        "/again",
    ]
    code, out, error = chat(lines)
    saved = json.loads(Path("a.jsonl").read_text())["messages"]
    assert code == 0 and [one["role"] for one in saved] == ["user", "assistant"]
    assert out.startswith(saved[1]["content"]) and error.count("user: the parcel") == 2 and "盆景" in error
    assert "Taken back: 盆景" in error and "forgotten" in error and error.count("nothing yet") == 3
    assert "ChatML" in error


def test_saved_conversations_go_on(chat, models):
    record = {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "the"}]}
    Path("a.jsonl").write_text(json.dumps(record))
    code, out, error = chat(["/again", "/save b.jsonl"], "--load", "a.jsonl")
    messages = json.loads(Path("b.jsonl").read_text())["messages"]
    assert code == 0 and messages[:2] == record["messages"] and messages[2]["content"] == out.removesuffix("\n")
    writer = Writer.load(models / "llama")
    assert messages[2]["content"] == writer.reply(record["messages"], max_new_tokens=5, seed=1)
    lines = [
        "/load b.jsonl",
        "/system be short",
        "/save c.jsonl",
        "/system",
        "/save d.jsonl",
        "/load",
        "/save",
        "/nonsense",
    ]
    error = chat(lines)[2]
    assert json.loads(Path("c.jsonl").read_text())["messages"] == [
        {"role": "system", "content": "be short"},
        *messages[1:],
    ]
    assert json.loads(Path("d.jsonl").read_text())["messages"] == messages[1:]
    assert "3 messages read" in error and "Give a file: /load" in error and "no command /nonsense" in error
    assert chat(["/again"], "--load", "a.jsonl", "--system", "be short")[1] != out


def test_mistakes_do_not_end_the_program(chat):
    Path("bad.jsonl").write_text('{"messages": [{"role": "robot", "content": "x"}]}')
    code, out, error = chat(["/load nowhere.jsonl", "/load bad.jsonl", "the " * 200, "/history", "box"])
    assert (
        code == 0
        and out
        and all(code in error for code in ("P-FILE-001", "P-CHAT-003", "P-GENERATE-007", "nothing yet"))
    )
    for flags, said in ((["--load", "nowhere"], "P-FILE-001"), (["--template", "{% for %}"], "P-CHAT-005"),
                        (["--template", "tool"], "P-CHAT-010"), (["--temperature", "0"], "P-OPTION-005")):  # fmt: skip
        code, _, error = chat(["hello"], *flags)
        assert said in error and code in (0, 2)


def test_chinese(chat):
    error = chat(["/help", "/undo", "/what"], "--lang", "zh")[2]
    assert "收回上一个问题" in error and "还没有内容" in error and "没有命令 /what" in error


def test_a_full_window_and_a_limit_are_said(chat):
    code, _, error = chat(["the parcel box"] * 8)
    assert code == 0 and "oldest messages are no longer read" in error and "ends at its limit" in error
    assert "P-" not in error


def test_the_plain_form_is_said(chat):
    code, out, error = chat(["the"], model="lstm")
    assert code == 0 and '"User: … Assistant: …" is used' in error and not out.startswith(" ")


def test_text_that_is_not_utf8(cli, models, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), "utf-8"))
    code, _, error = cli("chat", str(models / "llama"))
    assert code == 2 and "P-DATA-007" in error


def test_an_answer_that_is_broken_off(models):
    talk = Talk(Writer.load(models / "llama"), {"max_new_tokens": 9, "seed": 1})
    pieces = talk.ask("the")
    first = next(pieces)
    pieces.close()
    assert [one["content"] for one in talk.turns] == ["the", first]
    talk.ask("box").close()  # before a word came
    assert len(talk.turns) == 2


def heard():
    """A terminal's programs hear Ctrl-C, also where the tests were started by a shell in the background, which do not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """The program in a terminal of its own."""

    def __init__(self, *words):
        self.master, slave = pty.openpty()
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PENJING_LANG": "en",
            "TERM": "dumb",
            "OMP_NUM_THREADS": "1",
        }
        self.run = subprocess.Popen(
            [sys.executable, "-m", "penjing", "chat", *words], stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True, preexec_fn=heard,
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def until(self, wanted, seconds=60):
        """Read until a text has come; returns all that came since the last one found."""
        end = time.monotonic() + seconds
        while wanted not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self.master], [], [], 0.2)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")
        came, _, self.text = self.text.partition(wanted)
        return came + wanted

    def type(self, text):
        os.write(self.master, text.encode())

    def interrupt(self):
        self.run.send_signal(signal.SIGINT)

    def has(self, wanted):
        """Has a text come?"""
        while select.select([self.master], [], [], 0.1)[0]:
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # the program has left
                break
        return wanted in self.text

    def interrupt_until(self, done, pause=15):
        """Ctrl-C, and again after a while: one that comes just before readline waits is only seen with the next."""
        for _ in range(4):
            time.sleep(0.3)  # the sign that a line is waited for comes before the wait
            self.interrupt()
            end = time.monotonic() + pause
            while time.monotonic() < end:
                self.has("")
                if done():
                    return
        raise AssertionError(self.text)


@pytest.fixture
def terminal(models):
    """A model that never stops by itself, in a terminal."""
    end = tokenizer("wordpiece").end
    found = Terminal(str(models / "lstm"), "--max-new-tokens", "1000000", "--seed", "1", "--logit-bias", f"{end}=-1000")
    yield found
    found.run.kill()
    found.run.wait()
    os.close(found.master)


def test_ctrl_c_stops_the_answer_and_not_the_program(terminal):
    assert "/help" in terminal.until("You: ")
    terminal.type("the parcel\n")
    terminal.until("parcel\r\n")
    while len(terminal.text) < 50:
        terminal.text += os.read(terminal.master, 4096).decode(errors="replace")
    terminal.interrupt()
    terminal.until("[stopped]")
    terminal.until("You: ")
    terminal.type("/history\n")
    assert "assistant: " in terminal.until("You: ")
    terminal.interrupt_until(lambda: terminal.has("again or Ctrl-D leaves"))
    terminal.until("You: ")
    terminal.interrupt_until(lambda: terminal.run.poll() is not None)
    assert terminal.run.returncode == 0


def test_ctrl_d_leaves(models, monkeypatch, capsys):
    session = chat_command.Session(Talk(Writer.load(models / "llama"), {"max_new_tokens": 3, "seed": 1}), "toy")
    session.terminal, typed = True, iter(["the", EOFError])

    def line(prompt):
        found = next(typed)
        if found is EOFError:
            raise EOFError
        return found

    monkeypatch.setattr("builtins.input", line)
    assert session.run() == 0 and "toy. /help" in capsys.readouterr().out and len(session.talk.turns) == 2


def test_every_word_has_both_languages():
    from penjing.cli import show_mask

    for words in (chat_command.WORDS, show_mask.WORDS):
        assert words["en"].keys() == words["zh"].keys()
    assert len(chat_command.HELP["en"].splitlines()) == len(chat_command.HELP["zh"].splitlines())
