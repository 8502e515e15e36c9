"""The classical models beside a pre-trained one: fitted on the very texts that it learnt from, held out those it did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.base.errors import ModelError, TextError
from penjing.base.progress import tell

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import Pieces
    from penjing.tasks.task import Task


class RawRecords:
    """The texts of some files as records, in order; read anew each time, never held.

    held: numbers of texts that validation had. kept: those, or all others.
    """

    def __init__(self, files: Sequence[Path], held: Sequence[int], kept: bool):
        self.files, self.held, self.kept = files, frozenset(map(int, held)), kept

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from penjing.train.prepare import texts

        for number, text in enumerate(texts(self.files)):
            if (number in self.held) == self.kept:
                yield {"text": text}


def begun(options: Mapping[str, Any], objective: Task) -> tuple[Model, dict[str, Any]]:
    """The model to pre-train, a given network or a fresh one, and the lineage of what was given."""
    from penjing.model.size import fresh_config
    from penjing.recipe.learning import folder_of, network_sizes
    from penjing.tasks.model import Model
    from penjing.text.tokenizer import Tokenizer
    from penjing.train.prepare import rows

    if (brought := objective.begun(options["seed"], dropout=options["dropout"])) is not None:
        objective.suits(brought.tokenizer)
        return brought, brought.lineage
    if options["model"] is not None:
        base = Model.load(folder_of(options["model"]))
        if (options["window"] or 0) > base.network.config.max_tokens:
            most = base.network.config.max_tokens
            raise ModelError("P-MODEL-005", field="window", given=options["window"], most=most)
        objective.suits(base.tokenizer)
        return base.with_task(objective, options["seed"], dropout=options["dropout"]), base.lineage
    cutter, family = Tokenizer.load(options["tokenizer"]), options["family"]
    sizes = network_sizes(options, objective.purpose, vocab_size=rows(cutter.size), pad=cutter.pad)
    return Model.new(fresh_config(family, **sizes), family, objective, cutter, options["seed"]), {}


def certify_raw(
    out: Path, task: Task, data: Path, files: Sequence[Path], validation: Pieces | None, seed: int
) -> dict[str, Any]:
    """Fit the task's baselines on the texts learnt, save them, and certify them and the model on valid.

    Valid is the data's own valid split, which training never saw, or else the texts held out, by which it chose its
    weights.
    """
    from penjing.evaluate.candidates import fit_and_save
    from penjing.train.prepare import records_of

    held = () if validation is None else validation.documents.numbers  # type: ignore[attr-defined]
    valid = records_of(data, "valid") if data.is_dir() else []
    valid = valid or list(RawRecords(files, held, kept=True))
    try:
        return fit_and_save(out, task, RawRecords(files, held, kept=False), valid, seed=seed)  # type: ignore[arg-type]
    except TextError as error:
        if error.code != "P-TEXT-086":
            raise
        tell("warning", "pretrain", f"no certificate: {error.text().splitlines()[0]}")  # its tokenizer does not spell
        return {}
