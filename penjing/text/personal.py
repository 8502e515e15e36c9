"""Personal data and secrets in text, with checksums where they exist.

Kinds: email, phone, id_card (Chinese, ISO 7064 MOD 11-2), bank_card (Luhn), ip, key (access keys, tokens and such).
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections import Counter
from typing import NamedTuple


class Span(NamedTuple):
    """text[start:end] is personal data of this kind."""

    start: int
    end: int
    kind: str


EMAIL = re.compile(
    r"(?<![\w.%+\-])[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])", re.A
)
ID_CARD = re.compile(r"(?<!\d)[1-9]\d{16}[\dXx](?![\dA-Za-z])", re.A)
BANK_CARD = re.compile(
    r"(?<!\d)(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}\1\d{4}\1\d{1,7}|3[47]\d{2}([ -])\d{6}\2\d{5})(?!\d)", re.A
)
LONG_CARD = re.compile(
    r"(?<!\d)[2-6]\d{3}([ -])(?:\d{4}\1){3}\d{1,3}(?!\d)", re.A
)  # 17 to 19 digits in fours, as UnionPay
PHONES = (
    re.compile(r"(?<!\d)(?:\+?86[ -]?|0086[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)", re.A),  # Chinese mobile
    re.compile(r"(?<![\d+])\+\d{1,3}(?:[ .\-]?\(?\d{1,4}\)?){2,6}(?!\d)", re.A),  # international
    re.compile(r"(?<!\d)(?:\(0\d{2,3}\) ?|0\d{2,3}-)\d{7,8}(?!\d)", re.A),  # Chinese landline
    re.compile(r"(?<![\d-])[48]00[- ]\d{3}[- ]?\d{4}(?!\d)", re.A),  # Chinese service numbers
    re.compile(r"(?<![\d.-])(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?!\d)", re.A),  # North America
)
IP4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\d|\.\d)", re.A)
IP6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]{2,37}(?![\w:])", re.A)
COLONS = re.compile(":[0-9A-Fa-f]{0,4}:")  # without them there is no IPv6 address
KEY_MARKS = ("AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-", "sk_live_", "xox",
             "AIza", "hf_", "eyJ", "PRIVATE KEY-----")  # fmt: skip
KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}"
    r"|glpat-[A-Za-z0-9_\-]{20,}|sk-[A-Za-z0-9_\-]{20,}|sk_live_[A-Za-z0-9]{16,}|xox[abeoprs]-[A-Za-z0-9\-]{10,}"
    r"|AIza[0-9A-Za-z_\-]{35}|hf_[A-Za-z0-9]{30,}|eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,})"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z0-9+/=\s\-:,]{0,8000}?-----END [A-Z ]{0,20}PRIVATE KEY-----",
    re.A,
)
NUMBERS = re.compile(r"\d[\d .()\-]{5,}[\dXx]", re.A)  # without such a run: no phone, card or IPv4
WIDE_NUMBER = re.compile("[\uff10-\uff19\uff20]")
WIDE = dict(zip(map(ord, "０１２３４５６７８９＋－＠．"), "0123456789+-@.", strict=True))
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def find_personal(text: str) -> list[Span]:
    """All personal data in order, without overlaps; of two that overlap, the one whose check is stronger stays."""
    if not text.isascii() and WIDE_NUMBER.search(text):
        text = text.translate(WIDE)
    found: list[Span] = []
    if any([mark in text for mark in KEY_MARKS]):  # a list is faster than a generator
        add(found, text, KEY, "key")
    if "@" in text:
        add(found, text, EMAIL, "email")
    if NUMBERS.search(text):
        add(found, text, ID_CARD, "id_card", is_id_card)
        add(found, text, LONG_CARD, "bank_card", is_bank_card)
        add(found, text, BANK_CARD, "bank_card", is_bank_card)
        add(found, text, IP4, "ip")
        for phone in PHONES:
            add(found, text, phone, "phone", is_phone)
    if COLONS.search(text):
        add(found, text, IP6, "ip", is_ip6)
    return sorted(found)


def add(found: list[Span], text: str, pattern: re.Pattern[str], kind: str, check=lambda value: True) -> None:
    """Add the matches that pass their check and overlap nothing found before."""
    for match in pattern.finditer(text):
        start, end = match.span()
        if check(match.group()) and not any(start < span.end and span.start < end for span in found):
            found.append(Span(start, end, kind))


def is_id_card(value: str) -> bool:
    """A Chinese resident's card: a date of birth and a check character."""
    try:
        born = datetime.date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return False
    check = "10X98765432"[sum(int(d) * w for d, w in zip(value, WEIGHTS, strict=False)) % 11]
    return 1880 <= born.year <= 2100 and value[17].upper() == check


def is_bank_card(value: str) -> bool:
    """Luhn: every second digit from the right doubled, digits summed, divisible by ten."""
    digits = [int(c) for c in value if c.isdigit()]
    doubled = [d if i % 2 == 0 else d * 2 - 9 * (d > 4) for i, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0 and len(set(digits)) > 1


def is_phone(value: str) -> bool:
    return 8 <= sum(c.isdigit() for c in value) <= 15


def is_ip6(value: str) -> bool:
    """A valid address with a digit and a group of three or more: neither a time nor a C++ name."""
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return any(c.isdigit() for c in value) and any(len(group) >= 3 for group in value.split(":"))


def mask_personal(text: str) -> tuple[str, Counter[str]]:
    """The text with [EMAIL], [PHONE] … in place of personal data until none is left, and how many of each kind."""
    counts: Counter[str] = Counter()
    while spans := find_personal(text):
        parts, end = [], 0
        for span in spans:
            parts += [text[end : span.start], f"[{span.kind.upper()}]"]
            end = span.end
            counts[span.kind] += 1
        text = "".join((*parts, text[end:]))
    return text, counts
