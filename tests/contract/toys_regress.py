"""Toys of regression: good texts have a higher number."""

from toys import STRANGE, TRAIN

FAMILIES = ("bert", "modernbert", "llama", "t5", "lstm")
OPTIONS = {}
LEARNT = 0.85  # Pearson
CLOSE = 1e-6  # a product with one column depends on where in memory its weights lie
DROPOUT = 0.1
TEACH = {"t5": (150, 5e-3), "llama": (150, 5e-3)}
EFFECTS = {
    "token_dropout": (0.0, 0.5), "cut_off": (0.0, 0.5), "rdrop": (0.0, 5.0), "augment": (None, {"delete": {}}),
    "units": (None, (0.0, 9.0)),
}  # fmt: skip
STRANGE = [{"text": text} for text in STRANGE] + [{"text": "快递 late", "text_b": "满意 😀"}]
RECORDS = [{"text": text, "label": 1.0 + 2.5 * (label == "good")} for text, label in TRAIN][:-9]
