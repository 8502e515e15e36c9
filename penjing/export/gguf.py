"""GGUF: one file with weights, tokenizer and chat template, as llama.cpp reads it.

The certificate reads the file again, every size, tensor and token of it, and asks the network that it describes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import FileError
from penjing.base.messages.message import Both
from penjing.export import gguf_tokenizer, target
from penjing.export.gguf_shape import (
    ARCHITECTURES,
    FREQUENCIES,
    arranged,
    config_of,
    divided,
    hindrance,
    names,
    sizes,
)  # fmt: skip
from penjing.export.target import Source, exactly, like, rounded
from penjing.model.families import family_of
from penjing.model.pooling import Pooling
from penjing.model.weights import from_theirs, to_theirs
from penjing.tasks.likeness import Limits
from penjing.tasks.model import Model

FILE = "model.gguf"
STEPS = {"F32": 0.0, "F16": 2**-11, "BF16": 2**-8, "Q8_0": 1 / 254, "Q5_1": 1 / 62, "Q5_0": 1 / 32, "Q4_1": 1 / 30,
         "Q4_0": 1 / 16}  # half of the distance between two numbers, relative to the largest of a block  # fmt: skip
COARSEST = 1 / 32  # scores that are further apart than sixteen of these say something else
FORMS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "BF16": 32}  # of the whole file
POOLS: dict[Pooling, int] = {"mean": 1, "first": 2, "last": 3}
EXACT = ("position_embd", "token_types", "_norm", "rope_freqs")  # tensors that stay float32
POOLED = Both("llama.cpp knows the poolings mean, first and last", "llama.cpp 只支持 mean、first、last 三种池化")
ROUNDED = Both("matrices are {type} (those whose rows are not of 32s are F16); llama.cpp rounds activations as well",
               "矩阵为 {type}（行长不是 32 的倍数的为 F16）；llama.cpp 计算时激活也会舍入")  # fmt: skip
NORMAL = Both(
    "text is not brought into Unicode's normal form C before it is cut", "切分前文本不会转换为 Unicode 的 NFC 形式"
)

SPACED = Both("a text that begins with a space begins with two", "以空格开头的文本会多出一个空格")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(target.Target):
    """Matrices of the chosen type; norms, biases and positions stay float32."""

    type: Annotated[
        Literal["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"],
        Field(description="how matrices are stored: whole (F32), of two bytes, or of blocks of 8, 5 or 4 bits"),
    ] = "F16"

    name: ClassVar[str] = "gguf"
    extras: ClassVar[Mapping[str, str]] = {"gguf": "export"}
    runtimes: ClassVar[str] = "llama.cpp, Ollama"

    def limits(self) -> Limits:
        return rounded(min(STEPS[self.type], COARSEST)) if STEPS[self.type] else exactly()

    def hindrance(self, source: Source) -> Both | None:
        model = source.model
        found = hindrance(model) or (None if gguf_tokenizer.kind_of(model.tokenizer) else gguf_tokenizer.OTHER)
        if found is None and model.task.purpose == "base" and pooling(model) not in POOLS:
            return POOLED
        return found

    def write(self, source: Source, folder: Path) -> None:
        import gguf

        model = source.plain
        config, found = model.network.config, ARCHITECTURES[model.family]
        writer = gguf.GGUFWriter(folder / FILE, found.name)
        writer.add_type("model")
        writer.add_file_type(FORMS[self.type])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for key, value in sizes(config, found).items():
            (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(key, value)
        if f"{found.name}.rope.scaling.factor" in sizes(config, found):
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        if config.encoder_layers:
            writer.add_causal_attention(False)
            writer.add_pooling_type(gguf.PoolingType(POOLS[pooling(model)]))
        stops = ends(model)
        gguf_tokenizer.write_tokenizer(writer, model.tokenizer, config.vocab_size, stops)
        for name, tensor in tensors_of(model).items():
            put(writer, name, tensor.float().numpy(), self.type)
        write(writer)

    def read(self, folder: Path, source: Source) -> Model:
        fields, tensors = contents(folder / FILE)
        model = source.plain
        found, family = ARCHITECTURES[model.family], family_of(model.family)
        config = config_of(fields, model.network.config, found, tensors)
        check_frequencies(config, tensors, folder / FILE)
        with torch.device("meta"):
            network = family.network(config, model.network.output is not None)
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        named = names(config, model.family, model.task.purpose, list(shapes))
        theirs = {
            name: arranged(name, tensors[one], config, found, back=True)
            for name, one in named.items()
            if one in tensors
        }
        network.load_state_dict(
            from_theirs(family.table(config, model.task.purpose), theirs, shapes, file=folder), assign=True
        )
        return like(model, network, None, gguf_tokenizer.read_tokenizer(fields))

    def generation(self, folder: Path) -> Mapping[str, Any]:
        fields = contents(folder / FILE, values=False)[0]
        ends = [fields.get(gguf_tokenizer.KEY + name) for name in ("eos_token_id", "eot_token_id")]
        return {"eos_token_id": [number for number in ends if number is not None]}

    def lost(self, source: Source) -> list[Both]:
        spaced = gguf_tokenizer.one_space_more(source.model.tokenizer)
        normal = source.model.tokenizer.inner.normalizer is not None and not source.model.network.config.encoder_layers
        found = [] if self.type == "F32" else [Both(*(text.format(type=self.type) for text in ROUNDED))]
        return [*found, *([SPACED] if spaced else [NORMAL] if normal else [])]


def pooling(model: Model) -> str | None:
    """How the task makes a text's vector of the states, if it does."""
    return model.task.pooling_of(model) if hasattr(model.task, "pooling_of") else "mean"


