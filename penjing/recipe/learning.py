"""What the two stages that train share: their options for the loop, and the summary they return."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.base.errors import ModelError, OptionError, PenjingError, TrainError, known, raise_all
from penjing.base.texts import paired

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import Pieces
    from penjing.tasks.task import Task
    from penjing.train.fit import FitOptions

LOOKED_AT = 100_000  # documents in which tokens are counted
LOOKED_AT_FIRST = 100  # records looked at before anything runs

KEPT = "states.bin"  # states of frozen blocks, while a run lasts

FRESH = {  # options of `finetune` for a fresh network, and what they are when nobody gives them
    "family": "bert", "size": None, "layers": 2, "width": 128, "max_tokens": 512, "tokenizer": None, "vectors": None,
}  # fmt: skip
SIZES = ("width", "layers", "heads", "mlp_width")  # what `size` decides


def fit_options(options: dict[str, Any]) -> FitOptions:
    """The stage's options that the loop takes, by name."""
    from penjing.train.fit import FitOptions

    return FitOptions(**{field.name: options[field.name] for field in fields(FitOptions)})


def problems_of(*checks: Callable[[], Any]) -> list[PenjingError]:
    """What several checks complain of, one by one."""
    found: list[PenjingError] = []
    for check in checks:
        try:
            check()
        except PenjingError as error:
            found += [error, *error.others]
            error.others = []
    return found


def loop_problems(options: Mapping[str, Any]) -> list[PenjingError]:
    """What is wrong with the options of the loop that both stages have."""
    from penjing.train.prepare import check_length

    found = problems_of(lambda: check_length(options["steps"], options["epochs"], options["minutes"]))
    if options["muon_rate"] is not None and options["optimizer"] != "muon":
        found += no_effect(["muon_rate"], "optimizer: muon")
    if options["patience"] and not (options["validate_times"] and options.get("valid_share", 1)):
        found += no_effect(["patience"], "a run with validations (validate_times, valid_share)")
    if options["checkpointing"] and options.get("model", "a step") is None:
        found += problems_of(lambda: check_blocks(options["family"]))
    return found


def check_blocks(family: str) -> None:
    """A fresh network of this family has blocks that can be computed again, or P-TRAIN-065."""
    from penjing.model.families import FAMILIES, family_of
    from penjing.model.transformer import Transformer

    if family in FAMILIES and not issubclass(family_of(family).network, Transformer):
        raise TrainError("P-TRAIN-065", given=family)


def no_effect(names: Sequence[str], needs: str) -> list[PenjingError]:
    """One error for each option that was set and changes nothing."""
    return [TrainError("P-TRAIN-007", option=name, needs=needs) for name in names]


