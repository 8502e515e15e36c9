"""Toys of sentence vectors."""

from toys_vectors import STRANGE as STRANGE
from toys_vectors import scored

FAMILIES = ("bert", "modernbert", "llama", "lstm")
OPTIONS = {}
RECORDS = scored()
LEARNT = 0.7
EFFECTS = {
    "pooling": (None, "first"), "normalise": (None, False), "objective": (None, "cosine"), "temperature": (0.05, 0.5),
    "symmetric": (True, False), "margin": (0.2, 0.5), "nested": ((), (8,)),
    "bounds": (None, (0.0, 10.0), {"objective": "cosine"}),
}  # fmt: skip
