"""Conversations in the field's forms: each is found by itself, and mistakes name file, line and field."""

import json

import pytest
from chat_forms import FORMS as STYLES
from chat_forms import tokenizer
from talks import ANSWER, CALL, FORMS, QUESTION, TOOL

from penjing.base.errors import PenjingError, TextError
from penjing.base.progress import listen
from penjing.base.readers.source import Record
from penjing.recipe.records import kind_named
from penjing.text.chat import Chat, built_in
from penjing.text.dialogues import conversation, form_of, tell_forms, unlearnable
from penjing.text.loss_mask import learnt, masked
from penjing.text.tool_calls import calls_of


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_found_by_itself(name):
    record, form, answers = FORMS[name]
    found = conversation(record)
    assert form_of(record) == form and found["messages"][0]["role"] in ("system", "user", "assistant")
    numbers = learnt(found["messages"])
    assert len(numbers) == len(answers) and found["messages"][-1] is found["messages"][numbers[-1]]
    for number, answer in zip(numbers, answers, strict=True):
        message = found["messages"][number]
        assert message["content"] == answer if isinstance(message.get("content"), str) else True
        assert calls_of(message) == [CALL] if "tool_call" in answer else not message.get("tool_calls")
    assert found.get("tools", [{"type": "function", "function": TOOL}]) == [{"type": "function", "function": TOOL}]
    assert not list(unlearnable(found["messages"]))


@pytest.mark.parametrize("template", ["chatml", "plain"])
@pytest.mark.parametrize("name", FORMS)
def test_what_carries_loss_is_the_answers_and_the_stop_token(name, template):
    """For every form: the tokens that carry loss decode to exactly the answers plus the stop token."""
    record, _, answers = FORMS[name]
    if template == "plain" and any("tool_call" in answer for answer in answers):
        return  # the plain form writes no calls
    chat, talk = Chat(tokenizer(), built_in(template)), conversation(record)
    found = masked(chat, talk["messages"], talk.get("tools"))
    stop = {"chatml": "<|im_end|>", "plain": "<|endoftext|>"}[template]
    runs, before = [], False
    for token, carries in zip(found.tokens, found.carries, strict=True):
        if carries:
            runs = [*runs[:-1], [*runs[-1], token]] if before else [*runs, [token]]
        before = carries
    texts = [chat.tokenizer.inner.decode(run, skip_special_tokens=False) for run in runs]
    assert [text if template == "chatml" else text.lstrip() for text in texts] == [answer + stop for answer in answers]


TEXTS_ALONE = [
    name for name, (_, _, answers) in FORMS.items() if "parts" not in name and "tool_call" not in str(answers)
]


@pytest.mark.parametrize(
    "style, stop",
    [("llama3", "<|eot_id|>"), ("mistral", "<|endoftext|>"), ("generation", "<|im_end|>"), ("qwen", "<|im_end|>")],
)
@pytest.mark.parametrize("name", TEXTS_ALONE)
def test_the_same_with_templates_of_others(name, style, stop):
    """Templates that trim, that refuse an order of turns, that mark what is said, that write earlier turns otherwise."""
    record, _, answers = FORMS[name]
    chat, talk = Chat(tokenizer(STYLES[style])), conversation(record)
    try:
        found = masked(chat, talk["messages"])
    except TextError as error:
        assert error.code == "P-CHAT-008" and style == "mistral" and talk["messages"][0]["role"] == "assistant"
        return
    said = [token for token, carries in zip(found.tokens, found.carries, strict=True) if carries]
    texts = chat.tokenizer.inner.decode(said, skip_special_tokens=False).split(stop)
    assert [text.replace("<think>\n\n</think>", "").strip() for text in texts] == [*answers, ""]


def test_the_loss_of_the_last_turn_alone():
    chat, messages = Chat(tokenizer()), FORMS["messages"][0]["messages"]
    found = masked(chat, messages, turns="last")
    said = [token for token, carries in zip(found.tokens, found.carries, strict=True) if carries]
    assert chat.tokenizer.inner.decode(said, skip_special_tokens=False) == "Bye.<|im_end|>"
    assert learnt([{**messages[-1], "weight": 0}], "last") == []
    one_block = "{% generation %}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}{% endgeneration %}"
    with pytest.raises(TextError, match="P-CHAT-024"):
        masked(Chat(tokenizer(), one_block), messages, turns="last")


