"""Which encoding a file is in: decided by evidence, or an error that asks. Never a silent guess.

Order: byte order mark; UTF-16 by its zero bytes; strict UTF-8; then Chinese and Western code pages, which are accepted
only when the decoded text looks like language: the commonest characters of Chinese make up more than a third of any
Chinese text, and less than a twentieth of what a wrong code page makes of it.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from penjing.base.errors import DataError

SAMPLE = 1 << 20  # bytes looked at
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NAMES = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk", "gb2312", "big5",
         "big5hkscs", "latin-1", "cp1252", "iso-8859-1", "iso-8859-15", "shift_jis", "euc_jp", "euc_kr", "cp1251",
         "koi8-r", "ascii")  # fmt: skip
CONTROLS = b"\0\1\2\3\4\5\6\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17"  # in no text of any code page
COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种"
    "事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第"
    "公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合"
    "回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总"
    "何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听"
    "這個們來為國說時會對後過發種經動學進樣現當開還從實軍與長機無將間關點業應戰頭體見兩問給話東聲運處義條幾認系統數報"
    "結務場計書區隊決員論變題門買賣錢請嗎呢吧啊，。、：；！？“”（）"
)  # fmt: skip
HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3001\u3002\uff0c\uff1a\uff1b\uff01\uff1f]")
WESTERN = re.compile(
    r"(?<=[A-Za-z])[\xc0-\xd6\xd8-\xf6\xf8-\xff]|[\xc0-\xd6\xd8-\xf6\xf8-\xff](?=[a-z])|(?<= )[àÀéÉèÈ](?= )"
)
QUOTES = re.compile("(?<=[A-Za-z .,])[’‘“”–—…€£°©®§«»]|[’‘“”–—…€£°©®§«»](?=[A-Za-z ])")


def detect(sample: bytes, path: Path | str, whole: bool) -> tuple[str, str]:
    """(encoding, evidence) of a file by its first bytes; `whole`: the sample is all of it. Unsure: P-DATA-008."""
    for mark, name in MARKS:
        if sample.startswith(mark):
            return name, "byte order mark"
    sixteen = zeros(sample)
    if sixteen:
        return sixteen, "zero bytes, and usual text in this byte order only"
    if is_utf8(sample, whole):
        return "utf-8", "strict UTF-8"
    if sum(byte in sample for byte in CONTROLS) >= 4:
        raise DataError("P-DATA-030", file=path)
    scores = sorted(((score(sample, name), name) for name in ("gb18030", "big5", "cp1252")), reverse=True)
    (best, name), (second, other) = scores[:2]
    if best >= 0.25 and best >= 3 * second:
        return name, f"{best:.0%} of the characters are usual ones, {second:.0%} in {other}"
    raise DataError("P-DATA-008", file=path, known=[f"{n} ({s:.0%})" for s, n in scores if s > 0.02] or None)


def zeros(sample: bytes) -> str | None:
    """UTF-16 without a mark: in the right byte order most is ASCII or usual Chinese, in the other hardly anything."""
    if b"\0" not in sample:
        return None
    scores = []
    for name in ("utf-16-le", "utf-16-be"):
        text = codecs.getincrementaldecoder(name)("replace").decode(sample, final=False)
        usual = sum(c in COMMON or " " <= c <= "~" or c in "\r\n\t" for c in text)
        scores.append((usual / max(len(text), 1) if "\0" not in text else 0.0, name))
    (best, name), (second, _) = sorted(scores, reverse=True)
    return name if best >= 0.3 and best >= 5 * second else None


def is_utf8(sample: bytes, whole: bool) -> bool:
    """Is it UTF-8, apart from single broken places (which the reader names by line)?"""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample, final=whole)
    broken = text.count("\ufffd")
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return broken <= 0.05 * beyond


def score(sample: bytes, name: str) -> float:
    """0 to 1: how much of the non-ASCII text is usual when the bytes are read in this encoding."""
    text = codecs.getincrementaldecoder(name)("replace").decode(sample, final=False)
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    if beyond < 4 or text.count("\ufffd") > 0.01 * beyond:
        return 0.0
    if name == "cp1252":
        return (len(WESTERN.findall(text)) + len(QUOTES.findall(text))) / beyond * (0.4 if beyond < 6 else 1)
    if beyond < 8:
        return 0.0
    return sum(c in COMMON for c in HAN.findall(text)) / beyond


def check_name(name: str, path: Path | str) -> str:
    """An encoding's name that Python knows, else P-DATA-009."""
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise DataError("P-DATA-009", file=path, given=name, known=NAMES) from None
