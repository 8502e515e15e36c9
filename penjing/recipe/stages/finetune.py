"""The stage `finetune`: a network learns a task from records with their answers, and is set beside classical models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from penjing.base.errors import MachineError, OptionError, PenjingError, TrainError, raise_all
from penjing.base.options import Choice, Choices, chosen, with_paths

if TYPE_CHECKING:
    from penjing.tasks.task import Task


def finetune(
    out: Path,
    *,
    data: Annotated[Path, Field(description="a clean step, or a folder with train, valid and test files")],
    model: Annotated[Path | None, Field(description="a pretrain step, model folder or hub id; left out: fresh")] = None,
    tokenizer: Annotated[Path | None, Field(description="a tokenizer step; needed without a model")] = None,
    new_tokens: Annotated[
        list[str] | None,
        Field(description="with a model: words or marks that become one token each, and rows for them that are learnt"),
    ] = None,
    task: Annotated[
        Choice,
        AfterValidator(with_paths),
        Field(
            description="what is learnt: classify, regress, tag, span, embed, chat, preference, reward or seq2seq; "
            "'{tag: {crf: true}}' with options; or distil, which is one of them with a teacher"
        ),
    ] = "classify",
    change: Annotated[
        Choices,
        Field(
            description="alone trained, with the head: lora, ia3, adapter, prefix, prompt, ptuning, bitfit, freeze, or several"
        ),
    ] = None,
    keep_states: Annotated[
        Literal["float32", "float16"] | None,
        Field(description="change: what frozen blocks say, without dropout, is computed once and kept in a file"),
    ] = None,
    dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="dropout of embeddings and sub-layers; none: the network's own")
    ] = None,
    head_dropout: Annotated[float, Field(ge=0, lt=1, description="dropout of the head")] = 0.1,
    window: Annotated[int | None, Field(ge=8, description="tokens read at once; left out: all the network can")] = None,
    long_text: Annotated[
        Literal["windows", "head", "head_tail"] | None,
        Field(description="a text longer than the window: what is read; left out: as the task has it"),
    ] = None,
    family: Annotated[str, Field(description="without a model: the family of the fresh network")] = "bert",
    size: Annotated[
        str | None, Field(description="without a model: a preset (tiny, mini, small ...) or parameters, as 20M")
    ] = None,
    layers: Annotated[int, Field(ge=1, description="without a model: blocks")] = 2,
    width: Annotated[int, Field(ge=8, description="without a model: features of a token")] = 128,
    max_tokens: Annotated[int, Field(ge=8, description="without a model: the longest text in tokens")] = 512,
    vectors: Annotated[
        Path | None,
        Field(description="without a model: word vectors (word2vec, GloVe, fastText .vec) that embeddings start from"),
    ] = None,
    steps: Annotated[int | None, Field(ge=1, description="how long: optimizer steps")] = None,
    epochs: Annotated[float | None, Field(gt=0, description="how long: times through the records")] = None,
    minutes: Annotated[float | None, Field(gt=0, description="how long: minutes, by a measurement first")] = None,
    batch_tokens: Annotated[int, Field(ge=16, description="tokens of a batch, padding included")] = 4096,
    accumulate: Annotated[int, Field(ge=1, description="batches of one step")] = 1,
    learning_rate: Annotated[float, Field(gt=0, description="the highest learning rate")] = 5e-4,
    optimizer: Annotated[Literal["adamw", "muon"], Field(description="muon: the blocks' matrices by Muon")] = "adamw",
    muon_rate: Annotated[float | None, Field(gt=0, description="Muon's own rate; left out: learning_rate")] = None,
    weight_decay: Annotated[float, Field(ge=0, description="decay of matrices; biases and norms have none")] = 0.01,
    warmup: Annotated[float, Field(ge=0, le=1, description="share of the steps in which the rate rises")] = 0.1,
    schedule: Annotated[Literal["cosine", "linear", "constant"], Field(description="how the rate falls")] = "linear",
    clip: Annotated[float, Field(ge=0, description="greatest norm of the gradient; 0: no limit")] = 1.0,
    average: Annotated[
        float,
        Field(ge=0, le=1, description="share of the steps that a mean of the weights looks back over; 0: no mean"),
    ] = 0.0,
    validate_times: Annotated[int, Field(ge=0, description="validations in the run")] = 6,
    patience: Annotated[int, Field(ge=0, description="validations without a better one before stopping; 0: never")] = 0,
    seed: Annotated[int, Field(ge=0, description="all chance follows from it")] = 0,
    save_seconds: Annotated[float, Field(ge=0, description="seconds between saved states")] = 60.0,
    dtype: Annotated[Literal["auto", "float32", "bfloat16"], Field(description="arithmetic; auto: measured")] = "auto",
    threads: Annotated[int | None, Field(ge=1, description="processor threads; left out: measured")] = None,
    compiled: Annotated[bool | None, Field(description="torch.compile; null: measured")] = False,
    checkpointing: Annotated[
        bool,
        Field(description="keep only what enters each block, and compute the rest again: less memory, more time"),
    ] = False,
    moments: Annotated[
        Literal["float32", "8bit"],
        Field(description="AdamW's two moments of each weight; 8bit: a quarter of their memory"),
    ] = "float32",
    measure_seconds: Annotated[float, Field(ge=0, description="time of the measurement; 0: none")] = 10.0,
    members: Annotated[int, Field(ge=1, description="models that become one; above 1 each has its own seed")] = 1,
    folds: Annotated[
        bool, Field(description="members: each learns without another part of the records, on which it is scored")
    ] = False,
    way: Annotated[
        Literal["average", "soup", "greedy_soup"],
        Field(description="members: mean of the answers; mean of all weights; of those weights that help on valid"),
    ] = "average",
    baselines: Annotated[bool, Field(description="fit the classical models it must beat")] = True,
    prove_resume: Annotated[bool, Field(description="also prove that stop and resume change no bit")] = False,
) -> dict[str, Any]:
    """Teach a pre-trained or fresh network a task; fit the classical models on the same records."""
    options = dict(locals())
    from penjing.recipe.learning import records_for, taught
    from penjing.recipe.members import drop_copies, members_taught
    from penjing.train.resume import drop_state

    learnt, train, valid = records_for(options)
    if patience and not valid:
        raise TrainError("P-TRAIN-007", option="patience", needs="a clean step with valid.jsonl")
    if members > 1:
        learnt, found = members_taught(options, out, learnt, train, valid)
    else:
        learnt, found = taught(options, out, learnt, train, valid)
    if baselines:
        from penjing.evaluate.candidates import fit_and_save

        found["baselines"] = fit_and_save(out, learnt, train, valid, seed=seed)
    drop_state(out)
    drop_copies(out, way)
    return found


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: how long, the task, the network, options without effect, the first records."""
    from penjing.changes import changes_of
    from penjing.model.families import FAMILIES
    from penjing.recipe.learning import FRESH, copy_problems, loop_problems, network_problems, no_effect, problems_of
    from penjing.recipe.members import member_problems
    from penjing.tasks import check_family
    from penjing.train.new_tokens import token_problems

    kinds: list[type[Task]] = []
    found = loop_problems(options)  # an option that names an earlier step is not among them
    found += no_effect(["keep_states"], "change") if options["keep_states"] and not options["change"] else []
    if "task" in options:  # else a part of it is an earlier step's
        found += problems_of(lambda: kinds.append(check_task(options)))
    found += problems_of(lambda: changes_of(options["change"]))
    found += problems_of(lambda: raise_all(token_problems(options["new_tokens"] or ())))
    if options["new_tokens"] and options.get("model", "a step") is None:
        found += no_effect(["new_tokens"], "a run with a model")
    if kinds and kinds[0].brings(said_in(options)):
        found += copy_problems(options, FRESH)
    elif options.get("model", "a step") is not None:
        names = [name for name, usual in FRESH.items() if options.get(name, "a step") != usual]
        found += no_effect(names, "a run without a model")
    elif "task" in options:
        for kind in kinds:
            unfit = (
                problems_of(partial(check_family, kind.name, options["family"]))
                if options["family"] in FAMILIES
                else []
            )
            found += unfit or network_problems(options, kind.purpose, {"layers": 2, "width": 128})
        if options.get("tokenizer", "a step") is None:
            found.append(OptionError("P-OPTION-003", owner="finetune", option="tokenizer"))
    for kind in kinds:
        found += kind.unheeded(said_in(options), options)
        found += problems_of(partial(check_records, options, kind)) or member_problems(options, kind)
    return found


