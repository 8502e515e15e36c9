"""Toys of masked language modelling."""

from toys import TEXTS

FAMILIES = ("bert", "modernbert", "lstm")
OPTIONS = {}
EFFECTS = {
    "rate": (0.15, 0.5), "replace": (0.8, 0.1), "random": (0.1, 0.9, {"replace": 0.1}), "whole_words": (False, True),
    "chinese_words": (False, True, {"whole_words": True}),
}  # fmt: skip
RECORDS = [{"text": text.replace("快递", "快递公司")} for text in TEXTS]
