"""The stage `pretrain`: a network learns the language of raw text, by guessing hidden or next tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from penjing.base.errors import OptionError, PenjingError, TaskError, TrainError, raise_all
from penjing.base.options import Choice, chosen, with_paths

if TYPE_CHECKING:
    from penjing.tasks.task import Task

FRESH = {  # options of a fresh network, and what they are when nobody gives them
    "tokenizer": None, "family": "bert", "size": None, "layers": 4, "width": 256, "heads": None, "key_heads": None,
    "mlp_width": None, "max_tokens": 512, "tied": None, "attention_dropout": None, "vectors": None,
}  # fmt: skip


def pretrain(
    out: Path,
    *,
    data: Annotated[Path, Field(description="a clean step, or a file of records with a field `text`")],
    model: Annotated[
        Path | None, Field(description="a network to go on with: a step, model folder or hub id; left out: fresh")
    ] = None,
    tokenizer: Annotated[
        Path | None, Field(description="a tokenizer step, or a folder with a tokenizer; needed without a model")
    ] = None,
    task: Annotated[
        Choice,
        AfterValidator(with_paths),
        Field(
            description="the objective: masked, causal, contrast, next_sentence, denoise or replaced; "
            "or distil, which is one of them with a teacher"
        ),
    ] = "masked",
    family: Annotated[str, Field(description="the family of the network, one that can learn the objective")] = "bert",
    size: Annotated[
        str | None, Field(description="a preset (tiny, mini, small, medium, base, large, xl) or parameters, as 20M")
    ] = None,
    layers: Annotated[int, Field(ge=1, description="blocks")] = 4,
    width: Annotated[int, Field(ge=8, description="features of a token")] = 256,
    heads: Annotated[int | None, Field(description="attention heads; left out: one for each 64 features")] = None,
    key_heads: Annotated[
        int | None, Field(ge=1, description="heads of keys and values, fewer than heads; 1: multi-query")
    ] = None,
    mlp_width: Annotated[
        int | None, Field(description="inner width of the MLP; left out: as the family has it")
    ] = None,
    max_tokens: Annotated[int, Field(ge=8, description="the longest text the network can read, in tokens")] = 512,
    window: Annotated[
        int | None, Field(ge=4, description="tokens of one piece in training; left out: max_tokens")
    ] = None,
    cuts: Annotated[
        Literal["fixed", "moving"],
        Field(description="where long texts are cut: at the same places each epoch, or anew"),
    ] = "fixed",
    tied: Annotated[
        bool | None, Field(description="the output shares the embeddings' matrix; left out: as the family has it")
    ] = None,
    dropout: Annotated[
        float | None,
        Field(ge=0, lt=1, description="dropout of embeddings and sub-layers; left out: a given model's own, else none"),
    ] = None,
    attention_dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="dropout of attention's probabilities; left out: none")
    ] = None,
    vectors: Annotated[
        Path | None, Field(description="word vectors (word2vec, GloVe, fastText .vec) that embeddings start from")
    ] = None,
    steps: Annotated[int | None, Field(ge=1, description="how long: optimizer steps")] = None,
    epochs: Annotated[float | None, Field(gt=0, description="how long: times through the text")] = None,
    minutes: Annotated[float | None, Field(gt=0, description="how long: minutes, by a measurement first")] = None,
    batch_tokens: Annotated[int, Field(ge=16, description="tokens of a batch, padding included")] = 4096,
    accumulate: Annotated[int, Field(ge=1, description="batches of one step")] = 1,
    learning_rate: Annotated[float, Field(gt=0, description="the highest learning rate")] = 1e-3,
    optimizer: Annotated[Literal["adamw", "muon"], Field(description="muon: the blocks' matrices by Muon")] = "adamw",
    muon_rate: Annotated[float | None, Field(gt=0, description="Muon's own rate; left out: learning_rate")] = None,
    weight_decay: Annotated[float, Field(ge=0, description="decay of matrices; biases and norms have none")] = 0.01,
    warmup: Annotated[float, Field(ge=0, le=1, description="share of the steps in which the rate rises")] = 0.06,
    schedule: Annotated[Literal["cosine", "linear", "constant"], Field(description="how the rate falls")] = "cosine",
    clip: Annotated[float, Field(ge=0, description="greatest norm of the gradient; 0: no limit")] = 1.0,
    average: Annotated[
        float,
        Field(ge=0, le=1, description="share of the steps that a mean of the weights looks back over; 0: no mean"),
    ] = 0.0,
    valid_share: Annotated[float, Field(ge=0, lt=0.5, description="share of the documents kept for validation")] = 0.01,
    validate_times: Annotated[int, Field(ge=0, description="validations in the run")] = 4,
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
    measure_seconds: Annotated[float, Field(ge=0, description="time of the measurement; 0: none")] = 20.0,
    prove_resume: Annotated[bool, Field(description="also prove that stop and resume change no bit")] = False,
    baselines: Annotated[bool, Field(description="also n-grams on the same texts, for causal and denoise")] = True,
) -> dict[str, Any]:
    """Pre-train a fresh or a given network on the texts of a clean step (train and raw) and save it as a folder."""
    options = dict(locals())
    from penjing.recipe.learning import copy_problems, fit_options, start_from_vectors, summary
    from penjing.recipe.pretraining import begun, certify_raw
    from penjing.tasks import OBJECTIVES, task_choice
    from penjing.train import prepare
    from penjing.train.fit import fit
    from penjing.train.prove import prove_resume as prove
    from penjing.train.resume import drop_state

    objective = objective_of(task)
    kind, said = task_choice(task, OBJECTIVES)
    raise_all(kind.unheeded(said, options) + (copy_problems(options, FRESH) if kind.brings(said) else []))
    trained, before = begun(options, objective)
    files = prepare.text_files(data)
    training, validation = prepare.raw_pieces(
        out / "cache",
        files,
        objective,
        trained.tokenizer,
        window or trained.window,
        valid_share,
        seed,
        cuts == "moving",
    )
    covered = start_from_vectors(trained, vectors, training, seed, "pretrain") if vectors else {}
    how = fit_options(options)
    proof = prove(trained, training, validation, how, out, what="pretrain") if prove_resume else None
    outcome = fit(trained, training, validation, how, out, what="pretrain")
    trained.lineage = {}
    objective = trained.task = trained.task.settled(trained.eval(), ())
    told = {"tokens": outcome["tokens"], "task": objective.name, "family": trained.family, "seed": seed}
    trained.lineage |= {"pretrain": told | ({"before": before} if before else {})}
    trained.save(out / "model")
    beside = baselines and objective.baselines
    found = {"baselines": certify_raw(out, objective, data, files, validation, seed)} if beside else {}
    prepare.drop_cache(out)
    drop_state(out)
    return summary(trained, outcome) | covered | found | ({"resume_identical": proof["identical"]} if proof else {})


def choices() -> dict[str, dict[str, Callable[..., Any]]]:
    """The options of each objective."""
    from penjing.tasks import AROUND, OBJECTIVES, kind_of_task, said_of

    return {"task": {name: said_of(kind_of_task(name)) for name in (*OBJECTIVES, *AROUND)}}


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: how long, the objective, the network, the text, the tokenizer."""
    from penjing.model.families import FAMILIES
    from penjing.recipe.learning import copy_problems, loop_problems, network_problems, no_effect, problems_of
    from penjing.tasks import OBJECTIVES, check_family, task_choice

    made: list[Task] = []
    found = loop_problems(options)
    if "task" in options:  # else a part of it is an earlier step's
        found += problems_of(lambda: made.append(objective_of(options["task"])))
    for objective in made:
        kind, said = task_choice(options["task"], OBJECTIVES)
        found += objective.problems() + problems_of(partial(check_data, options)) + kind.unheeded(said, options)
        if kind.brings(said):
            found += copy_problems(options, FRESH)
        elif options.get("model", "a step") is None:
            known = options["family"] in FAMILIES
            unfit = problems_of(partial(check_family, objective.name, options["family"])) if known else []
            found += unfit or network_problems(options, objective.purpose, {"layers": 4, "width": 256})
            found += problems_of(partial(check_tokenizer, options, objective))
        else:
            names = [name for name, usual in FRESH.items() if options.get(name, "a step") != usual]
            found += no_effect(names, "a run without a model")
    return found


def objective_of(task: Any) -> Task:
    """The task that the option names."""
    from penjing.tasks import OBJECTIVES, TASKS, made_task, task_choice

    _, said = task_choice(task, OBJECTIVES)
    return made_task(chosen(task, TASKS, "task")[0], (), said)


def check_data(options: dict[str, Any]) -> None:
    """A folder given as a path holds texts to learn from."""
    from penjing.train.prepare import text_files

    if "data" in options and not text_files(options["data"]):
        raise TrainError("P-TRAIN-003", what=f"{options['data']} has neither train.jsonl nor raw.jsonl")


def check_tokenizer(options: dict[str, Any], objective: Task) -> None:
    """A tokenizer given as a path opens, and has the tokens that the objective needs; without a model there is one."""
    from penjing.text.tokenizer import Tokenizer

    if "tokenizer" in options and options["tokenizer"] is None:
        raise OptionError("P-OPTION-003", owner="pretrain", option="tokenizer")
    if objective.dropout_needed and not (options["dropout"] or options["attention_dropout"]):
        raise TaskError("P-TASK-098", task=objective.name)
    if "tokenizer" in options:
        objective.suits(Tokenizer.load(options["tokenizer"]))
