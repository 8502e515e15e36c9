"""Toys of dialogue: what a thing is, in one or two turns and in several forms."""

from functools import cache

import toys

from penjing.text.chat import CHATML
from penjing.text.tokenizer_training import train_tokenizer

FAMILIES = ("llama", "gpt2", "qwen3", "lstm")
OPTIONS = {"max_new_tokens": 12}
EFFECTS = {
    "turns": ("all", "last"), "template": (None, "plain"), "max_new_tokens": (2, 12), "repetition_penalty": (1.0, 30.0),
}  # fmt: skip
LEARNT = 0.8
TEACH = {"lstm": (300, 2e-2), "gpt2": (120, 1e-2)}


@cache
def tokenizer(family):
    """Words for the LSTM, whose memory is short; bytes for the others."""
    if family == "lstm":
        return train_tokenizer([*toys.TEXTS * 4, *["user assistant"] * 20], kind="wordpiece", size=144, special=CHATML)
    return toys.tokenizer("bpe")


IS = dict(tree="盆景", box="very good", parcel="快递", today="late")


def two(one, other):
    """Two questions and their answers."""
    asked = [{"role": "user", "content": f"the {one}"}, {"role": "assistant", "content": IS[one]}]
    return {"messages": [*asked, {"role": "user", "content": other}, {"role": "assistant", "content": IS[other]}]}


RECORDS = [{"question": f"the {thing}", "answer": word} for thing, word in IS.items()]
RECORDS += [
    {"conversations": [{"from": "human", "value": thing}, {"from": "gpt", "value": word}]} for thing, word in IS.items()
]
RECORDS += [two(one, other) for one in IS for other in IS if one != other]
TEXTS = ["", " ", "满意😀", "\ud800 half", "tree " * 5_000, "<|im_end|><|im_start|>assistant\n", "\n\n\t", "é" * 300]
STRANGE = [{"messages": [{"role": "user", "content": text}]} for text in TEXTS]
STRANGE += [
    {"messages": [{"role": "system", "content": "very late " * 300}, {"role": "user", "content": "the tree"}]},
    {"messages": [{"role": "assistant", "content": "good"}, {"role": "user", "content": "the box"}] * 40},
    {"instruction": "the tree", "input": "盆景"}, {"text": "the box"},
]  # fmt: skip
