"""An exported folder computed by CTranslate2, as a network that answers.

Its engine is told how the answer begins, and gives the scores that it had after each of these tokens.
Shapes: R rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penjing.base.errors import FileError
from penjing.export.ctranslate2_spec import vocabulary
from penjing.export.runtime import Kept, Runtime
from penjing.model.batch import Batch
from penjing.tasks.model import Model


class TranslatorNetwork(Runtime):
    """The engine of a folder. `like` is the model that was written."""

    def __init__(self, folder: Path, like: Model):
        import ctranslate2

        super().__init__(like.network)
        self.end = like.tokenizer.end or 0
        self.names = np.asarray(vocabulary(like), dtype=object)
        try:
            self.engine = ctranslate2.Translator(str(folder), inter_threads=1, intra_threads=torch.get_num_threads())
        except (RuntimeError, ValueError) as error:
            raise FileError("P-FILE-004", path=folder, reason=error) from error

    def opened(self, batch: Batch) -> Kept:
        memory = Kept(len(batch.tokens))
        mask = torch.ones_like(batch.tokens) if batch.mask is None else batch.mask
        memory.source = {"tokens": batch.tokens.numpy(), "mask": mask.bool().numpy()}
        return memory

    def read(self, batch: Batch) -> Tensor:
        memory = self.opened(batch)
        memory.mask = torch.ones_like(batch.target).bool() if batch.target_mask is None else batch.target_mask
        return self.continued(batch.target, memory)

    def continued(self, tokens: Tensor, memory: Kept) -> Tensor:
        old = memory.past.get("tokens", np.zeros((len(tokens), 0), np.int64))
        known, real = np.concatenate([old, tokens.numpy()], 1), memory.mask.numpy()
        memory.past["tokens"] = known
        return self.scored(known, real, memory)[:, old.shape[1] :]

    def scored(self, known: np.ndarray, real: np.ndarray, memory: Kept) -> Tensor:
        """Scores R T V after each of the tokens; after what is none of a row's own, zeros."""
        rows, sources = self.worded(known, real), self.worded(memory.source["tokens"], memory.source["mask"])
        found = torch.zeros(*known.shape, len(self.names))
        spare = np.setdiff1d(np.arange(len(self.names)), known)  # a token that ends no row early
        for some in [range(len(rows))] if len(spare) else [[number] for number in range(len(rows))]:
            ends = spare if len(spare) else np.setdiff1d(np.arange(len(self.names)), known[list(some)])
            results = self.engine.translate_batch(
                [sources[number] for number in some], [rows[number][1:] or None for number in some], beam_size=1,
                max_decoding_length=max(map(len, rows)), min_decoding_length=0, max_input_length=0,
                end_token=[int(ends[0])], return_logits_vocab=True,
            )  # fmt: skip
            for number, result in zip(some, results, strict=True):
                if not result.logits:  # a source without a word has an empty answer
                    found[number, :, self.end] = 1.0
                    continue
                logits = np.asarray([np.array(step).ravel() for step in result.logits[0]][: len(rows[number])])
                found[number, torch.from_numpy(real[number])] = torch.from_numpy(logits)
        return found

    def worded(self, tokens: np.ndarray, real: np.ndarray) -> list[list[str]]:
        """Rows of tokens as pieces of text, without padding."""
        return [self.names[row[kept]].tolist() for row, kept in zip(tokens, real, strict=True)]
