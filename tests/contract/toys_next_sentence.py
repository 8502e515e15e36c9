"""Toys of next-sentence prediction: texts of several sentences."""

from toys_objectives import TEXTS, cutter

FAMILIES = ("bert",)
OPTIONS = {}
EFFECTS = {
    "order": (False, True), "rate": (0.15, 0.5), "replace": (0.8, 0.1), "random": (0.1, 0.9, {"replace": 0.1}),
    "whole_words": (False, True), "chinese_words": (False, True, {"whole_words": True}),
}  # fmt: skip
RECORDS = [{"text": text.replace("快递", "快递公司")} for text in TEXTS]
TEACH = {"bert": (150, 5e-3)}


def tokenizer(family):
    return cutter("wordpiece")
