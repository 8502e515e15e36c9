"""Chat templates: text and ids as transformers', mistakes at the door, templates that mean harm, saving."""

import json
import time

import pytest
from chat_forms import CALL, CONVERSATIONS, FORMS, GENERATION, PLAIN, QWEN, SYSTEM, TOOLS, WEATHER, tokenizer
from transformers import AutoTokenizer

from penjing.base.errors import OptionError, TextError
from penjing.base.progress import listen
from penjing.text.budget import Budget
from penjing.text.chat import Chat, built_in
from penjing.text.loss_mask import masked
from penjing.text.tokenizer import Tokenizer

VARIANTS = [
    {}, {"add_generation_prompt": True}, {"tools": [WEATHER]}, {"date_string": "1 Jan 2000", "enable_thinking": False,
    "add_generation_prompt": True}, {"continue_final_message": True},
]  # fmt: skip


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """For each form: our chat, and transformers' tokenizer read from what ours saved."""
    pairs = {}
    for name, form in {**FORMS, "chatml": built_in("chatml"), "plain": built_in("plain")}.items():
        folder = tmp_path_factory.mktemp(name)
        tokenizer(form).save(folder)
        pairs[name] = Chat(Tokenizer.load(folder)), AutoTokenizer.from_pretrained(folder)
    return pairs


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("form", [*FORMS, "chatml", "plain"])
def test_text_and_ids_are_those_of_transformers(theirs, form, conversation):
    ours, other = theirs[form]
    messages, agreed = CONVERSATIONS[conversation], 0
    for options in VARIANTS:
        try:
            text = other.apply_chat_template(messages, tokenize=False, **options)
        except Exception:  # the template, or transformers, refuses: so do we
            with pytest.raises(TextError):
                ours.render(messages, **options)
            continue
        assert ours.render(messages, **options) == text
        assert ours.encode(messages, **options) == other.apply_chat_template(messages, **options)["input_ids"]
        agreed += 1
    assert agreed >= (1 if form == "mistral" and conversation == "question" else 3)


def test_the_words_that_templates_are_given(theirs):
    source = (
        "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}"
        "{% endfor %}{{ dict(a=1) | tojson }}{{ {'b': '<é>'} | tojson }}{{ [1, messages[0].content] | tojson(indent=2) }}"
        "{% set ns = namespace(n=0) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ documents[0].title }}{{ mine }}{{ absent }}"
        "{{ '%s-%d' % ('a', 3) }}{{ '{:>5}'.format('x') }}{{ 'a' ~ 1 ~ none }}{{ 7 // 2 * 2 ** 3 }}{{ [1] + [2] }}"
        "{{ 'x,y'.split(',') | join('-') }}{{ messages | length }}{{ 'ab' * 2 }}{{ (1, 2) }}{{ eos_token }}{{ pad_token }}"
        "{{ dict.fromkeys(['k'], 1) }}{% filter upper %}up{% endfilter %}{{ 'a\\tb'.expandtabs(4) }}{{ 'aXb'.replace('X', '-') }}"
        "{{ ['b', 'a'] | sort | join }}{{ 'one two' | wordwrap(3) }}{{ 'x' | center(5) }}{{ 'a\\nb' | indent(2) }}"
        "{{ messages | map(attribute='role') | list }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
        "{{ [1, 2, 3] | batch(2) | list }}{{ 'b%s' | format(1) }}{{ strftime_now('%Y') }}"
    )
    given = {"documents": [{"title": "T", "text": "t"}], "mine": 5}
    text = theirs["qwen"][1].apply_chat_template(PLAIN, chat_template=source, tokenize=False, **given)
    assert Chat(theirs["qwen"][0].tokenizer, source).render(PLAIN, **given) == text


def test_several_named_templates_are_chosen_and_saved(tmp_path):
    named = [{"name": "default", "template": "{{ messages[0].content }}"}, {"name": "tool_use", "template": "T"},
             {"name": "rag", "template": "{{ documents[0].text }}"}]  # fmt: skip
    tokenizer(json.dumps(named)).save(tmp_path)
    assert "chat_template" not in json.loads((tmp_path / "tokenizer_config.json").read_text())
    again = Tokenizer.load(tmp_path)
    again.save(tmp_path / "again")
    other = AutoTokenizer.from_pretrained(tmp_path / "again")
    chat = Chat(Tokenizer.load(tmp_path / "again"))
    assert other.chat_template == chat.templates == {one["name"]: one["template"] for one in named}
    for options in ({}, {"tools": [WEATHER]}):
        assert chat.render(PLAIN, **options) == other.apply_chat_template(PLAIN, tokenize=False, **options)
    assert Chat(again, "rag").render(PLAIN, documents=[{"text": "found"}]) == "found"
    with pytest.raises(TextError, match="P-CHAT-010") as caught:
        Chat(again, "rga")
    assert caught.value.nearest == "rag"
    with pytest.raises(TextError, match="P-CHAT-010"):
        Chat(tokenizer('[{"name": "rag", "template": "x"}]')).render(PLAIN)
    with pytest.raises(TextError, match="P-CHAT-013"):
        Chat(tokenizer('[{"name": "../../x", "template": "x"}]'))
    with pytest.raises(TextError, match="P-CHAT-005"):
        Chat(tokenizer('[{"name": "x", "template": 5}]'))


