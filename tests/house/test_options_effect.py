"""Every option of every stage changes something that can be seen: files, plan, log, what is saved, or an error.

TABLE: stage -> option -> (one, other) or (one, other, what both are given besides). An option not in it fails the test.
OWN and SHARED say the same of the kinds of records of `clean`.
The options inside a task are tried by tests/contract.
"""

import hashlib
import json

import pytest

from penjing.base.errors import PenjingError
from penjing.base.options import options_of
from penjing.base.progress import listen
from penjing.recipe.call import call_stage
from penjing.recipe.check import check_step
from penjing.recipe.records import KINDS, kind_named
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN, STAGES

PASSING = ("second", "memory", "made_from", "time", "speed", "tried_")  # keys whose values change from run to run
LEFT_OUT = ("cache", "tensorboard", "compress.html", "compress.txt")  # the last two tell times
WORDS = [
    "the",
    "parcel",
    "tree",
    "box",
    "was",
    "came",
    "today",
    "and",
    "very",
    "late",
    "快递",
    "盆景",
    "迟到",
    "unbreakable",
]
LOOP = {
    "steps": (4, 5), "epochs": (1, 2, {"steps": None}), "batch_tokens": (256, 64), "accumulate": (1, 2),
    "minutes": (1e-6, 0.005, {"steps": None, "measure_seconds": 0.01}),
    "learning_rate": (1e-3, 1e-2), "optimizer": ("adamw", "muon"), "muon_rate": (1e-3, 1e-2, {"optimizer": "muon"}),
    "weight_decay": (0.01, 0.9), "warmup": (0.06, 1.0), "schedule": ("cosine", "linear"), "clip": (1.0, 1e-3),
    "validate_times": (1, 2), "patience": (0, 1, {"validate_times": 8, "steps": 8, "learning_rate": 2.0}),
    "average": (0.0, 0.5), "seed": (0, 1), "save_seconds": (60.0, 0.0), "dtype": ("float32", "bfloat16"), "threads": (1, 2),
    "compiled": (False, True), "measure_seconds": (0, 0.01), "prove_resume": (False, True),
    "checkpointing": (False, True), "moments": ("float32", "8bit", {"width": 64}),
}  # fmt: skip
GIVEN = {"tokenizer": None, "width": 128, "layers": 2, "max_tokens": 512}  # no sizes beside a model
GONE_ON = {"tokenizer": None, "width": 256, "layers": 4, "max_tokens": 512}  # the same for pretrain
ADAPTED = ["adapted", "adapted2"]
CUTTING = {
    "methods": ["neurons", "int8"], "rounds": 1, "minutes": 30.0, "epochs": 1, "learning_rate": 1e-3, "batch_tokens": 64,
    "calibration": 2, "seed": 0,
}  # fmt: skip
TABLE = {
    "clean": {
        "folder": ("clean", "other"), "records": ("texts", "pairs"), "train": ("a.csv", "b.csv"), "valid": ("valid.csv", None),
        "test": (None, "valid.csv"), "raw": (None, "raw.txt"), "join": (None, "labelled"), "columns": (None, {"text": "body"}),
        "encoding": ("auto", "gb18030"), "empty": ("error", "drop", {"train": "null.csv", "valid": None}),
        "valid_share": (0.2, 0.4, {"valid": None}), "test_share": (0.0, 0.3), "most": (None, 5), "seed": (0, 1, {"valid": None}),
        "exact_duplicates": (True, False), "near_duplicates": (True, False), "near_threshold": (0.6, 1.0),
        "across_splits": ("drop", "report"), "workers": (1, 2),
    },
    "back_translate": {
        "data": ("labelled", "labelled2"), "forward": ("there", "home"), "back": ("home", "there"),
        "languages": (None, "en-de"), "classifier": (None, "tuned"), "copies": (1, 2), "temperature": (1.0, 0.0),
        "most": (6, 4), "least": (0.0, 1.0), "ratio": (1000.0, 1.0), "seed": (0, 1),
    },
    "label_pairs": {"data": ("labelled", "labelled2"), "times": (2, 3), "seed": (0, 1)},
    "tokenizer": {
        "data": ("raw.jsonl", "raw2.jsonl"), "kind": ("wordpiece", "bpe", {"size": 300}), "size": (80, 120),
        "lowercase": (True, False), "alphabet": (None, 20), "least": (2, 60), "spare": (0, 3),
        "special": (None, ["<|im_start|>"]),
        "extra_ids": (0, 5, {"kind": "unigram"}), "multiple": (8, 128),
        "byte_fallback": (False, True, {"kind": "unigram", "size": 400}),
        "sample_bytes": (None, 400), "longest": (512, 64), "seed": (0, 1, {"sample_bytes": 400}),
        "source": (None, "tokenizer2", {"size": 8192}),
    },
    "pretrain": LOOP | {
        "data": ("raw.jsonl", "raw2.jsonl"), "model": ("pretrained", "tuned", GONE_ON),
        "tokenizer": ("tokenizer", "tokenizer2"), "task": ("masked", {"masked": {"rate": 0.5}}), "family": ("bert", "modernbert"),
        "layers": (1, 2), "width": (16, 32), "heads": (1, 2), "mlp_width": (None, 24), "max_tokens": (32, 64),
        "window": (None, 8), "size": ("40k", "80k", {"width": 256, "layers": 4}),
        "key_heads": (1, 2, {"family": "llama", "task": "causal", "heads": 2}),
        "cuts": ("fixed", "moving", {"window": 8, "steps": None, "epochs": 3}), "tied": (None, False, {"family": "modernbert"}),
        "attention_dropout": (None, 0.3), "dropout": (0.0, 0.3), "valid_share": (0.1, 0.3), "vectors": (None, "words.vec"),
        "baselines": (True, False, {"family": "llama", "task": "causal"}),
    },
    "finetune": LOOP | {
        "data": ("labelled", "labelled2"), "model": ("pretrained", "tuned", GIVEN),
        "tokenizer": ("tokenizer", "tokenizer2"), "task": ("classify", {"classify": {"smoothing": 0.2}}), "dropout": (None, 0.3),
        "new_tokens": (None, ["parcel tree"], GIVEN | {"model": "pretrained"}),
        "change": (None, "lora"), "keep_states": (None, "float16", {"layers": 2, "change": {"freeze": {"top": 1}}}),
        "head_dropout": (0.0, 0.3), "window": (None, 8), "long_text": (None, "head", {"window": 8}),
        "family": ("bert", "modernbert"), "layers": (1, 2), "width": (16, 32), "max_tokens": (32, 64), "baselines": (False, True),
        "members": (1, 2), "folds": (False, True, {"members": 2}), "way": ("average", "soup", {"members": 2}),
        "size": ("40k", "80k", {"width": 128, "layers": 2}),
        "vectors": (None, "words.vec"),
    },
    "ensemble": {
        "members": (["tuned", "tuned2"], ["tuned2", "tuned"]), "way": ("average", "soup"), "data": (None, "labelled"),
        "baselines": (False, True, {"data": "labelled"}), "seed": (0, 1, {"data": "labelled"}),
    },
    "merge": {
        "model": ("adapted", ADAPTED), "weights": (None, [0.9, 0.2], {"model": ADAPTED}), "data": (None, "labelled"),
        "way": ("linear", "ties", {"model": ADAPTED}), "density": (0.5, 0.1, {"model": ADAPTED, "way": "ties"}),
        "split": ("test", "valid", {"data": "labelled"}), "seed": (0, 1, {"model": ADAPTED, "way": "dare"}),
    },
    "export": {
        "model": ("tuned", "tuned2"), "to": ("hf", "half"), "data": (None, "labelled"), "most": (2000, 2, {"data": "labelled"}),
        "split": ("test", "valid", {"data": "labelled"}),
    },
    "shrink": {
        "model": ("tuned", "tuned2"), "change": ("neurons", "lowrank"), "data": (None, "labelled"),
        "split": ("test", "valid", {"data": "labelled"}), "calibration": (4, 9, {"data": "labelled"}),
        "seed": (0, 1, {"data": "labelled", "calibration": 4}),
    },
    "compress": {
        "model": ("tuned", "tuned2"), "data": ("labelled", "labelled2", CUTTING), "max_drop": ("60%", "0%"), "size": (None, "1B"),
        "latency": (None, "1us"), "methods": (["int8"], ["int4"]), "rounds": (1, 0, CUTTING), "minutes": (30.0, 1e-9, CUTTING),
        "epochs": (1, 3, CUTTING), "learning_rate": (1e-3, 1e-1, CUTTING), "batch_tokens": (64, 256, CUTTING),
        "calibration": (2, 40, CUTTING), "seed": (0, 1, CUTTING),
    },
    "distil_linear": {
        "model": ("tuned", "tuned2"), "data": ("labelled", "labelled2"), "texts": (None, "raw.jsonl"),
        "kind": ("nb_ngrams", "tfidf"), "seed": (0, 1),
    },
    "evaluate": {
        "data": ("labelled", "labelled2"), "model": ("tuned", "tuned2"), "split": ("test", "valid"), "bootstrap": (100, 150),
        "confidence": (0.95, 0.6), "ensemble": (False, True), "seed": (0, 1),
    },
    "reinforce": {
        "data": ("asked", "asked2"), "model": ("decoder", "decoder2"), "reward": ({"regex": {"pattern": "[aeiou]"}}, "exact"),
        "method": ("grpo", "rloo"), "change": (None, "lora"), "steps": (2, 3), "prompts": (2, 3), "group": (2, 3),
        "max_new_tokens": (3, 4), "temperature": (1.0, 0.5), "batch_tokens": (4096, 16), "learning_rate": (1e-3, 1e-2),
        "weight_decay": (0.0, 0.9), "warmup": (0.05, 1.0), "schedule": ("constant", "linear", {"steps": 4}), "clip": (1.0, 1e-3),
        "validate_times": (1, 2), "seed": (0, 1), "save_seconds": (60.0, 0.0),
    },
    "fewshot": {
        "model": ("decoder", "decoder2"), "data": ("labelled", "labelled2"), "shots": ([2], "0,2"), "split": ("test", "valid"),
        "most": (4, 6), "choice": ("balanced", "nearest"), "examples": (None, "labelled2/train.jsonl"),
        "encoder": (None, "vectors", {"choice": "embedding"}), "seeds": (None, 1), "template": ("label", "{text} = {label}"),
        "instruction": (None, "Say {labels}."), "language": ("en", "zh"), "words": (None, {"good": "box"}),
        "form": ("auto", "chat"), "calibration": ("contextual", "none"), "normalise": ("none", "bytes"),
        "trained": (None, "tuned"), "baselines": (False, True), "bootstrap": (100, 150), "confidence": (0.95, 0.6),
        "seed": (0, 1),
    },
    "report": {
        "fewshot": (None, "prompted"), "evaluation": ("evaluated", None), "model": (None, "tuned"), "data": (None, "cleaned"),
        "tokenizer": (None, "tokenized"), "pretrain": (None, "pretrained"), "title": ("one", "other"), "language": ("en", "zh"),
        "text_languages": (None, ["zh"]), "licence": ("other", "apache-2.0"), "datasets": (None, ["toys"]),
        "recipe": (None, "recipes/toy.yaml"),
    },
}  # fmt: skip
TWICE = {"train": ["near.conll", "train.conll", "more.conll"]}  # sentences stand in two of them, and nearly so
SHARED = {  # options of the stage that are tried on other kinds of records than texts
    "tags": {
        "folder": ("tagged", "tagged2"), "train": ("train.conll", "more.conll"), "valid": (None, "valid.conll"),
        "test": (None, "valid.conll"), "columns": (None, {"tags": "2"}), "encoding": ("auto", "gb18030"),
        "join": (None, "tagged2"), "empty": ("error", "drop", {"train": "untagged.jsonl"}),
        "across_splits": ("drop", "report", {"valid": "valid.conll"}), "valid_share": (0.2, 0.4),
        "test_share": (0.0, 0.3), "most": (None, 5), "seed": (0, 1), "exact_duplicates": (True, False, TWICE),
        "near_duplicates": (True, False, TWICE),
        "near_threshold": (0.6, 1.0, {"train": "near.conll"}), "workers": (1, 2),
    },
    "pairs": {
        "folder": ("twins", "twins2"), "train": (None, "b.jsonl"), "valid": (None, "c.jsonl", {"train": "train.jsonl"}),
        "test": (None, "c.jsonl", {"train": "train.jsonl"}), "columns": (None, {"source": "label", "target": "text"},
        {"train": "d.jsonl"}), "encoding": ("auto", "gb18030"), "join": (None, "twins2"),
        "empty": ("error", "drop", {"train": "empty.jsonl"}), "most": (None, 5), "valid_share": (None, 0.3),
        "test_share": (0.0, 0.3), "seed": (0, 1), "across_splits": ("equal", "report", {"train": "c.jsonl", "test": "c2.jsonl"}),
        "exact_duplicates": (True, False, {"train": ["b.jsonl", "c2.jsonl"]}), "workers": (1, 2),
    },
    "dialogues": {
        "folder": ("talks", "talks2"), "train": ("a.jsonl", "b.jsonl"), "valid": (None, "valid.jsonl"),
        "test": (None, "valid.jsonl"), "columns": (None, {"question": "asked"}), "encoding": ("auto", "gb18030"),
        "join": (None, "talks2"), "empty": ("error", "drop", {"train": "b.jsonl"}), "most": (None, 5),
        "exact_duplicates": (True, False), "near_duplicates": (True, False), "near_threshold": (0.5, 1.0),
        "valid_share": (0.2, 0.4), "test_share": (0.0, 0.3), "seed": (0, 1, {"near_threshold": 1.0, "valid_share": 0.3}),
        "workers": (1, 2),
    },
    "preferences": {
        "folder": ("wishes", "wishes2"), "train": ("a.jsonl", "b.jsonl"), "valid": (None, "valid.jsonl"),
        "test": (None, "valid.jsonl"), "columns": (None, {"prompt": "asked"}), "encoding": ("auto", "gb18030"),
        "join": (None, "wishes2"), "empty": ("error", "drop", {"train": "b.jsonl"}), "most": (None, 5),
        "exact_duplicates": (True, False), "near_duplicates": (True, False), "near_threshold": (0.5, 1.0),
        "valid_share": (0.2, 0.4), "test_share": (0.0, 0.3), "seed": (0, 1, {"near_threshold": 1.0, "valid_share": 0.3}),
        "workers": (1, 2),
    },
}  # fmt: skip
OWN = {  # options inside the choice
    "texts": {
        "label_separator": (None, "|", {"columns": {"labels": "label"}}), "html": (True, False), "control": (True, False),
        "unicode": (True, False), "whitespace": (True, False), "boilerplate": (True, False), "repeated_lines": (0.01, 0.0),
        "personal": ("report", "mask"), "languages": (None, ["zh"]), "min_characters": (1, 40), "max_characters": (None, 60),
    },
    "tags": {},
    "pairs": {"languages": (None, "de-en"), "both": (False, True), "longest": (None, 60), "ratio": (None, 1.5)},
    "dialogues": {"system": (None, "Be brief.")},
    "preferences": {},
}  # fmt: skip
KINDS_BASE = {
    "texts": {"folder": "clean", "train": "a.csv", "valid": "valid.csv", "workers": 1, "near_threshold": 0.6},
    "tags": {"folder": "tagged", "train": "train.conll", "records": "tags"},
    "pairs": {"folder": "twins", "records": "pairs"},
    "dialogues": {"folder": "talks", "train": "a.jsonl", "records": "dialogues"},
    "preferences": {"folder": "wishes", "train": "a.jsonl", "records": "preferences"},
}
TINY = {"steps": 4, "batch_tokens": 256, "layers": 1, "width": 16, "max_tokens": 32, "validate_times": 1, "threads": 1,
        "measure_seconds": 0, "dtype": "float32"}  # fmt: skip