def ends(model: Model) -> list[int]:
    """The tokens that end an answer."""
    from penjing.export.certificate import stops

    return stops(model.tokenizer, model.generation)


def tensors_of(model: Model) -> dict[str, Tensor]:
    """All tensors by the file's names."""
    config, found = model.network.config, ARCHITECTURES[model.family]
    ours = model.network.state_dict()
    theirs = to_theirs(family_of(model.family).table(config, model.task.purpose), ours)
    named = names(config, model.family, model.task.purpose, list(ours))
    made = {named[name]: arranged(name, tensor, config, found) for name, tensor in theirs.items()}
    factors = divided(config)
    return made if factors is None else made | {FREQUENCIES: factors}


def put(writer: Any, name: str, values: np.ndarray, wanted: str) -> None:
    """One tensor, in the type that it can have."""
    import gguf

    exact = values.ndim < 2 or any(part in name for part in EXACT)
    kind = gguf.GGMLQuantizationType[wanted]
    if not exact and gguf.GGML_QUANT_SIZES[kind][0] > 1 and values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = gguf.GGMLQuantizationType.F16
    kind = gguf.GGMLQuantizationType.F32 if exact else kind
    writer.add_tensor(name, gguf.quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)


def write(writer: Any) -> None:
    """The file. numpy, which writes the tensors, tells a part that could not be written without a reason: the disk is full."""
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    except OSError as error:
        raise error if error.errno else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    finally:
        writer.close()


def contents(file: Path, values: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A file's fields, and its tensors as float32."""
    import gguf

    try:
        reader = gguf.GGUFReader(file)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        tensors = {one.name: torch.from_numpy(gguf.dequantize(one.data, one.tensor_type).astype(np.float32))
                   for one in reader.tensors if values}  # fmt: skip
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise FileError("P-FILE-004", path=file, reason=error) from error
    return fields, tensors


def check_frequencies(config: Any, tensors: Mapping[str, Tensor], file: Path) -> None:
    """What the file divides frequencies by is what the config says."""
    wanted, given = divided(config), tensors.get(FREQUENCIES)
    same = wanted is None if given is None else wanted is not None and torch.allclose(wanted, given, rtol=1e-5)
    if not same:
        raise FileError("P-FILE-004", path=file, reason=f"{FREQUENCIES} is not what the config says")