def test_a_template_file_wins_and_must_be_text(tmp_path):
    tokenizer("in the config").save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text()) | {"chat_template": "in the config"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_bytes(b"line\r\nfile")
    assert Chat(Tokenizer.load(tmp_path)).render(PLAIN) == "line\nfile"
    assert AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(PLAIN, tokenize=False) == "line\nfile"
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(TextError, match="P-CHAT-005"):
        Tokenizer.load(tmp_path)


def test_without_a_template_the_form_is_said():
    told = []
    with listen(told.append):
        chatml, bare = Chat(tokenizer()), Chat(tokenizer(tokens=(), kind="wordpiece"))
    assert [event.values["form"] for event in told if event.what == "chat"] == ["chatml", "plain"]
    assert chatml.render(PLAIN[:1], add_generation_prompt=True).endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert bare.render(SYSTEM[:2], add_generation_prompt=True).startswith("System: Be kind.\nUser: Where")
    assert bare.stops == ("\nUser:",) and not chatml.stops
    assert bare.render(PLAIN[2:]).endswith("再见！[SEP]\n")
    text = chatml.render(TOOLS, [WEATHER])
    assert '<tool_call>{"name": "weather", "arguments": {"city": "北京"}}</tool_call><|im_end|>' in text
    assert (
        "<tool_response>7 °C</tool_response>" in text and '"name": "weather", "description": "Weather <now> & ' in text
    )


@pytest.mark.parametrize(
    "messages, codes",
    [
        ([], ["P-CHAT-001"]),
        ("hello", ["P-CHAT-001"]),
        (["hello"], ["P-CHAT-002"]),
        ([{"role": "robot", "content": "x"}, {"role": "user"}], ["P-CHAT-003", "P-CHAT-004"]),
        ([{"role": "user", "content": 5}], ["P-CHAT-004"]),
        ([{"role": "user", "content": [{"type": "text"}, "x"]}], ["P-CHAT-004"] * 2),
        ([{"role": "user", "content": None, "tool_calls": [CALL]}], ["P-CHAT-004"]),
        ([{"role": "assistant", "tool_calls": "weather"}], ["P-CHAT-004"]),
        ([{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}, {"name": "f", "arguments": 3}]}],
         ["P-CHAT-004"] * 2),
        ([{"role": "tool", "content": "x", "tool_call_id": 3, "name": 4}], ["P-CHAT-004"] * 2),
    ],
)  # fmt: skip
def test_mistakes_are_told_by_number_and_field(messages, codes):
    with pytest.raises(TextError) as caught:
        Chat(tokenizer(QWEN)).render(messages)
    found = [caught.value, *caught.value.others]
    assert [one.code for one in found] == codes
    if codes == ["P-CHAT-003", "P-CHAT-004"]:
        assert "Message 1" in found[0].text("en") and "messages[0].role" in found[0].text("en")
        assert "第 2 条" in found[1].text("zh") and "messages[1].content" in found[1].text("zh")


def test_deep_and_wrong_tools():
    deep = {}
    deep["self"] = deep
    chat = Chat(tokenizer(QWEN))
    with pytest.raises(TextError, match="P-CHAT-004"):
        chat.render([{"role": "user", "content": "x", "more": deep}])
    for tools, field in (("x", "tools"), ([WEATHER, deep], "tools[1]"), ([print], "tools[0]")):
        with pytest.raises(TextError, match="P-CHAT-014") as caught:
            chat.render(PLAIN, tools)
        assert caught.value.field == field