BASE = {
    "clean": KINDS_BASE["texts"],
    "label_pairs": {"data": "labelled", "times": 2},
    "back_translate": {
        "data": "labelled",
        "forward": "there",
        "back": "home",
        "least": 0.0,
        "ratio": 1000.0,
        "most": 6,
        "temperature": 1.0,
    },
    "tokenizer": {"data": "raw.jsonl", "size": 80},
    "pretrain": TINY | {"data": "raw.jsonl", "tokenizer": "tokenizer", "valid_share": 0.1},
    "finetune": TINY | {"data": "labelled", "tokenizer": "tokenizer", "baselines": False, "schedule": "cosine"},
    "ensemble": {"members": ["tuned", "tuned2"]},
    "merge": {"model": "adapted"},
    "export": {"model": "tuned", "to": "hf"},
    "shrink": {"model": "tuned", "change": "neurons"},
    "compress": {
        "model": "tuned",
        "data": "labelled",
        "methods": ["int8"],
        "max_drop": "60%",
        "size": None,
        "latency": None,
    },
    "distil_linear": {"model": "tuned", "data": "labelled"},
    "evaluate": {"data": "labelled", "model": "tuned", "bootstrap": 100, "ensemble": False},
    "reinforce": {
        "data": "asked",
        "model": "decoder",
        "reward": {"regex": {"pattern": "[aeiou]"}},
        "steps": 2,
        "prompts": 2,
        "group": 2,
        "max_new_tokens": 3,
        "validate_times": 1,
    },
    "fewshot": {"model": "decoder", "data": "labelled", "shots": [2], "most": 4, "bootstrap": 100, "baselines": False},
    "report": {"evaluation": "evaluated", "language": "en"},
}


