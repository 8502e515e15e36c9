"""Toys of reward models: an answer with a good word is better than one with a bad word, in several forms of pairs."""

from toys import BAD, GOOD
from toys_chat import TEXTS, tokenizer  # noqa: F401
from toys_preference import asked, said

FAMILIES = ("llama", "bert")
OPTIONS = {}
TEACH = {"llama": (30, 5e-3), "bert": (30, 5e-3)}
LEARNT = 0.9
CLOSE = 1e-6  # a product with one column depends on where in memory its weights lie
EFFECTS = {"template": (None, "plain"), "centre": (0.0, 1.0)}
RECORDS = [{"prompt": "the tree", "chosen": f"was {good}", "rejected": f"was {bad}"}
           for good, bad in zip(GOOD, BAD, strict=True)]  # fmt: skip
RECORDS += [{"chosen": [asked("box"), said(f"{good} and late")], "rejected": [asked("box"), said(f"{bad} and late")]}
            for good, bad in zip(GOOD, BAD[::-1], strict=True)]  # fmt: skip
STRANGE = [{"prompt": text, "chosen": "late", "rejected": "good " * 300} for text in TEXTS]
STRANGE += [{"prompt": "the tree", "completion": "😀"}, {"prompt": "the tree", "completion": ""}]
STRANGE += [{"prompt": "the tree", "completion": "late", "label": False}]
ASKED = [*RECORDS[:2], *STRANGE[-2:]]