def choices() -> dict[str, dict[str, Callable[..., Any]]]:
    """The options of each task, and of each change."""
    from penjing.changes import CHANGES, kind_named
    from penjing.tasks import AROUND, USES, kind_of_task, said_of

    return {"task": {name: said_of(kind_of_task(name)) for name in (*USES, *AROUND)},
            "change": {name: kind_named(name) for name in CHANGES}}  # fmt: skip


def check_task(options: dict[str, Any]) -> type[Task]:
    """The class of the task, when its options are all known and of the right type."""
    from penjing.recipe.learning import no_effect
    from penjing.tasks import USES, task_choice

    kind, _ = task_choice(options["task"], USES)
    if options["long_text"] is not None and options["long_text"] not in kind.long_texts:
        raise_all(no_effect(["long_text"], f"another task than {kind.name}"))
    absent = [module for module in kind.extras if find_spec(module) is None] if options["baselines"] else []
    raise_all([MachineError("P-SYSTEM-001", module=m, extra=kind.extras[m], what="baselines") for m in absent])
    return kind


def said_in(options: dict[str, Any]) -> dict[str, Any]:
    """What is said of the task."""
    from penjing.tasks import TASKS

    return chosen(options["task"], TASKS, "task")[1]


def check_records(options: dict[str, Any], kind: type[Task]) -> None:
    """A folder given as a path holds training records, and the first have what the task needs."""
    from itertools import islice

    from penjing.recipe.learning import LOOKED_AT_FIRST, pair_problems
    from penjing.train.prepare import records_in

    if "data" not in options:
        return
    first = list(islice(records_in(options["data"], "train"), LOOKED_AT_FIRST))
    if not first:
        raise TrainError("P-TRAIN-003", what=f"{options['data']} has no train.jsonl")
    kind.look(first, said_in(options))
    raise_all(pair_problems(first, options, kind))