def sentence(number, length=9):
    """A text of its own for each number."""
    return (
        " ".join(WORDS[(number * 7 + place * (number % 5 + 1)) % len(WORDS)] for place in range(length)) + f" {number}"
    )


def write_clean(place):
    """Tables in which every rule of the clean stage finds something."""
    place.mkdir()
    odd = [
        "<b>bold</b> &amp; more words of this line", "zero\u200bwidth and bell\u0007 here", "cafe\u0301 with an accent alone",
        "many    spaces   in   one   line",
        "We use cookies to improve your experience. Accept all cookies\nreal words stand here",
        "write to somebody@example.com for the parcel", "我们的快递迟到了，请退款给我们，谢谢你们", sentence(900), sentence(900),
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixty",
        sentence(950, 30),
    ]  # fmt: skip
    odd += [f"{sentence(700 + i)}\n{sentence(800 + i)}\nSent from a small garden" for i in range(30)]
    rows = [(text, f"body {i} {sentence(i)}", "a|b" if i % 2 else "c") for i, text in enumerate(odd)]
    table(place / "a.csv", rows)
    table(place / "b.csv", [(sentence(i), "body", "a" if i % 2 else "c") for i in range(30)])
    table(place / "null.csv", [(sentence(i), "body", ["a", "c", ""][i % 3]) for i in range(30)])
    table(place / "valid.csv", [(text, sentence(60 + i), "a|b" if i % 2 else "c") for i, text in
                                enumerate([sentence(950, 30), *(sentence(i, 14) for i in range(500, 509))])])  # fmt: skip
    (place / "raw.txt").write_text("\n\n".join(sentence(i) for i in range(20)), "utf-8")