ESCAPES = [
    "{{ ''.__class__ }}", "{{ ''['__class__'].__mro__ }}", "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ cycler.__init__.__globals__ }}", "{{ raise_exception.__globals__ }}", "{{ '' | attr('__class__') }}",
    "{{ '{0.__class__}'.format('') }}", "{{ messages.append(1) }}", "{{ messages[0].update({}) }}",
    "{% set ns = namespace(__class__=1) %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ self.__init__ }}",
    "{{ strftime_now.__globals__['os'] }}", "{{ ['x'] | map(attribute='__class__') | list }}", "{{ dict.__call__ }}",
    "{{ (messages | map).gi_frame }}", "{{ namespace.__init__ }}",
]  # fmt: skip
TOO_MUCH = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "{{ 'x' * 10 ** 9 }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}some fixed text{% endfor %}{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ 2 ** (10 ** 7) }}", "{{ '%99999999d' % 1 }}",
    "{{ '%*d' % (99999999, 1) }}", "{{ '{:99999999}'.format(1) }}", "{{ '{:{}}'.format(1, 99999999) }}",
    "{{ 'x'.ljust(99999999) }}", "{{ 'x' | center(99999999) }}", "{{ 'a\nb' | indent(99999999) }}",
    "{{ [1] | tojson(indent=99999999) }}", "{{ '%99999999d' | format(1) }}", "{{ [1] * 99999999 }}",
    "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x=['ab']) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=['ab']) %}{% for i in range(99) %}{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}",
    "{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x.replace('a', ns.x) %}{% endfor %}",
    "{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x | replace('a', ns.x) %}{% endfor %}",
    "{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x.join(ns.x) %}{% endfor %}",
    "{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x | join(ns.x) %}{% endfor %}",
    "{% set x = 'x' * 999999 %}{% for i in range(999) %}{{ x }}{% endfor %}", "{{ 'a' * 4000001 }}",
    "{% block a %}{{ self.b() }}{{ self.b() }}{% endblock %}{% block b %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "{{ (1).to_bytes(99999999) }}", "{{ 'a'.translate({97: 'b' * 4000000}) * 2 }}", "{{ [1, 2] | batch(99999999, 0) | list }}",
    "{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "{{ ([[1]] * 40000)|sum(start=[])|length }}", "{{ strftime_now('%9000000d' ~ 'x' * 40000) }}",
    "x" * 1_000_001, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
]  # fmt: skip


@pytest.mark.parametrize("source", ESCAPES)
def test_no_template_leaves_the_sandbox(source):
    with pytest.raises(TextError) as caught:
        Chat(tokenizer(), source).render(PLAIN)
    assert caught.value.code == "P-CHAT-006", caught.value


