"""Forms of prompts and the choice of their examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.base.errors import OptionError, TextError
from penjing.text.prompts import BUILT_IN, Form
from penjing.text.shots import Drawn, Embedded, Nearest

THANKS, LATE = ({"text": "thank you", "label": "praise"}, "praise"), ({"text": "late again", "label": "c"}, "complaint")


def code(error, function, *given, **named):
    with pytest.raises(error) as found:
        function(*given, **named)
    return found.value.code


def test_a_prompt_is_instruction_examples_and_an_open_end():
    form = Form.named("label")
    assert form.prompt({"text": "where is it?"}, [THANKS, LATE], ["complaint", "praise"]) == (
        "Give each text one of these labels: complaint, praise.\n\nText: thank you\nLabel: praise\n\n"
        "Text: late again\nLabel: complaint\n\nText: where is it?\nLabel: "
    )
    chinese = Form.named("sentiment", "zh").prompt({"text": "很好"}, [], ["好评", "差评"])
    assert chinese == "判断每条评论的情感：好评、差评。\n\n评论：很好\n情感："
    assert Form.named("label", instruction="").prompt({"text": "x"}, [], ["a"]) == "Text: x\nLabel: "


def test_a_built_in_instruction_does_not_list_many_labels():
    many = [f"label {number}" for number in range(50)]
    assert Form.named("label").prompt({"text": "x"}, [], many) == "Text: x\nLabel: "
    assert "label 49" in Form.named("label", instruction="One of {labels}.").prompt({"text": "x"}, [], many)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("pairs", [False, True])
def test_every_built_in_form_shows_its_texts(name, language, pairs):
    form = Form.named(name, language, pairs)
    prompt = form.prompt({"text": "first one", "text_b": "second one"}, [THANKS], ["yes", "no"])
    assert "first one" in prompt and ("second one" in prompt) == pairs and "praise" in prompt
    assert form.tail.strip() and prompt.endswith(form.tail)


def test_jinja_and_plain_templates_say_the_same():
    plain = Form("<{text}> {unknown} {'a': 1} = {label}!")
    jinja = Form("<{{ text }}> {unknown} {'a': 1} = {{ label }}!")
    for form in (plain, jinja):
        assert form.prompt({"text": "a {label} b"}, [THANKS], []) == (
            "<thank you> {unknown} {'a': 1} = praise!\n\n<a {label} b> {unknown} {'a': 1} = "
        )
    upper = Form("{{ text | upper }}{% if text_b %} / {{ text_b }}{% endif %}: {{ label }}", pairs=True)
    assert upper.prompt({"text": "one", "text_b": "two"}, [], []) == "ONE / two: "


def test_a_conversation_has_a_turn_for_each_text_and_label():
    found = Form.named("label").messages({"text": "hm"}, [THANKS], ["a", "b"])
    assert [one["role"] for one in found] == ["user", "assistant", "user"]
    assert found[0]["content"] == "Give each text one of these labels: a, b.\n\nText: thank you\nLabel:"
    assert found[1]["content"] == "praise" and found[2]["content"] == "Text: hm\nLabel:"


@given(st.text())
def test_any_text_leaves_one_open_place(text):
    before, after = Form("{text} => {label}.").open({"text": text})
    assert before.endswith(" => ") and after == "."
    before.encode()


def test_templates_without_their_places_are_told():
    assert code(TextError, Form, "Text: {text}") == "P-SHOT-001"
    assert code(TextError, Form, "Label: {label}") == "P-SHOT-001"
    assert code(TextError, Form, "{label}: {text}") == "P-SHOT-001"
    assert code(TextError, Form, "{text} {label} {label}") == "P-SHOT-001"
    assert code(TextError, Form, "{text} {label}", pairs=True) == "P-SHOT-001"
    assert code(TextError, Form, "{{ text }} {{ label") == "P-SHOT-002"
    assert code(TextError, Form, "{{ text.__class__ }} {{ label }}") == "P-SHOT-002"
    assert code(TextError, Form, "{% for i in range(99999999) %}{{ text }}{% endfor %}{{ label }}") == "P-SHOT-002"
    assert code(OptionError, Form.named, "lable") == "P-OPTION-004"


LABELS = ["a"] * 12 + ["b"] * 3 + ["c"] * 2
RECORDS = [{"text": f"{word} {number}"} for number, word in enumerate(["parcel", "tree", "sun"] * 4)]


def test_drawn_examples_are_the_same_for_all_and_nested():
    some, others = Drawn(LABELS, 0), Drawn(LABELS, 1)
    assert some.choose(RECORDS, 4) == [some.choose(RECORDS, 8)[0][:4]] * len(RECORDS)
    assert some.choose(RECORDS, 8) == Drawn(LABELS, 0).choose(RECORDS, 8) != others.choose(RECORDS, 8)
    assert sorted(some.choose(RECORDS, len(LABELS))[0]) == list(range(len(LABELS)))


def test_balanced_examples_take_turns():
    for seed in range(5):
        order = Drawn(LABELS, seed, balanced=True).choose(RECORDS, len(LABELS))[0]
        assert sorted(order) == list(range(len(LABELS)))
        assert {LABELS[number] for number in order[:3]} == {LABELS[number] for number in order[3:6]} == {"a", "b", "c"}
        assert sorted(LABELS[number] for number in order[6:8]) == ["a", "b"]


def test_the_nearest_example_is_shown_last():
    pool = [{"text": "the sun is warm"}, {"text": "my parcel is late"}, {"text": "a late train"}]
    found = Nearest(pool).choose([{"text": "late parcel"}, {"text": "warm sun"}], 2)
    assert [row[-1] for row in found] == [1, 0] and found[0][0] == 2
    assert Nearest(pool).choose([{"text": "x"}], 0) == [()]

    def letters(texts):
        return np.array([[text.count(letter) for letter in "aeps"] for text in texts], float)

    chooser = Embedded(pool, letters)
    rows = letters([one["text"] for one in pool])
    wanted = letters(["late parcel"])[0] @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    assert chooser.choose([{"text": "late parcel"}], 3) == [tuple(np.argsort(wanted, kind="stable").tolist())]
    assert chooser.choose([{"text": "x"}], 0) == [()]