def write_talks(place, first):
    """Conversations of which some are equal, some nearly, and in b.jsonl some empty."""
    talks = [
        {"question": sentence(i, 14), "asked": sentence(i + 50), "answer": sentence(i)}
        for i in range(first, first + 30)
    ]
    near = [one | {"question": one["question"] + " please", "answer": "yes"} for one in talks[:12]]
    jsonl(place / "a.jsonl", [*talks, *near, *talks[:4]])
    jsonl(place / "b.jsonl", [*talks, {"question": "empty", "answer": ""}])
    jsonl(place / "valid.jsonl", [{"question": sentence(i), "answer": sentence(i)} for i in range(600, 609)])


def write_wishes(place, first):
    """The same as pairs of answers."""
    write_talks(place, first)
    for path in place.glob("*.jsonl"):
        found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        names = {"question": "prompt", "answer": "chosen"}
        named = [{names.get(name, name): value for name, value in one.items()} for one in found]
        jsonl(path, [one | {"rejected": "no"} for one in named])


def table(path, rows):
    """A CSV file; an empty label is null."""
    lines = ["text,body,label"]
    for row in rows:
        lines.append(",".join('"' + cell.replace('"', '""') + '"' if cell else "" for cell in row))
    path.write_text("\n".join(lines) + "\n", "utf-8")


