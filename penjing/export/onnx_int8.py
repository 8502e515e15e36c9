"""ONNX with matrices of one byte a number; activations are rounded to one byte while it computes (onnxruntime's way)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.base.errors import ModelError
from penjing.base.messages.message import Both
from penjing.export import onnx
from penjing.export.target import Source, rounded
from penjing.tasks.likeness import Limits

STEP = 1 / 127  # of a number of one byte with its sign, relative to the largest
LOST = Both("matrices are int8, one scale a column, and activations uint8; the processor should have VNNI, without it "
            "products may be cut off at 16 bits",
            "矩阵为 int8（每列一个缩放系数），激活为 uint8；处理器最好有 VNNI，否则乘积可能在 16 位处被截断")  # fmt: skip


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(onnx.Target):
    """A quarter of the size of the matrices; scores move by the rounding of weights and activations."""

    name: ClassVar[str] = "onnx_int8"

    def limits(self) -> Limits:
        return rounded(STEP)

    def write(self, source: Source, folder: Path) -> None:
        super().write(source, folder)
        for file in sorted(folder.glob("*.onnx")):
            quantize(file)

    def lost(self, source: Source) -> list[Both]:
        return [*super().lost(source), LOST]


def quantize(file: Path) -> None:
    """Put the quantized graph in the place of the graph."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    made, beside = file.with_suffix(".int8"), file.with_name(file.name + ".data")
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)  # it advises all users on the root logger
    try:
        quantize_dynamic(
            file, made, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gather"],
            use_external_data_format=beside.exists(),
        )  # fmt: skip
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError("P-EXPORT-006", file=file, reason=error) from error
    finally:
        logger.setLevel(before)
    beside.unlink(missing_ok=True)
    made.replace(file)
