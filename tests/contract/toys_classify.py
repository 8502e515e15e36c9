"""Toys of classification."""

from toys import RECORDS, SEVERAL, STRANGE

FAMILIES = ("bert", "modernbert", "llama", "t5", "lstm")
OPTIONS = {}
DROPOUT = 0.1
LEARNT = 0.85
TEACH = {"t5": (100, 3e-3)}
STRANGE = [{"text": text} for text in STRANGE] + [{"text": "快递 late", "text_b": "满意 😀"}]
EFFECTS = {
    "several": (False, True), "weights": ("none", "balanced"), "smoothing": (0.0, 0.3), "token_dropout": (0.0, 0.5),
    "cut_off": (0.0, 0.5), "rdrop": (0.0, 5.0), "augment": (None, {"swap": {"share": 0.5}}),
}  # fmt: skip
RECORDS = [one | {"labels": several["labels"]} for one, several in zip(RECORDS, SEVERAL, strict=True)][:-9]