def record(number, several):
    """A labelled record: two kinds, one twice as frequent; `several` adds a list of labels."""
    label = "good" if number % 3 else "bad"
    more = {"labels": [label] if number % 3 else [label, "late"]} if several else {}
    return {"text": f"{sentence(number, 6 + number % 20)} {label}", "label": label} | more


def twin(number, labelled):
    """A pair of texts, some of them much longer; or a record whose fields have other names."""
    if labelled:
        return {"text": sentence(number), "label": f"target {number}"}
    languages = {"source_lang": "en", "target_lang": "de"}
    return {"source": sentence(number, 4 + number % 9), "target": f"{sentence(number * 3, 8)} z"} | languages


def conll(path, texts):
    """Sentences of three columns: the word, its length, a tag."""
    path.parent.mkdir(exist_ok=True, parents=True)
    rows = (
        "".join(f"{word} n{len(word)} {'B-BOX' if word == 'box' else 'O'}\n" for word in text.split()) for text in texts
    )
    path.write_text("\n".join([*rows, "box n3 B-BOX\n"]), "utf-8")


def jsonl(path, records):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """All that the stages are given."""
    root = tmp_path_factory.mktemp("options")
    write_clean(root / "clean")
    write_clean(root / "other")
    table(root / "other" / "a.csv", [(sentence(i), "body", "a" if i % 2 else "c") for i in range(99, 130)])
    write_talks(root / "talks", 0)
    write_talks(root / "talks2", 100)
    write_wishes(root / "wishes", 0)
    write_wishes(root / "wishes2", 100)
    for folder, least in (("tagged", 0), ("tagged2", 30)):
        for name, numbers in (("train", range(20)), ("more", range(12)), ("valid", range(18, 24))):
            conll(root / folder / f"{name}.conll", [sentence(least + number) for number in numbers])
        texts = [sentence(least + number, 14) for number in range(12)]
        conll(root / folder / "near.conll", [*texts, *(f"{text} please" for text in texts)])
        shared = [{"tokens": ["a", "box"], "tags": ["O", "B-BOX"]}, {"text": "no tags"}]
        jsonl(root / folder / "untagged.jsonl", shared * 5)
    jsonl(root / "raw.jsonl", [{"text": sentence(i, 6 + i % 30)} for i in range(40)])
    jsonl(root / "raw2.jsonl", [{"text": sentence(i, 6 + i % 9)} for i in range(100, 160)])
    for name, start in (("labelled", 0), ("labelled2", 300), ("both", 600)):
        for split, count in (("train", 40), ("valid", 12), ("test", 12)):
            start += count
            jsonl(root / name / f"{split}.jsonl", [record(i, name == "both") for i in range(start, start + count)])
    lines = (f"{word} " + " ".join(str((7 * i + j * j) % 5) for j in range(6)) for i, word in enumerate(WORDS))
    (root / "words.vec").write_text(f"{len(WORDS)} 6\n" + "\n".join(lines) + "\n", "utf-8")
    for name, start in (("twins", 0), ("twins2", 500)):
        for part, count in (("train", 30), ("b", 20), ("c", 5), ("d", 10)):
            start += count
            jsonl(root / name / f"{part}.jsonl", [twin(i, part == "d") for i in range(start, start + count)])
        odd = [twin(start + i, False) for i in range(20)]
        jsonl(root / name / "empty.jsonl", [*odd, odd[0] | {"target": ""}])
        jsonl(root / name / "c2.jsonl", [*(twin(i, False) for i in range(start - 10, start - 7)), *odd[:2], *odd[:2]])
    for name, first in (("asked", 0), ("asked2", 200)):
        asked = [{"prompt": sentence(first + i, 3), "answer": WORDS[i]} for i in range(8)]
        jsonl(root / name / "train.jsonl", asked)
        jsonl(root / name / "valid.jsonl", asked[:3])
    made = {"tokenized": ("tokenizer", {}), "tokenizer": ("tokenizer", {}), "tokenizer2": ("tokenizer", {"size": 120})}
    made |= {"pretrained": ("pretrain", {}), "tuned": ("finetune", {"baselines": True})}
    made |= {
        "tuned2": ("finetune", {"baselines": True, "seed": 5, "learning_rate": 0.01}),
        "evaluated": ("evaluate", {}),
    }
    writing = {"task": "causal", "family": "llama", "heads": 2, "max_tokens": 512, "baselines": False}
    made |= {"decoder": ("pretrain", writing), "decoder2": ("pretrain", writing | {"seed": 5})}
    made |= {"vectors": ("pretrain", {"task": "contrast", "dropout": 0.1}), "prompted": ("fewshot", {})}
    turning = {"task": {"seq2seq": {"beams": 1, "max_new_tokens": 6}}, "family": "marian", "data": "twins"}
    made |= {"there": ("finetune", turning), "home": ("finetune", turning | {"seed": 5})}
    adapting = GIVEN | {"model": "pretrained", "change": "lora"}
    made |= {"adapted": ("finetune", adapting), "adapted2": ("finetune", adapting | {"learning_rate": 0.1})}
    made["cleaned"] = ("clean", {})
    for name, (stage, options) in made.items():
        call_stage(Stage.of(stage, BUILT_IN[stage]), root / name, BASE[stage] | options, root)
    return root


