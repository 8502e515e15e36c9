"""Files of tensors in the safetensors format, whole or in shards.

Old checkpoints (pytorch_model.bin) are read too, by torch's weights-only loader, which runs nothing in them. Other
pickles are refused, and none is ever written.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from penjing.base.errors import FileError, ModelError, raise_all
from penjing.base.files import read_json, whole_file, write_json

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
REST, REST_INDEX = "remaining.safetensors", "remaining.safetensors.index.json"  # where changes stand in for others
OLD_FILE, OLD_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
KINDS = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SHARD = 5_000_000_000  # bytes


def write_tensors(folder: Path, tensors: Mapping[str, Tensor], shard: int = SHARD, whole: bool = True) -> None:
    """Write one file, or shards of at most `shard` bytes (one tensor at least) with their index; old ones go.

    What is not `whole` has another name: who looks for a model by the usual one would fill it up with random numbers.
    """
    shards = split(tensors, shard)
    count, (single, index) = len(shards), (FILE, INDEX) if whole else (REST, REST_INDEX)
    stem = single.removesuffix(".safetensors")
    files = [single] if count == 1 else [f"{stem}-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    for file, names in zip(files, shards, strict=True):
        write_file(folder / file, {name: tensors[name] for name in names})
    if count > 1:
        total = sum(t.numel() * t.element_size() for t in tensors.values())
        places = {name: file for file, names in zip(files, shards, strict=True) for name in names}
        write_json(folder / index, {"metadata": {"total_size": total}, "weight_map": places})
        files.append(index)
    for old in [
        found for name in (FILE, REST) for found in folder.glob(f"{name.removesuffix('.safetensors')}*.safetensors*")
    ]:
        if old.name not in files:
            old.unlink(missing_ok=True)


def split(tensors: Mapping[str, Tensor], most: int) -> list[list[str]]:
    """Names in their order, in shards of at most `most` bytes."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and filled + size > most:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def write_file(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One safetensors file, tensor by tensor, so that nothing is held twice: length, JSON header, bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            file.write(raw.numpy())


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, from one file or from shards."""
    tensors = {}
    for file in weight_files(folder):
        tensors |= read_file(file)
    return tensors


def check_whole(folder: Path) -> None:
    """P-CHANGE-063 for a folder of which only the changes of penjing.json make a model."""
    if not (folder / FILE).exists() and any((folder / name).exists() for name in (REST, REST_INDEX)):
        raise ModelError("P-CHANGE-063", file=folder)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights, safetensors before .bin; missing ones, and other pickles alone, are errors."""
    for file, index in ((FILE, INDEX), (REST, REST_INDEX), (OLD_FILE, OLD_INDEX)):
        if (folder / file).exists():
            return [folder / file]
        if (folder / index).exists():
            return shards_of(folder / index)
    for pattern in PICKLES:
        for file in sorted(folder.glob(pattern)):
            raise ModelError("P-MODEL-017", file=file)
    raise ModelError("P-MODEL-016", file=folder)


def shards_of(path: Path) -> list[Path]:
    """The files that an index names, all of them there and beside it."""
    index = read_json(path, dict).get("weight_map")
    if not isinstance(index, dict) or not index or not all(isinstance(name, str) for name in index.values()):
        raise FileError("P-FILE-004", path=path, reason="it has no `weight_map` of names and files")
    files = [path.with_name(Path(name).name) for name in sorted(set(index.values()))]
    raise_all([ModelError("P-MODEL-019", file=file) for file in files if not file.exists()])
    return files


def read_file(path: Path) -> dict[str, Tensor]:
    """One file of tensors. A broken one is an error that names it."""
    if path.suffix == ".bin":
        return read_old(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError("P-MODEL-018", file=path, bytes=path.stat().st_size, reason=error) from error


def read_old(path: Path) -> dict[str, Tensor]:
    """One .bin file, by the loader that builds tensors and nothing else."""
    try:
        with warnings.catch_warnings(action="ignore"):  # what the loader thinks of a file's age is no user's matter
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error)
        raise ModelError("P-MODEL-050", file=path, reason=reason.splitlines()[0].strip()) from error
    except Exception as error:  # a broken file may say anything to the loader
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError("P-MODEL-018", file=path, bytes=path.stat().st_size, reason=reason) from error
    if not isinstance(found, dict) or not all(whole(tensor) for tensor in found.values()):
        raise ModelError("P-MODEL-050", file=path, reason="not a table of tensors")
    return {str(name): tensor.detach().contiguous() for name, tensor in found.items()}


def whole(found: Any) -> bool:
    """Whether it is a tensor with all its numbers: neither sparse nor without values."""
    return isinstance(found, Tensor) and found.layout is torch.strided and found.device.type == "cpu"


def digest(model: nn.Module) -> str:
    """SHA-256 of all weights' bytes, by name."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()
