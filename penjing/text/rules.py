"""The rules that change one text: HTML, control characters, Unicode, whitespace, boilerplate. Each is text -> text."""

from __future__ import annotations

import html
import re
import unicodedata

NAMES = (
    "a abbr address article aside audio b base big blockquote body br button canvas caption center cite code col dd "
    "del details dfn div dl dt em embed fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr "
    "html i iframe img input ins kbd label legend li link main mark meta nav noscript object ol option p param picture "
    "pre q s samp section select small source span strike strong style sub summary sup svg table tbody td textarea "
    "tfoot th thead title tr tt u ul var video wbr"
).replace(" ", "|")
END = r"(?=[\s/>])"  # of a tag's name: `<a@b.com>` is an address, no tag
BREAKS = re.compile(
    rf"<(?:br|hr){END}[^<>]{{0,500}}>"
    rf"|</?(?:p|div|li|ul|ol|h[1-6]|tr|table|blockquote|pre|section|article){END}[^<>]{{0,500}}>",
    re.I,
)
TAGS = re.compile(rf"</?(?:{NAMES}){END}[^<>]{{0,2000}}>|<!--.{{0,5000}}?-->|<!doctype\b[^<>]{{0,500}}>", re.I | re.S)
SCRIPTS = re.compile(r"<(script|style)\b[^<>]{0,2000}>.{0,200000}?</\1\s*>", re.I | re.S)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\u2028\u2029]")
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\ufffe\uffff]"
)
ASCII_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
WINDOWS = {i: bytes([i]).decode("cp1252", "ignore") for i in range(0x80, 0xA0)}  # such places are misread cp1252 text

SPACES = "[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]"
UNUSUAL = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
UNTIDY = ("  ", "\t", " \n", "\n ", "\n\n\n")
RUN, EDGE, BLANK = re.compile(f"{SPACES}+"), re.compile(" ?\n ?"), re.compile("\n{3,}")

MARKS = (
    *("cookie", "rights reserved", "subscribe", "newsletter", "skip to", "share on", "share this", "privacy policy"),
    *("terms of", "sign up", "read more", "javascript", "advertisement"),
    *("版权所有", "关注", "转载", "责任编辑", "上一篇", "下一篇", "点击", "扫码", "扫描", "长按", "icp备"),
)
BOILERPLATE = re.compile(
    r"""^(?:
    .{0,80}\b(?:uses?|accept|allow|manage)\b.{0,40}\bcookies?\b.{0,160}
    |.{0,120}\ball\ rights\ reserved\b.{0,60}
    |.{0,40}\b(?:subscribe|sign\ up)\b.{0,30}\b(?:newsletter|updates|channel)\b.{0,60}
    |skip\ to\ (?:main\ )?(?:content|navigation)\W*
    |share\ (?:on|this)\b.{0,60}
    |(?:privacy\ policy|terms\ of\ (?:use|service))\b.{0,80}
    |(?:click\ here\ to\ )?read\ more\W*
    |.{0,40}\bjavascript\b.{0,40}\b(?:enable|disabled|required|turn)\b.{0,80}
    |.{0,30}\b(?:enable|turn\ on)\ javascript\b.{0,60}
    |advertisement\W*
    |.{0,30}版权所有.{0,60}
    |.{0,20}(?:扫码|扫描|长按|点击).{0,12}(?:关注|二维码|阅读原文|公众号).{0,30}
    |.{0,30}(?:未经|转载请).{0,20}(?:转载|注明|授权).{0,40}
    |[(（\[【]?责任编辑.{0,20}
    |(?:上一篇|下一篇)\s*[:：].{0,80}
    |.{0,10}ICP备.{0,30}
    )$""",
    re.I | re.X,
)  # fmt: skip


def plain(text: str) -> str:
    """Without HTML tags and entities; what breaks a line there breaks it here. `a < b` and `<3` stay."""
    if "&" in text:
        text = ENTITY.sub(lambda match: html.unescape(match.group()), text)
    if "<" not in text:
        return text
    return TAGS.sub("", BREAKS.sub("\n", SCRIPTS.sub("", text)))


def printable(text: str) -> str:
    """Without control and invisible characters, byte order marks and halves of surrogate pairs; line ends as \\n.

    The characters U+0080 to U+009F are what HTML makes of them: the quotes and dashes of cp1252.
    """
    if not (ASCII_CONTROL if text.isascii() else CONTROL).search(text):
        return text
    return CONTROL.sub("", LINE_ENDS.sub("\n", text).translate(WINDOWS))


def composed(text: str) -> str:
    """Unicode normal form C: a letter and its accent as one character."""
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def tidy(text: str) -> str:
    """Runs of spaces as one space, no spaces at the edges of lines, at most one blank line in a row."""
    if any([mark in text for mark in UNTIDY]) or (not text.isascii() and UNUSUAL.search(text)):
        text = BLANK.sub("\n\n", EDGE.sub("\n", RUN.sub(" ", text)))
    return text.strip(" \n")


def without_boilerplate(text: str) -> str:
    """Without lines that every web page has: cookie notices, rights, sharing and subscribing.

    One line alone stays, and so does a question: a person asks how to scan the code, a page tells it.
    """
    if "\n" not in text:
        return text
    lower = text.lower()
    if not any([mark in lower for mark in MARKS]):  # a list is faster than a generator
        return text
    return "\n".join(
        line
        for line in text.split("\n")
        if len(line) > 240 or line.endswith(("?", "？")) or not BOILERPLATE.match(line)
    )