def filled(root, out, stage, options):
    """Run one stage through its checks; returns its result."""
    given = {name: value for name, value in options.items() if value is not None}
    planned = check_step(stage, BUILT_IN[stage], given, root)
    return planned.stage.function(out, **planned.options)


def seen(root, out, stage, options, monkeypatch):
    """Everything observable of one run, as text: outputs, result, what was begun, saved and compiled; or the errors."""
    out.mkdir()
    begun, saves, compiled = [], [], []
    from penjing.model.transformer import Transformer
    from penjing.recipe.compressing import point, proposing
    from penjing.train import resume

    plain = resume.save_state
    with monkeypatch.context() as patch, listen(lambda e: begun.append(e.values) if e.kind == "begin" else None):
        patch.setattr(resume, "save_state", lambda *given: (saves.append(1), plain(*given)))
        patch.setattr(point, "ROUNDS", 1)
        patch.setattr(point, "SINGLE", 1)
        patch.setattr(proposing, "SHARES", (0.5,))
        patch.setattr(Transformer, "compile", lambda self, **given: compiled.append(1))
        try:
            result = filled(root, out, stage, options)
        except PenjingError as error:
            return json.dumps([one.code for one in (error, *error.others)])
    files = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and not set(LEFT_OUT) & set(p.relative_to(out).parts)):
        files[path.relative_to(out).as_posix()] = content(path)
    workers = [values.get("workers") for values in begun]
    return json.dumps([files, steady(result), workers, len(saves), len(compiled)], sort_keys=True, default=str)


