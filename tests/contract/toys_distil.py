"""Toys of distillation: classification beside a teacher, which reads the same tokens or cuts texts otherwise."""

import atexit
import shutil
import tempfile
from pathlib import Path

from toys import RECORDS, STRANGE, teach, toy_model  # noqa: F401

FAMILIES = ("bert", "llama")
LEARNT = 0.85
STRANGE = [{"text": text} for text in STRANGE]
FOLDER = Path(tempfile.mkdtemp(prefix="teachers-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def teacher(seed, steps):
    """The folder of a model that is deeper than its students."""
    model = toy_model(seed=seed, layers=2, dropout=0.1)
    teach(model, steps)
    model.save(FOLDER / str(seed))
    return FOLDER / str(seed)


OPTIONS = {"task": "classify", "teacher": teacher(0, 30)}
EFFECTS = {
    "task": ("classify", {"classify": {"smoothing": 0.3}}), "teacher": (OPTIONS["teacher"], teacher(1, 1)),
    "soft": (0.1, 0.9), "hard": (None, 0.1), "temperature": (1.0, 9.0), "divergence": ("forward", "reverse"),
    "balance": (0.1, 0.9, {"divergence": "jsd"}), "hidden": (None, {}), "attention": (None, {}),
    "relations": (None, {}), "copy": (None, 1), "targets": ("own", "teacher"), "on_policy": (0.0, 0.5),
    "once": (False, True, {"task": {"classify": {"token_dropout": 0.5}}}),
}  # fmt: skip
