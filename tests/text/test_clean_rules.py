"""Rules, language and personal data on single texts."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.text.clean import Cleaner, CleanOptions
from penjing.text.language import language_of
from penjing.text.personal import find_personal, mask_personal

MESSY = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            [
                "&amp;",
                "&lt;b&gt;",
                "<br />",
                "<p class='x'>",
                "<",
                ">",
                "&",
                "amp;",
                "\u037e",
                "e\u0301",
                "\x00",
                "\r\n",
                "\x85",
                " ",
            ]
            + [
                "\n",
                "\n\n\n",
                "\u3000",
                "\ufeff",
                "13812345678",
                "+86",
                "a@b.cn",
                "192.168.1.1",
                "::1",
                "advertisement",
                "1",
            ]
            + ["4111 1111 1111 1111", "sk-abcdefghijklmnopqrstuvwx", "<script>", "</script>", "<!--", "-->", "\ud83d"]
        ),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(MESSY)
def test_cleaning_twice_is_cleaning_once(text):
    cleaner = Cleaner(CleanOptions(personal="mask"))
    once = cleaner.clean_texts((text,))
    assert once is None or cleaner.clean_texts(once) in (once, None) and cleaner.clean_texts(once) == once


@settings(max_examples=300, deadline=None)
@given(MESSY)
def test_masking_leaves_no_identifier(text):
    masked, counts = mask_personal(text)
    assert find_personal(masked) == [] and (masked == text) == (not counts)


@pytest.mark.parametrize(
    "rule, before, after",
    [
        ("html", "So what?<br /><br />Tom &amp; <b>Jerry</b> &lt;3 a < b", "So what?\n\nTom & Jerry <3 a < b"),
        ("html", "<script>alert(1)</script>fine<!-- hidden -->", "fine"),
        (
            "html",
            "Ann <a@b>, <code@c>, <p@d><p>x</p><br/>y",
            "Ann <a@b>, <code@c>, <p@d>\nx\n\ny",
        ),
        ("html", "&amp;amp;lt; &copy 1 < 2 <user>", "< &copy 1 < 2 <user>"),
        ("control", "\ufeffa\x00b\u200bc\r\nd\x85", "abc\nd…"),
        ("unicode", "cafe\u0301", "café"),
        ("whitespace", "  a \t b\u3000c \n\n\n\n d ", "a b c\n\nd"),
        ("boilerplate", "News.\nWe use cookies to improve this site.\n版权所有 2024 某公司\nEnd.", "News.\nEnd."),
        ("boilerplate", "Advertisement", "Advertisement"),
        ("boilerplate", "如何扫描二维码付款？\n扫描二维码关注我们\n谢谢", "如何扫描二维码付款？\n谢谢"),
    ],
)
def test_rules(rule, before, after):
    names = ("html", "control", "unicode", "whitespace", "boilerplate")
    cleaner = Cleaner(CleanOptions(**{name: name == rule for name in names}))
    assert cleaner.clean_texts((before,)) == (after,)
    off = Cleaner(CleanOptions(**dict.fromkeys(names, False)))
    assert off.clean_texts((before,)) == (before,) and off.report() == {}
    changed = before != after
    assert (cleaner.report().get(rule, {"changed": 0})["changed"] == 1) == changed


def test_cleaner_drops_and_reports():
    options = CleanOptions(languages=("en",), min_characters=5, max_characters=40)
    records = [{"text": t} for t in ("This is fine.", "这里的东西都很好用", "hm", "x" * 41)]
    records.append({"text": "<b>Two texts</b>", "text_b": "and a second"})
    cleaner = Cleaner(options)
    assert list(cleaner.clean(records)) == [{"text": "This is fine."}, {"text": "Two texts", "text_b": "and a second"}]
    report = cleaner.report()
    assert [report[rule]["dropped"] for rule in ("languages", "min_characters", "max_characters")] == [1, 1, 1]
    assert report["languages"]["samples"] == [{"dropped": "这里的东西都很好用"}]
    assert report["html"]["samples"] == [{"before": "<b>Two texts</b>", "after": "Two texts"}]


@pytest.mark.parametrize(
    "text, language",
    [
        ("Reset password", "en"),
        ("The film was not what I had hoped for.", "en"),
        ("这个手机很好用", "zh"),
        ("我的iPhone坏了", "zh"),
        ("Please ask 客服 about the refund 退款 policy today 谢谢你", "mixed"),
        ("Le film est très bon et je ne regrette pas", "other"),
        ("Der Film ist nicht gut und das ist eine Schande", "other"),
        ("これはとてもいい映画です", "other"),
        ("Это очень хороший фильм", "other"),
        ("12345 !!!", "other"),
        ("", "other"),
    ],
)
def test_language(text, language):
    assert language_of(text) == language


def luhn(first, size):
    digits = first + "".join(random.Random(first).choices("0123456789", k=size - len(first) - 1))
    total = sum(int(d) if i % 2 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


@pytest.mark.parametrize(
    "text, kinds",
    [
        ("写信到 li.ming@example.com.cn，谢谢", ["email"]),
        ("电话13812345678吧", ["phone"]),
        ("call +86 138-1234-5678 or (415) 555-0132", ["phone", "phone"]),
        ("座机 010-62345678，客服 400-810-1234", ["phone", "phone"]),
        ("全角１３８１２３４５６７８", ["phone"]),
        ("身份证 11010519491231002X。", ["id_card"]),
        ("身份证 110105194912310021。", []),
        ("card 4111 1111 1111 1111 or 6222 0212 3456 7890 128", ["bank_card", "bank_card"]),
        ("card 4111 1111 1111 1111 123, not 6222 0212 3456 7890 129", ["bank_card"]),
        (f"卡号{luhn('622202', 19)}", ["bank_card"]),
        ("order 4111111111111112", []),
        ("host 192.168.10.254, fe80::1ff:fe23:4567:890a", ["ip", "ip"]),
        ("at 12:30:45, std::vector, version 1.2.3, 300.1.1.1", []),
        ("AKIAIOSFODNN7EXAMPLE ghp_" + "a1" * 18 + " sk-" + "Ab1" * 9, ["key", "key", "key"]),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk", ["key"]),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----", ["key"]),
        ("In 1999 I paid 12,500 for 3 of them in 2024-05-06", []),
    ],
)
def test_personal(text, kinds):
    assert [span.kind for span in find_personal(text)] == kinds


def test_personal_modes_and_samples():
    text = "mail a.b@example.com now"
    for mode, after in (("off", text), ("report", text), ("mask", "mail [EMAIL] now")):
        cleaner = Cleaner(CleanOptions(personal=mode))
        assert cleaner.clean_texts((text,)) == (after,)
        assert ("personal" in cleaner.report()) == (mode != "off")
        assert "example.com" not in str(cleaner.report())


@pytest.mark.parametrize("personal", ["mask", "report"])
def test_no_sample_of_any_rule_shows_personal_data(personal):
    cleaner = Cleaner(CleanOptions(personal=personal, max_characters=80))
    for text in ("<b>write</b> to li.ming@example.com", "  call 13812345678  &amp; wait " + "x" * 90):
        cleaner.clean_texts((text,))
    report = cleaner.report()
    assert report["html"]["changed"] == 2 and report["max_characters"]["dropped"] == 1
    assert "[EMAIL]" in str(report["html"]) and not {"example.com", "13812345678"} & set(
        re.findall(r"[\w.]+", str(report))
    )
