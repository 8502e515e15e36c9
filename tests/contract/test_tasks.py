"""The contract of every task with every family it names in toys_<task>.py: an objective's and a use's.

toys_<task>.py   FAMILIES, RECORDS, OPTIONS (said in all tests), EFFECTS (option: (one, other[, what is said besides])),
                 of uses also STRANGE (records to be answered) and LEARNT (the main score that RECORDS can be taught to),
                 and where the usual will not do TEACH (family: (steps, rate)), ASKED (records that EFFECTS are seen in),
                 TOKENIZER (family: kind), DROPOUT and CLOSE
"""

import json
from importlib import import_module

import numpy as np
import pytest
import torch
from toys import KINDS, same_weights, teach, tokenizer

from penjing.base.errors import DataError, PenjingError
from penjing.base.options import options_of
from penjing.model.size import fresh_config
from penjing.tasks import AROUND, OBJECTIVES, USES, kind_of_task, made_task, said_of
from penjing.tasks.model import Model
from penjing.text.token_file import cached_token_file
from penjing.train.fit import FitOptions, fit

TOYS = {name: import_module(f"toys_{name}") for name in (*OBJECTIVES, *USES, *AROUND)}
ASKED = [(name, family) for name in (*USES, *AROUND) for family in TOYS[name].FAMILIES]
ALL = [(name, family) for name in (*OBJECTIVES, *USES, *AROUND) for family in TOYS[name].FAMILIES]


def records_of(name):
    return [kind_of_task(name).normal(record) for record in TOYS[name].RECORDS]


def model_of(name, family, *, seed=0, **said):
    """A toy model for the records of a task."""
    toys = TOYS[name]
    kinds = KINDS | getattr(toys, "TOKENIZER", {})
    cutter = toys.tokenizer(family) if hasattr(toys, "tokenizer") else tokenizer(kinds[family])
    task = made_task(name, records_of(name), toys.OPTIONS | said)
    config = fresh_config(
        family, vocab_size=cutter.size, width=32, layers=1, heads=None if family == "lstm" else 2, max_tokens=64,
        dropout=getattr(toys, "DROPOUT", 0.0), purpose=task.purpose, pad=cutter.pad,
    )  # fmt: skip
    return task.begun(seed) or Model.new(config, family, task, cutter, seed)


def pieces_of(model, folder):
    """What the task's toys teach, cut for this model."""
    task, records = model.task, records_of(model.task.name)
    if task.name in USES:
        return task.pieces(model, records, True)
    words = {"word_starts": task.word_starts, "chinese_words": task.chinese_words}
    texts = [record["text"] for record in records]
    whole = cached_token_file(folder, texts, model.tokenizer, source="toys", **words)
    return task.raw_pieces(whole, model.tokenizer, model.window)


def taught(model, folder):
    steps, rate = getattr(TOYS[model.task.name], "TEACH", {}).get(model.family, (80, 1e-2))
    losses = teach(model, steps, rate, pieces_of(model, folder))
    model.eval()
    model.task = model.task.settled(model, records_of(model.task.name))
    return losses


def alike(one, other, most=1e-5):
    """Whether two answers are the same, but for the last digits of numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key], most) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(alike(*pair, most) for pair in zip(one, other, strict=True))
    return abs(one - other) <= most if isinstance(one, float) else one == other


@pytest.fixture(scope="module", params=ALL, ids="-".join)
def pupil(request, tmp_path_factory):
    """Task and family, a model that was taught the task's toys, its losses; who asks for it does not change it."""
    model = model_of(*request.param)
    return *request.param, model, taught(model, tmp_path_factory.mktemp("texts"))


