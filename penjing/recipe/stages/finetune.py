"""The stage `finetune`: a network learns to answer, here to classify, and is set beside classical models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import OptionError, PenjingError, TrainError, raise_all

EXTRAS = {"sklearn": "evaluate"}


def finetune(
    out: Path,
    *,
    data: Annotated[Path, Field(description="a clean step with train.jsonl and labels")],
    model: Annotated[Path | None, Field(description="a pretrain step, model folder or hub id; left out: fresh")] = None,
    tokenizer: Annotated[Path | None, Field(description="a tokenizer step; needed without a model")] = None,
    task: Annotated[Literal["classify"], Field(description="what the model shall do")] = "classify",
    several: Annotated[bool, Field(description="a record may carry several labels, in a field `labels`")] = False,
    weights: Annotated[Literal["none", "balanced"], Field(description="balanced: rare labels weigh more")] = "none",
    smoothing: Annotated[float, Field(ge=0, lt=1, description="label smoothing")] = 0.0,
    token_dropout: Annotated[float, Field(ge=0, lt=1, description="share of tokens hidden in training")] = 0.0,
    dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="dropout of embeddings and sub-layers; none: the network's own")
    ] = None,
    head_dropout: Annotated[float, Field(ge=0, lt=1, description="dropout of the head")] = 0.1,
    window: Annotated[int | None, Field(ge=8, description="tokens read at once; left out: all the network can")] = None,
    long_text: Annotated[
        Literal["windows", "head", "head_tail"], Field(description="a text longer than the window: what is read")
    ] = "windows",
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
    measure_seconds: Annotated[float, Field(ge=0, description="time of the measurement; 0: none")] = 10.0,
    baselines: Annotated[bool, Field(description="fit the classical models it must beat")] = True,
    prove_resume: Annotated[bool, Field(description="also prove that stop and resume change no bit")] = False,
) -> dict[str, Any]:
    """Train a classifier from a pre-trained or fresh network; fit the classical models on the same records."""
    options = dict(locals())
    from penjing.recipe.learning import fit_options, fresh_or_loaded, labelled, score_of, start_from_vectors, summary
    from penjing.train import prepare
    from penjing.train.fit import fit
    from penjing.train.prove import prove_resume as prove
    from penjing.train.resume import drop_state

    train, valid = prepare.records_of(data, "train"), prepare.records_of(data, "valid")
    if not train:
        raise TrainError("P-TRAIN-003", what=f"{data}/train.jsonl")
    if patience and not valid:
        raise TrainError("P-TRAIN-007", option="patience", needs="a clean step with valid.jsonl")
    classifier = fresh_or_loaded(options, train)
    training = labelled(classifier, out, data, "train", train)
    validation = labelled(classifier, out, data, "valid", valid) if valid else None
    covered = start_from_vectors(classifier, vectors, training, seed, "finetune") if vectors else {}
    how, score = fit_options(options), score_of(validation)
    proof = prove(classifier, training, validation, how, out, what="finetune", score=score) if prove_resume else None
    outcome = fit(classifier, training, validation, how, out, what="finetune", score=score)
    classifier.lineage = classifier.lineage | {"finetune": {"records": len(train), "tokens": outcome["tokens"]}}
    classifier.save(out / "model")
    found = summary(classifier, outcome) | covered | ({"resume_identical": proof["identical"]} if proof else {})
    if baselines:
        from penjing.evaluate.certificate import fit_and_save_baselines

        found["baselines"] = fit_and_save_baselines(out, train, valid, classifier.task.labels)
    prepare.drop_cache(out)
    drop_state(out)
    return found


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: how long, the network, options without effect, the records' labels."""
    from penjing.recipe.learning import loop_problems, network_problems, no_effect, problems_of

    found = loop_problems(options)  # an option that names an earlier step is not among them
    if options.get("model", "a step") is None:
        found += network_problems(options, "classify", {"layers": 2, "width": 128})
        if options.get("tokenizer", "a step") is None:
            found.append(OptionError("P-OPTION-003", owner="finetune", option="tokenizer"))
    else:
        own = {
            "family": "bert",
            "size": None,
            "layers": 2,
            "width": 128,
            "max_tokens": 512,
            "tokenizer": None,
            "vectors": None,
        }
        names = [name for name, usual in own.items() if options.get(name, "a step") != usual]
        found += no_effect(names, "a run without a model")
    return found + problems_of(lambda: check_labels(options))


def check_labels(options: dict[str, Any]) -> None:
    """A folder given as a path holds training records, and the first has the field of the labels."""
    from itertools import islice

    from penjing.base.records import read_records
    from penjing.recipe.learning import pair_problems
    from penjing.tasks.classify import label_lists

    if "data" not in options:
        return
    file = options["data"] / "train.jsonl"
    if not file.exists():
        raise TrainError("P-TRAIN-003", what=f"{options['data']} has no train.jsonl")
    first = list(islice(read_records(file, needs=("text",)), 1))
    label_lists(first, options["several"])
    raise_all(pair_problems(first, options))