def content(path):
    """A file without what changes from run to run."""
    if path.suffix == ".json":
        return steady(json.loads(path.read_text("utf-8")))
    if path.name in ("log.jsonl", "points.jsonl"):
        return [steady(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def steady(value):
    """JSON without the numbers of clocks and memory; of a measurement only how many ways were tried."""
    if isinstance(value, dict):
        kept = {k: steady(v) for k, v in value.items() if not any(word in k for word in PASSING)}
        return kept | ({"tried": len(value["tried"])} if "tried" in value else {})
    return [steady(one) for one in value] if isinstance(value, list) else value


def test_every_option_is_in_the_table():
    for stage in STAGES:
        known = set(options_of(BUILT_IN[stage].function))
        assert known == set(TABLE.get(stage, {})), f"{stage}: {sorted(known ^ set(TABLE.get(stage, {})))}"


def test_every_option_of_every_kind_of_records_is_in_the_table():
    for kind in KINDS:
        assert set(options_of(kind_named(kind))) == set(OWN[kind]), kind


@pytest.mark.parametrize("stage", TABLE)
def test_every_option_has_an_effect(stage, place, tmp_path, monkeypatch):
    trials = {option: ({option: one}, {option: other}, *more) for option, (one, other, *more) in TABLE[stage].items()}
    assert not (idle := no_effect(stage, BASE[stage], trials, place, tmp_path, monkeypatch)), f"{stage}: {idle}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_has_an_effect_on_every_kind_of_records(kind, place, tmp_path, monkeypatch):
    trials = {option: ({option: one}, {option: other}, *more)
              for option, (one, other, *more) in SHARED.get(kind, {}).items()}  # fmt: skip
    for option, (one, other, *more) in OWN[kind].items():
        trials[option] = (*({"records": {kind: {option: value}}} for value in (one, other)), *more)
    assert not (idle := no_effect("clean", KINDS_BASE[kind], trials, place, tmp_path, monkeypatch)), f"{kind}: {idle}"


def no_effect(stage, base, trials, place, tmp_path, monkeypatch):
    """The trials (one, other, what both are given besides) whose two sides look the same."""
    monkeypatch.setenv("PENJING_LANG", "en")
    found, idle = {}, []

    def observe(options):
        key = json.dumps(options, sort_keys=True)
        if key not in found:
            found[key] = seen(place, tmp_path / str(len(found)), stage, options, monkeypatch)
        return found[key]

    again = seen(place, tmp_path / "again", stage, base, monkeypatch)
    assert observe(base) == again and "{" in again, f"two equal runs of {stage} differ, or none is done"
    for option, (one, other, *more) in trials.items():
        both = base | (more[0] if more else {})
        views = [observe(both | side) for side in (one, other)]
        if views[0] == views[1] or not any("{" in view for view in views):
            idle.append(option)
    return idle