def test_alpacas_input_stands_in_a_line_of_its_own():
    messages = conversation(FORMS["alpaca with more"][0])["messages"]
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[3]["content"] == f"{QUESTION}\nIn Beijing."
    assert conversation({"instruction": QUESTION})["messages"] == [{"role": "user", "content": QUESTION}]


WRONG = [
    ({"title": "x"}, "P-CHAT-020", None),
    ({"conversations": [{"from": "humna", "value": "x"}]}, "P-CHAT-003", "conversations[0].from"),
    ({"conversations": [{"from": "human", "value": 5}]}, "P-CHAT-004", "conversations[0].value"),
    ({"conversations": [{"from": "human"}]}, "P-CHAT-004", "conversations[0].value"),
    ({"conversations": "hello"}, "P-CHAT-001", "conversations"),
    ({"messages": ["hello"]}, "P-CHAT-002", "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "P-CHAT-003", "messages[0].role"),
    ({"messages": [{"role": "function_call", "content": "{broken"}]}, "P-CHAT-022", "messages[0].content"),
    (
        {"conversations": [{"from": "function_call", "value": '{"arguments": {}}'}]},
        "P-CHAT-022",
        "conversations[0].value",
    ),
    ({"prompt": ["x"], "output": "y"}, "P-CHAT-002", "prompt"),
    ({"instruction": 5, "output": "y"}, "P-CHAT-021", "instruction"),
    ({"instruction": "x", "input": 5, "output": "y"}, "P-CHAT-021", "input"),
    ({"instruction": "x", "output": {"y": 1}}, "P-CHAT-021", "output"),
    ({"instruction": "x", "output": "y", "history": [["a"]]}, "P-CHAT-021", "history"),
    ({"instruction": "x", "output": "y", "history": [["a", 5]]}, "P-CHAT-021", "history"),
    ({"question": "x", "answer": "y", "system": 5}, "P-CHAT-021", "system"),
    ({"question": "x", "answer": "y", "tools": "[{"}, "P-CHAT-023", "tools"),
    ({"question": "x", "answer": "y", "tools": 5}, "P-CHAT-014", "tools"),
]


@pytest.mark.parametrize(("record", "code", "field"), WRONG)
def test_mistakes_name_file_line_and_field(record, code, field):
    with pytest.raises(PenjingError) as caught:
        conversation(Record(record, "talks.jsonl", 7))
    error = caught.value
    assert error.code == code and (error.file, error.line) == ("talks.jsonl", 7)
    assert field is None or error.field == field
    assert "talks.jsonl:7" in error.text("en") and "talks.jsonl:7" in error.text("zh")
    if "humna" in str(record):
        assert error.nearest == "human"


def test_several_forms_in_one_file_are_told_and_all_mistakes_at_once(tmp_path):
    names = ("messages", "alpaca", "alpaca with more", "sharegpt")
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(FORMS[name][0], ensure_ascii=False) + "\n" for name in names), "utf-8")
    told, kind = [], kind_named("dialogues")()
    with listen(told.append):
        found = list(kind.read("train", [file]))
        assert kind.facts()["forms"] == {"alpaca": 2, "messages": 1, "sharegpt": 1}
    (event,) = [one for one in told if one.kind == "warning"]
    assert event.values["forms"] == {"alpaca": 2, "messages": 1, "sharegpt": 1} and "alpaca 2" in event.text
    (first,) = kind.written(found[0], "train")
    assert len(found) == 4 and ANSWER in first["text"]
    with listen(told.clear):
        tell_forms(["alpaca"] * 3, "x")
    file.write_text(
        '{"title": 1}\n{"question": "x", "answer": "y"}\n{"question": "x"}\n{"question": "x", "answer": ""}\n'
    )
    with pytest.raises(PenjingError) as caught:
        list(kind.read("train", [file]))
    found = [caught.value, *caught.value.others]
    assert [(one.code, one.line) for one in found] == [("P-CHAT-020", 1), ("P-CHAT-027", 3), ("P-CHAT-028", 4)]