def copy_problems(options: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[PenjingError]:
    """Options of another network beside a student that begins as its teacher; `fresh`: what they usually are."""
    given = [name for name, usual in {**fresh, "model": None}.items() if options.get(name, "a step") != usual]
    return no_effect(given, "a student that is no copy of its teacher")


def network_sizes(options: Mapping[str, Any], purpose: str, **more: Any) -> dict[str, Any]:
    """What the options say of a fresh network, for `fresh_config`; one option `size` stands for several."""
    from penjing.model.size import sizes_of

    names = ("key_heads", "max_tokens", "dropout", "attention_dropout", "tied")
    more |= {name: options[name] for name in names if options.get(name) is not None} | {"purpose": purpose}
    if options["size"] is not None:
        return more | sizes_of(options["family"], options["size"], **more)
    return more | {name: options[name] for name in SIZES if name in options}


def network_problems(options: Mapping[str, Any], purpose: str, usual: Mapping[str, int]) -> list[PenjingError]:
    """What is wrong with a fresh network: its family, its purpose, its sizes. `usual`: sizes that nobody gave."""
    from penjing.model.families import FAMILIES, family_of
    from penjing.model.size import fresh_config

    def build() -> None:
        found = family_of(known(options["family"], FAMILIES, "family"))
        config = fresh_config(found.name, **network_sizes(options, purpose, vocab_size=64))
        found.architecture(found.type_of(config), purpose)
        lost = found.changed(config)
        if lost:
            raise ModelError("P-MODEL-021", family=found.name, names=", ".join(lost))

    found = problems_of(build)
    if options["size"] is not None:
        given = [name for name in SIZES if name in options and options[name] != usual.get(name)]
        found += no_effect(given, "a run without `size`")
    if (options["window"] or 0) > options["max_tokens"]:
        found.append(ModelError("P-MODEL-005", field="window", given=options["window"], most=options["max_tokens"]))
    return found


def summary(model: Model, outcome: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a training run that a table shows."""
    return {
        "task": model.task.name,
        "family": model.family,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "steps": outcome["steps"],
        "tokens": outcome["tokens"],
        "seconds": round(outcome["seconds"], 1),
        "tokens_per_second": round(outcome["tokens_per_second"]),
        "best_score": outcome["best_score"],
    }


def records_for(options: Mapping[str, Any]) -> tuple[Task, list[Any], list[Any]]:
    """The task as the training records teach it, and the records of train and valid, all of them sound."""
    from penjing.base.options import chosen
    from penjing.tasks import TASKS, USES, made_task, task_choice
    from penjing.train.prepare import records_of

    kind, said = task_choice(options["task"], USES)
    raise_all(kind.unheeded(said, options) + (copy_problems(options, FRESH) if kind.brings(said) else []))
    read = (records_of(options["data"], split) for split in ("train", "valid"))
    train, valid = ([kind.normal(record) for record in records] for records in read)
    if not train:
        raise TrainError("P-TRAIN-003", what=f"{options['data']}/train.jsonl")
    task = made_task(chosen(options["task"], TASKS, "task")[0], train, said)
    raise_all(problems_of(lambda: task.check(train, True), lambda: task.check(valid, True)))
    raise_all(pair_problems(train, options, task))
    return task, train, valid


def fresh_or_loaded(options: dict[str, Any], task: Task, train: Sequence[Any]) -> Model:
    """The model to train: on a loaded network, or on a fresh one."""
    from penjing.model.size import fresh_config
    from penjing.tasks.model import Model
    from penjing.text.tokenizer import Tokenizer
    from penjing.train.new_tokens import with_new_tokens
    from penjing.train.prepare import rows

    more = {name: options[name] for name in ("window", "head_dropout")}
    more["pairs"] = paired(train) if task.two_texts else None
    more["long_text"] = options["long_text"] or next(iter(task.long_texts), "windows")
    if (brought := task.begun(options["seed"], dropout=options["dropout"], **more)) is not None:
        task.suits(brought.tokenizer)
        return brought
    if options["model"] is not None:
        base = Model.load(folder_of(options["model"]))
        most = base.network.config.max_tokens
        if (options["window"] or 0) > most:
            raise ModelError("P-MODEL-005", field="window", given=options["window"], most=most)
        if options["new_tokens"]:
            base = with_new_tokens(base, options["new_tokens"])
        task.suits(base.tokenizer)
        return base.with_task(task, options["seed"], dropout=options["dropout"], **more)
    if options["tokenizer"] is None:
        raise OptionError("P-OPTION-003", owner="finetune", option="tokenizer")
    tokenizer = Tokenizer.load(options["tokenizer"])
    task.suits(tokenizer)
    sizes = network_sizes(options, task.purpose, vocab_size=rows(tokenizer.size), pad=tokenizer.pad)
    config = fresh_config(options["family"], **sizes)
    return Model.new(config, options["family"], task, tokenizer, options["seed"], **more)


def taught(
    options: dict[str, Any], out: Path, task: Task, train: Sequence[Any], valid: Sequence[Any], order: int | None = None
) -> tuple[Task, dict[str, Any]]:
    """Teach one model in `out`, going on if it was stopped there, and save it; its task, and a summary.

    order: a seed of its own for the loop, where only the start follows from the option `seed`.
    """
    from penjing.changes import changes_of
    from penjing.train.fit import fit
    from penjing.train.new_tokens import check_learnt
    from penjing.train.prove import prove_resume

    model = fresh_or_loaded(options, task, train).adapt(changes_of(options["change"]), options["seed"])
    if options["new_tokens"]:
        check_learnt(model)
    training = task.kept_pieces(model, train, out / "train.safetensors")
    validation = task.validating().kept_pieces(model, valid, out / "valid.safetensors") if valid else None
    covered = {}
    if options["vectors"]:
        covered = start_from_vectors(model, options["vectors"], training, options["seed"], "finetune")
    if options["keep_states"]:
        from penjing.train.kept import keep_states

        kept = (options["keep_states"], options["batch_tokens"], "finetune")
        model.kept = keep_states(model, training, out / KEPT, *kept)
    how = fit_options(options if order is None else options | {"seed": order})

    def score(model: Model) -> float | None:
        return model.task.watched(model, valid)

    given = (model, training, validation, how, out)
    proof = prove_resume(*given, what="finetune", score=score) if options["prove_resume"] else None
    outcome = fit(*given, what="finetune", score=score)
    if model.kept is not None:
        model.kept.close(out / KEPT, "finetune")
        model.kept = None
    found = summary(model, outcome)
    model.changes.finish()
    model.task = model.task.settled(model.eval(), valid)
    model.lineage = model.lineage | {"finetune": {"records": len(train), "tokens": outcome["tokens"]}}
    model.save(out / "model")
    alone = len(changes_of(options["change"])) == 1  # else its base lacks something
    if options["model"] is not None and alone:
        adapter_beside(model, options["model"], out / "adapter", bool(options["new_tokens"]))
    return model.task, found | covered | ({"resume_identical": proof["identical"]} if proof else {})


def adapter_beside(model: Model, base: Path, folder: Path, new_tokens: bool = False) -> None:
    """The model's adapter in PEFT's form, where that can hold it; the path of its base counts from the adapter. With new tokens
    its tokenizer lies beside it: by that PEFT, too, knows how many rows there are."""
    from penjing.tasks.adapters import portable, save_adapter

    if portable(model) and (not new_tokens or rows_within(model)):
        place = folder_of(base)
        local = place.exists()  # else an id of the hub
        save_adapter(model, folder, os.path.relpath(place.resolve(), folder.resolve()) if local else base)
        if new_tokens:
            model.tokenizer.save(folder, typed=model.typed)


def rows_within(model: Model) -> bool:
    """Whether all rows of its tokens are among what its last change trains."""
    from penjing.model.grown import BY_TOKEN

    own = {name for name, _ in model.network.named_parameters()}
    return own.intersection(BY_TOKEN) <= set(model.changes[-1].before)


def folder_of(step: Path) -> Path:
    """The model folder of a step, or the folder itself."""
    inside = step / "model"
    return inside if any((inside / name).exists() for name in ("config.json", "penjing.json")) else step


def start_from_vectors(model: Model, file: Path, training: Pieces, seed: int, what: str) -> dict[str, Any]:
    """Fill the embeddings' rows from a file of word vectors; what of the vocabulary and of the texts they cover."""
    import numpy as np
    import torch

    from penjing.base.progress import tell
    from penjing.text.vector_rows import piece_vectors

    found, weight = piece_vectors(file, model.tokenizer), model.network.embedding.weight
    numbers, rows = found.fitted(weight.shape[1], float(weight.detach().std()), seed)
    with torch.no_grad():
        weight[torch.from_numpy(numbers)] = torch.from_numpy(rows).to(weight.dtype)
    documents = training.documents
    some = np.linspace(0, len(documents.lengths) - 1, min(LOOKED_AT, len(documents.lengths))).astype(int)
    coverage = found.coverage(model.tokenizer, (documents.document(int(number)) for number in some))
    shares = f"{coverage['vocabulary']:.1%} of the vocabulary, {coverage['running']:.1%} of running tokens"
    tell("note", what, f"word vectors cover {shares}", **coverage)
    return {"vectors": {"file": str(file), **coverage}}


def pair_problems(records: Sequence[Any], options: Mapping[str, Any], task: Task | type[Task]) -> list[PenjingError]:
    """An option that pairs of texts do not heed."""
    heeded = options["long_text"] in (None, "windows") or not task.two_texts or paired(records) is False
    return [] if heeded else no_effect(["long_text"], "records of one text each")
