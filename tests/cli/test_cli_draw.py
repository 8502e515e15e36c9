"""Progress as lines and as a live table."""

import io

import pytest

from penjing.base.progress import listen, tell
from penjing.cli import draw, summary
from penjing.cli.draw import clock, drawing, short
from penjing.cli.summary import facts


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work():
    tell("begin", "pretrain", total=100)
    for done in range(1, 101):
        tell("step", "pretrain", done=done, loss=1 / done, tokens_per_second=12345.0, seconds_left=75.0, padding=0.021)
    tell("note", "pretrain", "a note [b]")
    tell("warning", "pretrain", "a warning")
    tell("note", "clean", "unchanged, kept", state="kept")
    tell("end", "pretrain")


def test_plain_lines_are_few():
    stream = io.StringIO()
    with drawing(stream):
        work()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5 and "warning: a warning" in lines[2] and lines[3] == "clean: 100 % unchanged, kept"
    assert "loss 0.010  12.3k tokens/s  padding 2.1 %  done" in lines[4]


def test_plain_lines_come_in_time(monkeypatch):
    monkeypatch.setattr(draw, "EVERY", 0.0)
    stream = io.StringIO()
    with listen(draw.Plain(stream)):
        work()
    lines = stream.getvalue().splitlines()
    assert len(lines) > 100 and "  1 % loss 1.000  12.3k tokens/s  padding 2.1 %  left 1:15" in lines[1]


def test_the_same_work_once_more_begins_anew(monkeypatch):
    monkeypatch.setattr(draw, "EVERY", 0.0)
    stream = io.StringIO()
    with listen(draw.Plain(stream)):
        work()
        first = stream.getvalue().splitlines()
        work()
    second = stream.getvalue().splitlines()[len(first) :]
    assert [line for line in second if "done" not in line] == [line for line in first if "done" not in line]


def test_a_validation_has_its_numbers(monkeypatch):
    stream, terminal = io.StringIO(), Terminal()
    for place in (stream, terminal):
        with drawing(place):
            tell("note", "finetune", "validation", done=25, valid_loss=0.5, valid_score=-0.5)
            tell("note", "finetune", "validation", done=50, valid_loss=0.25, valid_score=0.875)
    assert stream.getvalue().splitlines() == [
        "finetune: validation after 25 steps: loss 0.500",
        "finetune: validation after 50 steps: loss 0.250  score 0.875",
    ]
    assert "validation after 25 steps: loss 0.500" in terminal.getvalue()


def test_live_table():
    stream = Terminal()
    with drawing(stream):
        tell("note", "read", "only a note")
        work()
    assert "\nread " not in stream.getvalue()
    text = stream.getvalue()
    assert "pretrain" in text and "a warning" in text and "a note [b]" in text and "padding" in text


def test_numbers():
    assert [clock(s) for s in (0.42, 75, 3700)] == ["0.4 s", "1:15", "1:01:40"]
    assert [short(n) for n in (999, 12345, 2e6)] == ["999", "12.3k", "2.0M"]


def test_facts_of_a_summary():
    result = {"kept": {"train": 1200, "test": 3}, "share": 0.12345, "ok": True, "verdict": "no", "model": {"a": 1}}
    assert facts(result) == "kept train 1,200, kept test 3, share 0.123, ok yes"


@pytest.mark.parametrize("columns, shown", [(80, 2), (120, 3)])
def test_scores_fit_on_a_terminal(monkeypatch, columns, shown):
    terminal, score = Terminal(), {"value": 0.5, "low": 0.25, "high": 0.75}
    scores = {"f1": score, "precision": score, "recall": score}
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout", terminal)
    summary.show_scores({"model": scores, "baselines": {"phrase_translation": scores}})
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 4 and max(map(len, lines[2:])) <= columns  # none is folded
    assert lines[-1].count("0.500 (0.250 – 0.750)") == shown
