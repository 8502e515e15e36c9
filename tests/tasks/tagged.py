"""Toy records of tagging: names and places among other words, in English and Chinese."""

import random

from penjing.tasks.tag import Task

PEOPLE = (("Ann",), ("Bo", "Li"), ("满", "意"))
PLACES = (("York",), ("New", "York"), ("盆", "景"), ("Rio", "de", "Ora"))
REST = ("saw", "the", "tree", "in", "去", "了", ",", "and", "box")


def records(number, seed=0, scheme="bio"):
    """Sentences in which two or three entities stand, never side by side."""
    chance, found = random.Random(seed), []
    for _ in range(number):
        tokens, tags = [], []
        for _ in range(chance.randint(1, 3)):
            for word in chance.choices(REST, k=chance.randint(1, 3)):
                tokens, tags = [*tokens, word], [*tags, "O"]
            kind, words = chance.choice((("PER", chance.choice(PEOPLE)), ("LOC", chance.choice(PLACES))))
            inside = ["I"] * (len(words) - 1)
            marks = ["B", *inside]
            if scheme == "bioes":
                marks = ["B", *inside[1:], "E"] if inside else ["S"]
            tokens, tags = [*tokens, *words], [*tags, *(f"{mark}-{kind}" for mark in marks)]
        found.append({"tokens": tokens, "tags": tags})
    return found


RECORDS = records(48)


def task(**options):
    return Task.made(RECORDS, **options)
