"""Toys of contrastive learning on raw text: texts of one length, since a loss among few texts is lower than among many."""

import random

from toys import BAD, GOOD, REST

FAMILIES = ("bert", "modernbert", "llama", "lstm")
OPTIONS = {}
DROPOUT = 0.3
TEACH = {"llama": (120, 1e-2)}
RECORDS = [{"text": " ".join(random.Random(row).choices(GOOD + BAD + REST, k=6))} for row in range(64)]
EFFECTS = {"pooling": (None, "first"), "temperature": (0.05, 0.5)}
