"""Toys of denoising: texts of several sentences, and a tokenizer with sentinels and a mask."""

from toys_objectives import TEXTS, cutter

FAMILIES = ("t5", "bart", "marian")
OPTIONS = {}
BART = {"style": "bart"}
EFFECTS = {
    "style": ("t5", "bart"), "rate": (None, 0.5), "span": (3.0, 1.0), "mask": (None, 0.5, BART), "delete": (None, 0.5, BART),
    "infill": (None, 0.6, BART), "permute": (None, 0.5, BART), "rotate": (None, 1.0, BART),
}  # fmt: skip
RECORDS = [{"text": text} for text in TEXTS]
TEACH = {family: (150, 5e-3) for family in FAMILIES}


def tokenizer(family):
    return cutter("unigram")
