"""Toys of preference: of two words for a thing the right one, in several forms of pairs."""

from toys_chat import IS, TEXTS, tokenizer  # noqa: F401

FAMILIES = ("llama", "lstm")
TEACH = {"llama": (40, 1e-2), "lstm": (60, 1e-2)}
OPTIONS = {"max_new_tokens": 12}
EFFECTS = {
    "turns": ("all", "last"), "template": (None, "plain"), "max_new_tokens": (2, 12), "repetition_penalty": (1.0, 30.0),
    "method": ("dpo", "ipo"), "beta": (None, 0.5), "smoothing": (0.0, 0.2), "gamma": (None, 2.0, {"method": "simpo"}),
    "desirable": (None, 2.0), "undesirable": (None, 2.0),
}  # fmt: skip
LEARNT = 0.9


def asked(thing):
    return {"role": "user", "content": f"the {thing}"}


def said(text):
    return {"role": "assistant", "content": text}


WRONG = dict(zip(IS, [*list(IS.values())[1:], "盆景"], strict=True))
RECORDS = [{"prompt": f"the {thing}", "chosen": IS[thing], "rejected": WRONG[thing]} for thing in IS]
RECORDS += [{"chosen": [asked(thing), said(IS[thing])], "rejected": [asked(thing), said(WRONG[thing])]} for thing in IS]
RECORDS += [
    {"prompt": [asked(thing)], "chosen": [said("late"), asked("box"), said(IS["box"])], "rejected": said(WRONG[thing])}
    for thing in IS
]
STRANGE = [{"prompt": text} for text in TEXTS]
STRANGE += [{"prompt": "the tree", "chosen": "very " * 300, "rejected": "late"}, {"text": "the box"}]
STRANGE += [{"prompt": "the tree", "completion": "late", "label": False}]
ASKED = [*RECORDS[:2], *STRANGE[2:3], {"prompt": "the tree"}]  # answered to see what an option does