@pytest.mark.parametrize("source", TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_no_template_works_for_ever(source, monkeypatch):
    if source is not TOO_MUCH[0]:
        monkeypatch.setattr("penjing.text.budget.UNITS", 2_000_000)  # a tenth: ten times as quick
    began = time.monotonic()
    with pytest.raises(TextError) as caught:
        Chat(tokenizer(), "{# #}" + source).render(PLAIN)
    assert caught.value.code == "P-CHAT-007", caught.value
    assert time.monotonic() - began < 5


def test_a_format_is_measured_at_once():
    began = time.monotonic()
    with pytest.raises(TextError) as caught:
        Chat(tokenizer(), "{{ ('{' ~ ':' * 90000).format() }}").render(PLAIN)
    assert caught.value.code == "P-CHAT-009" and time.monotonic() - began < 5


def test_a_template_that_waits_is_stopped_by_the_clock(monkeypatch):
    monkeypatch.setattr("penjing.text.chat.Budget", lambda messages: Budget(1, seconds=-1))
    with pytest.raises(TextError, match="longer than"):
        Chat(tokenizer(), "{% for m in messages %}{% endfor %}").render(PLAIN)


@pytest.mark.parametrize(
    "source, code",
    [
        ("{% for %}", "P-CHAT-005"),
        ("{{ 'a' | no_such_filter }}", "P-CHAT-005"),
        ("{% include 'x' %}", "P-CHAT-009"),
        ("{{ raise_exception('first the user') }}", "P-CHAT-008"),
        ("{{ absent.field }}", "P-CHAT-009"),
        ("{{ 1 + 'a' }}", "P-CHAT-009"),
        ("{{ lipsum() }}", "P-CHAT-009"),
        ("{{ 1 / 0 }}", "P-CHAT-009"),
    ],
)
def test_templates_that_fail(source, code):
    with pytest.raises(TextError) as caught:
        Chat(tokenizer(), source).render(PLAIN)
    assert caught.value.code == code and "Traceback" not in str(caught.value)


def test_continuing_a_message():
    chat = Chat(tokenizer(QWEN))
    with pytest.raises(OptionError, match="P-OPTION-006"):
        chat.render(PLAIN, continue_final_message=True, add_generation_prompt=True)
    parts = [*PLAIN[:1], {"role": "assistant", "content": [{"type": "text", "text": "so"}]}]
    assert Chat(tokenizer()).render(parts, continue_final_message=True).endswith("assistant\nso")
    for messages, field in ((PLAIN, "reasoning"), (TOOLS[:2], True), (parts, "name")):
        with pytest.raises(TextError, match="P-CHAT-011"):
            chat.render(messages, continue_final_message=field)
    with pytest.raises(TextError, match="P-CHAT-011"):
        Chat(tokenizer(), "{{ 'content' }}").render(PLAIN, continue_final_message=True)
    picture = [{"role": "user", "content": [{"type": "image"}]}]
    with pytest.raises(TextError, match="P-CHAT-011"):
        Chat(tokenizer(), "{{ messages[0].content }}").render(picture, continue_final_message=True)


def shown(chat, found):
    """The texts that carry loss, each run of tokens as one."""
    runs, before = [], False
    for token, carries in zip(found.tokens, found.carries, strict=True):
        if carries:
            runs = [*runs[:-1], [*runs[-1], token]] if before else [*runs, [token]]
        before = carries
    return [chat.tokenizer.inner.decode(run, skip_special_tokens=False) for run in runs]


@pytest.mark.parametrize("form", ["generation", "chatml", "plain"])
def test_the_mask_of_generation_blocks_is_that_of_transformers(theirs, form):
    ours, other = theirs[form]
    for messages in (PLAIN, SYSTEM):
        found = masked(ours, messages)
        wanted = other.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
        assert found.tokens == wanted["input_ids"] and found.carries == [bool(one) for one in wanted["assistant_masks"]]
        assert found.how == "generation" and any(found.carries) and not all(found.carries)


def test_the_mask_ends_with_the_token_that_ends_the_turn():
    without = GENERATION.replace("<|im_end|>{% endgeneration %}", "{% endgeneration %}<|im_end|>")
    for form in (GENERATION, without):
        chat = Chat(tokenizer(form))
        assert shown(chat, masked(chat, PLAIN)) == ["  It comes today. 😀\n<|im_end|>", "不客气，再见！<|im_end|>"]


def test_the_mask_by_prefixes():
    for form, messages, wanted in (
        ("llama3", SYSTEM, ["It comes today. 😀<|eot_id|>", "不客气，再见！<|eot_id|>"]),
        ("mistral", PLAIN, [" It comes today. 😀<|endoftext|>", " 不客气，再见！<|endoftext|>"]),
        ("llama3", TOOLS, ['{"name": "weather", "parameters": {"city": "北京"}}<|eot_id|>', "It is 7 °C.<|eot_id|>"]),
    ):
        chat = Chat(tokenizer(FORMS[form]))
        found = masked(chat, messages, date_string="today")
        assert found.how == "prefix" and shown(chat, found) == wanted
        assert found.tokens == chat.encode(messages, date_string="today")


def test_the_mask_of_a_template_that_rewrites_earlier_turns():
    chat, told = Chat(tokenizer(QWEN)), []
    with listen(told.append):
        found = masked(chat, PLAIN)
    assert found.how == "stand-in" and [event.kind for event in told] == ["warning"]
    assert shown(chat, found) == ["  It comes today. 😀\n<|im_end|>", "<think>\n\n</think>\n\n不客气，再见！<|im_end|>"]
    hidden = Chat(tokenizer("{% for m in messages %}{{ m.content | length }}{{ m.role }}{{ loop.length }}{% endfor %}"))
    with pytest.raises(TextError, match="P-CHAT-012") as caught:
        masked(hidden, PLAIN)
    assert "message 2" in str(caught.value)


def test_the_mask_where_the_assistant_begins_or_the_template_edits():
    begins = [{"role": "assistant", "content": "Welcome."}, *PLAIN[:1]]
    chat = Chat(tokenizer("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"))
    assert shown(chat, masked(chat, begins)) == ["Welcome.<|im_end|>"]
    said = "{% generation %}{{ m.content }}{% endgeneration %}"
    edits = f"{{% set t %}}{{% for m in messages %}}<|im_start|>{said}{{% endfor %}}{{% endset %}}{{{{ t[:-1] }}}}"
    chat = Chat(tokenizer(edits))
    assert masked(chat, PLAIN[:2]).how == "prefix"
    turn = "{% if m.role == 'user' %}{{ m.content }}{% else %}" + said + "{% endif %}"
    inside = "{% set t %}{% for m in messages %}" + turn + "{% endfor %}{% endset %}{{ t }}"
    chat = Chat(tokenizer(inside))
    found = masked(chat, PLAIN)
    assert found.how == "generation" and shown(chat, found) == ["  It comes today. 😀\n", "不客气，再见！"]
