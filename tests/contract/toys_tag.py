"""Toys of tagging."""

from tagged import RECORDS, records

FAMILIES = ("bert", "modernbert", "electra", "llama", "lstm")
LONG = records(40, seed=3)  # together longer than a window
LONG = {name: sum((one[name] for one in LONG), []) for name in ("tokens", "tags")}
RECORDS = [*RECORDS, LONG]
OPTIONS = {"crf": True}
LEARNT = 0.8
TEACH = {"modernbert": (160, 1e-2), "lstm": (120, 1e-2)}
STRANGE = [{"tokens": tokens} for tokens in ([], [""], ["\ud800", "😀", "满", "意"], ["tree"] * 300, ["box" * 200])] + [
    {"text": text} for text in ("", " \n", "[SEP] [MASK] <pad>", "去盆景了，Ann saw 😀", "é" * 300)
]
EFFECTS = {
    "scheme": ("bio", "bioes"), "crf": (False, True), "smoothing": (0.0, 0.3, {"crf": False}),
    "token_dropout": (0.0, 0.5), "stride": (None, 5), "augment": (None, {"swap": {"share": 0.5}}),
}  # fmt: skip
