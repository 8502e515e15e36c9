"""Toy records of texts that belong together: those about the same thing share a word."""

import random

from toys import BAD, GOOD

GROUPS = (GOOD, BAD, ("tree", "盆景", "box"), ("late", "today", "快递"))


def text_about(group, chance):
    """A text with one word of a group among words that say nothing."""
    words = chance.choices(("the", "was", "and", "very", "came"), k=chance.randint(2, 6))
    words.insert(chance.randrange(len(words)), chance.choice(GROUPS[group]))
    return " ".join(words)


def scored(number=48, seed=0):
    """Pairs of the same group score 5, others 1."""
    chance = random.Random(seed)
    groups = [(chance.randrange(4), chance.randrange(4)) for _ in range(number)]
    groups = [(one, one if row % 2 else two) for row, (one, two) in enumerate(groups)]
    return [
        {"text": text_about(one, chance), "text_b": text_about(two, chance), "score": 5.0 if one == two else 1.0}
        for one, two in groups
    ]


def pairs(number=32, seed=0):
    """Each text with one of its group."""
    chance = random.Random(seed)
    return [{"text": text_about(row % 4, chance), "text_b": text_about(row % 4, chance)} for row in range(number)]


def triplets(number=32, seed=0):
    """And with one of another group."""
    chance = random.Random(seed)
    return [
        {"text": one["text"], "positive": one["text_b"], "negative": text_about((row + 1) % 4, chance)}
        for row, one in enumerate(pairs(number, seed))
    ]


FORMS = {"scored": scored, "pairs": pairs, "triplets": triplets}
STRANGE = [
    {"text": ""}, {"text": "满意😀"}, {"text": "\ud800 half", "text_b": "tree " * 10_000}, {"text": "é" * 300},
    {"text": "a", "positive": "b", "negative": " "}, {"texts": ["tree", "盆景", "good", "[SEP] <pad>"]},
    {"text": "tree", "text_b": ""},
]  # fmt: skip
