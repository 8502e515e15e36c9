"""ONNX with matrices of one byte a number; activations are rounded to one byte while it computes (onnxruntime's way)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import ModelError
from penjing.base.messages.message import Both
from penjing.export import onnx
from penjing.export.target import Source, rounded
from penjing.tasks.likeness import Limits

STEP = 1 / 127  # of a number of one byte with its sign, relative to the largest
BLOCK = 64  # inputs of a row of a matrix that share a scale; activations are rounded in the same blocks
FLOAT = 1  # how ONNX numbers float32
Rounding = Literal["blocks", "whole"]
LOST: dict[Rounding, Both] = {
    "blocks": Both("matrices are int8, a scale for each 64 inputs of an output, tables with one for each row; activations are "
                   "rounded to int8 in such blocks",
                   "矩阵为 int8（每个输出的每 64 个输入一个系数），表为 int8（每行一个系数），激活按同样分块舍入为 int8"),
    "whole": Both("matrices are int8, one scale a column, and activations uint8; the processor should have VNNI, without it "
                  "products may be cut off at 16 bits",
                  "矩阵为 int8（每列一个缩放系数），激活为 uint8；处理器最好有 VNNI，否则乘积可能在 16 位处被截断"),
}  # fmt: skip


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(onnx.Target):
    """A quarter of the size of the matrices; scores move by the rounding of weights and activations."""

    rounding: Annotated[
        Rounding,
        Field(
            description="of what is multiplied: in blocks of 64, which is nearer; or with one scale for a whole batch, which "
            "is faster for an encoder"
        ),
    ] = "blocks"

    name: ClassVar[str] = "onnx_int8"

    def limits(self) -> Limits:
        return rounded(STEP)

    def write(self, source: Source, folder: Path) -> None:
        super().write(source, folder)
        for file in sorted(folder.glob("*.onnx")):
            quantize(file, self.rounding)

    def lost(self, source: Source) -> list[Both]:
        return [*super().lost(source), LOST[self.rounding]]


def quantize(file: Path, rounding: Rounding) -> None:
    """Put the quantized graph in the place of the graph."""
    beside = file.with_name(file.name + ".data")
    (in_blocks if rounding == "blocks" else dynamically)(file, beside)


def dynamically(file: Path, beside: Path) -> None:
    """By onnxruntime's own tool."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    made, logger = file.with_suffix(".int8"), logging.getLogger()
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


def in_blocks(file: Path, beside: Path) -> None:
    """Matrices and tables in one byte a number, and what reads them accordingly."""
    import onnx as library
    from onnx import helper

    large, model = beside.exists(), library.load(file)
    beside.unlink(missing_ok=True)
    graph = model.graph
    made = Made(
        {one.name: one for one in graph.initializer if len(one.dims) == 2 and one.data_type == FLOAT}, graph.node
    )
    nodes = [one for node in graph.node for one in made.node(node)]
    read = {name for node in nodes for name in node.input} | {one.name for one in graph.output}
    nodes = [
        node for node in nodes if read & set(node.output)
    ]  # a table is turned no more where its product has blocks
    read = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in read]
    for field, values in (("node", nodes), ("initializer", [*kept, *made.tensors.values()])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    library.save(model, file, save_as_external_data=large, location=beside.name)


class Made:
    """Nodes in the place of those that read matrices of the file, and the tensors that they read.

    Products are onnxruntime's `MatMulNBits`, which rounds both sides in blocks: where one scale serves all that is
    multiplied, one large number costs all others their bits.
    """

    def __init__(self, matrices: dict[str, Any], nodes: Sequence[Any]):
        self.matrices, self.tensors = matrices, dict[str, Any]()
        self.turned = {  # the table that a tied product reads transposed
            node.output[0]: node.input[0] for node in nodes if node.op_type == "Transpose" and node.input[0] in matrices
        }

    def node(self, node: Any) -> list[Any]:
        """What stands in for a node: itself, where it reads no such matrix."""
        if node.op_type == "MatMul" and (node.input[1] in self.matrices or node.input[1] in self.turned):
            return self.product(node)
        if node.op_type == "Gather" and node.input[0] in self.matrices and not any(one.i for one in node.attribute):
            return self.rows(node)
        return [node]

    def product(self, node: Any) -> list[Any]:
        from onnx import helper

        tied = node.input[1] in self.turned
        name = self.turned[node.input[1]] if tied else node.input[1]
        inputs, outputs = self.matrices[name].dims[::-1] if tied else self.matrices[name].dims
        parts = self.parts(name, "blocks", lambda matrix: rounded_in_blocks(matrix if tied else matrix.T))
        return [helper.make_node("MatMulNBits", [node.input[0], *parts], node.output, node.name, domain="com.microsoft",
                                 K=inputs, N=outputs, bits=8, block_size=BLOCK, accuracy_level=4)]  # fmt: skip

    def rows(self, node: Any) -> list[Any]:
        """Rows of a table by number: their codes times their scales."""
        from onnx import TensorProto, helper

        (name, numbers), out = node.input, node.output[0]
        codes, scales = self.parts(name, "rows", rounded_rows)
        return [
            helper.make_node("Gather", [codes, numbers], [f"{out}.codes"]),
            helper.make_node("Gather", [scales, numbers], [f"{out}.scales"]),
            helper.make_node("Cast", [f"{out}.codes"], [f"{out}.numbers"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}.numbers", f"{out}.scales"], [out]),
        ]

    def parts(self, name: str, kind: str, make: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> list[str]:
        """The names of the codes and the scales of a matrix, which are made once."""
        from onnx import numpy_helper

        names = [f"{name}.{kind}", f"{name}.{kind}.scales"]
        if names[0] not in self.tensors:
            values = make(numpy_helper.to_array(self.matrices[name]))
            self.tensors |= {one: numpy_helper.from_array(held, one) for one, held in zip(names, values, strict=True)}
        return names


def rounded_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table V W as codes V W and scales V 1."""
    scales = np.abs(table).max(1, keepdims=True) / 127
    return np.rint(table / np.maximum(scales, 1e-30)).astype(np.int8), scales.astype(np.float32)


def rounded_in_blocks(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix N K as codes N B 64, each 128 more than the number, and scales N B: B blocks of inputs, the last one filled."""
    outputs, inputs = matrix.shape
    blocks = np.pad(matrix.astype(np.float32), ((0, 0), (0, -inputs % BLOCK))).reshape(outputs, -1, BLOCK)
    scales = np.abs(blocks).max(2) / 127
    codes = np.rint(blocks / np.maximum(scales, 1e-30)[..., None]) + 128
    return codes.astype(np.uint8), scales.astype(np.float32).reshape(-1)