def test_it_learns_and_is_saved(pupil, tmp_path):
    name, family, model, losses = pupil
    assert np.isfinite(losses).all() and np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert same_weights(model, again) and again.task == model.task and again.family == family
    if name not in OBJECTIVES:
        records = records_of(name)
        answers = model.answer(records)
        found = model.task.score(answers, records)
        assert list(found)[0] == model.task.main_score or model.task.main_score in found
        worse = model.task.main_score in model.task.lower
        assert (found[model.task.main_score] >= TOYS[name].LEARNT) != worse, found
        assert alike(answers, again.answer(records), getattr(TOYS[name], "CLOSE", 0))
        json.dumps(answers)


@pytest.mark.parametrize("pupil", ASKED, ids="-".join, indirect=True)
def test_company_changes_no_answer(pupil):
    name, _, model, _ = pupil
    records = [*records_of(name)[:6], *TOYS[name].STRANGE]
    together = model.answer(records)
    assert len(together) == len(records)
    assert alike(together, [model.answer([record])[0] for record in records])
    assert alike(together, model.answer(records, batch_tokens=64))
    for record, answer in zip(records, together, strict=True):
        for line in model.task.lines(model.task.normal(record), answer):
            assert all(isinstance(text, str) and isinstance(style, str) for text, style in line)


@pytest.mark.parametrize("name", (*USES, *AROUND))
def test_scores_and_what_is_absent(name):
    """Scores of one resample in which each record is once are the scores; a record without what is needed is told."""
    model = model_of(name, TOYS[name].FAMILIES[0])
    records = records_of(name)
    answers, task = model.answer(records), model.task
    plain = task.score(answers, records)
    twice = task.resampled(answers, records, np.stack([np.ones(len(records)), np.arange(len(records)) % 2.0]))
    for metric, values in twice.items():
        assert values.shape == (2,) and float(values[0]) == pytest.approx(plain[metric], nan_ok=True)
    assert model.answer([]) == []
    for learn in (False, True):
        with pytest.raises((DataError, PenjingError)) as caught:
            task.check([*records, {"strange": 1}], learn)
        assert caught.value.code.startswith(("P-TASK", "P-DATA", "P-CHAT"))


@pytest.mark.parametrize(("name", "family"), [(name, TOYS[name].FAMILIES[0]) for name in (*OBJECTIVES, *USES, *AROUND)])
def test_a_cut_run_goes_on_in_the_same_bits(name, family, tmp_path):
    from penjing.train.prove import prove_resume

    model = model_of(name, family)
    how = FitOptions(steps=8, batch_tokens=128, threads=1, dtype="float32", measure_seconds=0, validate_times=1)
    pieces = pieces_of(model, tmp_path)
    proof = prove_resume(model, pieces, None, how, tmp_path, what="toy")
    assert proof["identical"]
    fit(model, pieces, None, how, tmp_path, what="toy")


@pytest.mark.parametrize("name", (*OBJECTIVES, *USES, *AROUND))
def test_every_option_of_a_task_has_an_effect(name, tmp_path):
    """In losses of a few steps, in what is learnt from, or in answers."""
    toys, idle = TOYS[name], []
    assert set(options_of(said_of(kind_of_task(name)))) == set(toys.EFFECTS)
    for number, (option, (one, other, *more)) in enumerate(toys.EFFECTS.items()):
        views = [view(name, tmp_path / f"{number}{i}", {option: value} | (more[0] if more else {}))
                 for i, value in enumerate((one, other))]  # fmt: skip
        if views[0] == views[1]:
            idle.append(option)
    assert not idle, f"{name}: these options change nothing: {idle}"


def view(name, folder, said):
    """What can be seen of a task with an option."""
    try:
        model = model_of(name, getattr(TOYS[name], "EFFECTS_FAMILY", TOYS[name].FAMILIES[0]), **said)
    except PenjingError as error:
        return error.code
    torch.manual_seed(0)
    losses = teach(model, 6, 1e-2, pieces_of(model, folder))
    model.eval()
    model.task = model.task.settled(model, records_of(name))
    asked = getattr(TOYS[name], "ASKED", None) or records_of(name)[:8]
    return str(losses) + (json.dumps(model.answer(asked)) if name not in OBJECTIVES else "")
