"""What in a context may be an answer, by shape alone: dates, numbers, names, phrases and clauses, English and Chinese.

C candidates, S sentences, H words of the question that the context holds
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from penjing.text.bm25 import HAN, RUN

SENTENCE = re.compile(r"[^.!?。！？；\n]+(?:[.!?](?!\s|$)[^.!?。！？；\n]+)*[.!?。！？；\n]*")
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
NUMERALS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred"
STOP = (  # English words that part phrases
    "a|an|and|are|as|at|be|been|but|by|can|could|did|do|does|for|from|had|has|have|he|her|his|how|in|into|is|it|its|may|more|"
    "most|not|of|on|or|our|she|so|than|that|the|their|them|then|there|these|they|this|those|through|to|under|until|was|we|"
    "were|what|when|where|which|while|who|whom|whose|why|will|with|would|you"
)
FUNCTION = "的是在了和与及为有于等之其被由将从到把对而或并也都就则以所这那该"  # Chinese words of one character that part phrases
DIGIT = "一二三四五六七八九十百千万亿两零〇"
COUNT = rf"[\d{DIGIT}][\d{DIGIT}.,．，]*"
LATIN = "A-Za-zÀ-ɏ0-9'’-"
NOT_STOP = rf"(?!(?:{STOP})\b)"

KINDS = {  # in the order of trust: a span that two find is the first one's
    "date": re.compile(
        rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)? )?(?:{MONTHS})\b(?: \d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,? \d{{4}}\b)?"
        r"|\b(?:early |late |mid-)?(?:1\d{3}|20\d\d)(?:s|[–-]\d{2,4})?\b|\b(?:\d+(?:st|nd|rd|th)|[a-z]+th) century\b"
        rf"|(?:公元前?)?(?:\d{{1,4}}|[{DIGIT}]{{2,4}})年(?:代)?(?:\d{{1,2}}月)?(?:\d{{1,2}}[日号])?"
        r"|\d{1,2}月(?:\d{1,2}[日号])?|\d{1,2}世纪"
    ),
    "number": re.compile(
        rf"[$£€]?\b\d[\d,.]*\d?(?:\s?%|\s(?:percent|million|billion|thousand|hundred))*(?:\s{NOT_STOP}[a-z]+)?"
        rf"|\b(?:{NUMERALS})(?:[ -](?:{NUMERALS}))*\b(?:\s{NOT_STOP}[a-z]+)?"
        rf"|[约近]?{COUNT}[余多]?(?:[%％]|[{HAN}]{{1,2}})",
    ),
    "name": re.compile(
        r"\b[A-Z][\w'’.&-]*(?:\s(?:(?:of|the|de|du|van|von|la|and|for)\s){0,2}[A-Z][\w'’.&-]*)*"
        r"|《[^》]{1,40}》|“[^”]{1,40}”|「[^」]{1,40}」|\"[^\"]{1,60}\""
        rf"|(?<=[{HAN}])[A-Za-z][A-Za-z0-9 .-]*[A-Za-z0-9]"
    ),
    "phrase": re.compile(
        rf"\b(?:the |a |an )?{NOT_STOP}[{LATIN}]+(?: {NOT_STOP}[{LATIN}]+){{0,5}}|[^\W{FUNCTION}A-Za-z\d_]{{2,}}"
    ),
    "rest": re.compile(r"(?<=[是为在于由有即叫])[^，。；：！？、\n]{2,40}"),
    "reason": re.compile(r"\b(?:because|since|due to|in order to|so that) [^.;:()!?]{3,80}|(?<=因为)[^，。；！？\n]{2,40}"),
    "clause": re.compile(
        r"\b(?:to|by|through|after|before|during|in|at|on|from) [^,.;:()!?]{3,80}"
        rf"|[{HAN}][^，。；：！？、,;:()（）\n]{{3,60}}"
    ),
}  # fmt: skip
MOST = 100  # candidates of a context for each of KINDS, so that a book is no burden


class Parts:
    """A context cut into sentences and candidates. Spans are characters, the end outside."""

    def __init__(self, context: str):
        self.context = context
        self.sentences = np.asarray([match.span() for match in SENTENCE.finditer(context)] or [(0, 0)])  # S 2
        words = spotted(context)
        found: dict[tuple[int, int], int] = {}
        for number, pattern in enumerate(KINDS.values()):
            for count, match in enumerate(pattern.finditer(context)):
                if count == MOST:
                    break
                found.setdefault(trimmed(context, *match.span()), number)
        kept = {span: kind for span, kind in found.items() if span[0] < span[1]}
        self.spans = np.asarray(list(kept), dtype=np.int64).reshape(-1, 2)  # C 2
        self.kinds = np.asarray(list(kept.values()), dtype=np.int64)
        self.owner = np.searchsorted(self.sentences[:, 0], self.spans[:, 0], side="right") - 1  # C: its sentence
        self.words_in = np.asarray([span for _, *span in words], dtype=np.int64).reshape(-1, 2)
        self.sentence_of_word = np.searchsorted(self.sentences[:, 0], self.words_in[:, 0], side="right") - 1
        self.size = np.subtract(*np.searchsorted(self.words_in[:, 0], self.spans.T[::-1]))  # C: words
        self.where: dict[str, list[int]] = {}  # each word's places among the words
        for number, (word, _, _) in enumerate(words):
            self.where.setdefault(word, []).append(number)


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without marks and white space at its ends; quotes of a title stay."""
    while start < end and text[start] in " \t\n,.;:()（），。、；：的":
        start += 1
    while start < end and text[end - 1] in " \t\n,.;:()（），。、；：!?！？":
        end -= 1
    return start, end


def spotted(text: str) -> list[tuple[str, int, int]]:
    """The words of a text, and its pairs of Chinese characters, each with its characters."""
    found = []
    for match in RUN.finditer(text):
        start, end = match.span()
        if match[2]:
            found.append((match[2].lower(), start, end))
        elif end - start == 1:
            found.append((match[1], start, end))
        else:
            found += [(text[at : at + 2], at, at + 2) for at in range(start, end - 1)]
    return found


@lru_cache(maxsize=256)
def parts_of(context: str) -> Parts:
    """A context, cut; many questions in a row are asked of one."""
    return Parts(context)


ASKED = {  # what a question asks for; the first that fits
    "when": r"\bwhen\b|\b(?:what|which) (?:year|month|day|date|century|decade|time)"
    r"|何时|时候|时间|哪[一]?年|几年|几月|哪[一]?天|年代",
    "number": r"\bhow (?:many|much|long|far|old|large|big|high|tall)\b|\bwhat (?:percent|number|amount)"
    r"|多少|多[大长高久远]|几[个名人次位岁]",
    "who": r"\bwho(?:m|se)?\b|谁|哪[一]?位|哪[个些]?人",
    "where": r"\bwhere\b|\b(?:what|which) (?:city|country|state|place|region|area|location)"
    r"|哪[里儿]|何处|地方|哪[个些]?(?:国|城|省|地)|位于",
    "why": r"\bwhy\b|\bwhat (?:caused|was the reason)|为什么|为何|原因|怎么会",
    "how": r"\bhow\b|如何|怎[么样]",
    "which": r"\bwhich\b|哪[个些一种]",
    "what": r"",
}
PATTERNS = [re.compile(pattern, re.IGNORECASE) for pattern in ASKED.values()]


def asked_for(question: str) -> int:
    """What a question asks for: its number in ASKED."""
    return next(number for number, pattern in enumerate(PATTERNS) if pattern.search(question))
