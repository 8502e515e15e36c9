"""An exported folder computed by onnxruntime, as a network that answers.

Shapes: R rows, T tokens, P tokens before them, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.base.errors import FileError
from penjing.export.onnx_graph import names
from penjing.export.onnx_models import DECODER, ENCODER, WHOLE, generates
from penjing.export.runtime import Kept, Runtime
from penjing.model.batch import Batch
from penjing.tasks.model import Model


class OnnxNetwork(Runtime):
    """The graphs of a folder. `like` is the model that was written."""

    def __init__(self, folder: Path, like: Model):
        super().__init__(like.network)
        self.typed, self.writes = like.typed, generates(like)
        both = self.writes and self.encoder is not None
        self.whole = session(folder / (DECODER if both else WHOLE))
        self.sources = session(folder / ENCODER) if both else None
        self.layers = range(getattr(self.config, "decoder_layers", 0))

    def read(self, batch: Batch) -> Tensor:
        if self.writes:
            memory, tokens, mask = self.opened(batch), batch.tokens, batch.mask
            if self.encoder is not None:
                tokens, mask = batch.target, batch.target_mask
            memory.mask = torch.ones(tokens.shape, dtype=torch.bool) if mask is None else mask
            return self.continued(tokens, memory)
        given = {"input_ids": batch.tokens.numpy(), "attention_mask": whole_numbers(batch.mask, batch.tokens)}
        if self.typed:
            types = torch.zeros_like(batch.tokens) if batch.segments is None else batch.segments
            given["token_type_ids"] = types.numpy()
        return torch.from_numpy(self.whole.run(None, given)[0])

    def opened(self, batch: Batch) -> Kept:
        rows = len(batch.tokens)
        memory = Kept(rows)
        empty = np.zeros((rows, self.config.keys, 0, self.config.inner), np.float32)
        memory.past = {name: empty for pair in names("past_key_values", self.layers) for name in pair}
        if self.sources is not None:
            mask = whole_numbers(batch.mask, batch.tokens)
            given = {"input_ids": batch.tokens.numpy(), "attention_mask": mask}
            memory.source = run(self.sources, given) | {"encoder_attention_mask": mask}
        return memory

    def continued(self, tokens: Tensor, memory: Kept) -> Tensor:
        mask = whole_numbers(memory.mask, tokens)
        found = run(self.whole, {"input_ids": tokens.numpy(), "attention_mask": mask} | memory.past | memory.source)
        scores = found.pop("logits")
        memory.past = {name.replace("present", "past_key_values", 1): value for name, value in found.items()}
        return torch.from_numpy(scores)


def run(one: Any, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The results by name."""
    outputs = [output.name for output in one.get_outputs()]
    return dict(zip(outputs, one.run(outputs, given), strict=True))


def whole_numbers(mask: Tensor | None, tokens: Tensor) -> np.ndarray:
    """A mask as onnxruntime takes it."""
    return np.ones(tuple(tokens.shape), np.int64) if mask is None else mask.long().numpy()


def session(file: Path) -> Any:
    """A graph made ready, on as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # what a broken file makes of its reader
        raise FileError("P-FILE-004", path=file, reason=str(error).splitlines()[0]) from error
