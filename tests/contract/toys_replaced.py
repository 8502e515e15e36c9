"""Toys of telling replaced tokens."""

from toys_objectives import TEXTS, cutter

FAMILIES = ("electra",)
OPTIONS = {}
EFFECTS = {
    "generator": (0.25, 0.5), "weight": (50.0, 1.0), "rate": (0.15, 0.5), "replace": (0.85, 0.1),
    "random": (0.0, 0.9, {"replace": 0.1}), "whole_words": (False, True),
    "chinese_words": (False, True, {"whole_words": True}),
}  # fmt: skip
RECORDS = [{"text": text.replace("快递", "快递公司")} for text in TEXTS]
TEACH = {"electra": (150, 5e-3)}


def tokenizer(family):
    return cutter("wordpiece")
