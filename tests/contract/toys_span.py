"""Toys of extractive question answering: which word is good, or bad, among others; one in four records has none."""

import random

from toys import BAD, GOOD, LONG, REST

FAMILIES = ("bert", "modernbert", "roberta", "distilbert", "electra", "llama", "lstm")
OPTIONS = {"longest": 8}
LEARNT = 0.85
TEACH = {}
EFFECTS = {"stride": (0, 30), "longest": (1, 3), "candidates": (1, 3), "unanswerable": (None, False)}


def question(number):
    """A context of some words, and a question to which it may hold the answer."""
    chance = random.Random(number)
    words = chance.choices(REST, k=100 if number == 1 else chance.randint(3, 14))  # one is longer than a window
    kind = number % 2
    word = chance.choice((GOOD, BAD)[kind])
    asked = ("good", "bad")[kind if number % 4 else 1 - kind]
    words.insert(chance.randrange(len(words) + 1), word)
    context = " ".join(words)
    answers = [{"text": word, "start": context.index(word)}] if number % 4 else []
    return {"id": str(number), "question": asked, "context": context, "answers": answers}


RECORDS = [question(number) for number in range(64)]
CONTEXTS = [
    "",
    " ",
    "满意😀",
    "\ud800 half",
    LONG,
    "[SEP] [MASK] <pad>",
    "\n\n\t",
    "é" * 300,
    "the parcel was good\n today",
]
STRANGE = [{"question": "good", "context": context} for context in CONTEXTS]
STRANGE += [
    {"question": text, "context": "the parcel was lovely today 满意"}
    for text in ("", "满意😀", "\ud800", "tree " * 200)
]
