"""An ONNX graph that grows by one operation a call: `graph("MatMul", x, y)` gives the name of the result.

Written operation by operation, not traced: the file holds what the network is, for any number of texts and tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

OPERATIONS, FORMAT = 20, 10  # versions of the operations and of the file, which onnxruntime knows since 1.17
LARGE = 1_500_000_000  # bytes of weights; a file of more has its weights beside it

Name = str


class Graph:
    """Operations, weights, inputs and outputs."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[Name, np.ndarray] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.known: dict[Any, Name] = {}  # constants and weights that are there

    def __call__(self, kind: str, *inputs: Name, **attributes: Any) -> Name:
        """One operation with one result."""
        return self.several(kind, 1, *inputs, **attributes)[0]

    def several(self, kind: str, results: int, *inputs: Name, **attributes: Any) -> list[Name]:
        """One operation with several results."""
        from onnx import helper

        made = [f"{kind.lower()}_{len(self.nodes)}" + (f"_{n}" if n else "") for n in range(results)]
        self.nodes.append(helper.make_node(kind, inputs, made, **attributes))
        return made

    def input(self, name: Name, kind: type, *shape: str | int) -> Name:
        """Something that is given; a word in the shape is a size that may vary."""
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape))
        return name

    def output(self, value: Name, name: Name, *shape: str | int) -> None:
        """Something that comes out, float32."""
        from onnx import TensorProto, helper

        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def weight(self, tensor: Tensor, name: Name, transposed: bool = False) -> Name:
        """Numbers of the network; the same ones are stored once."""
        key = (tensor.data_ptr(), tensor.shape, transposed)
        if key not in self.known:
            values = tensor.detach().float().cpu()
            self.weights[name] = np.ascontiguousarray((values.t() if transposed else values).numpy())
            self.known[key] = name
        return self.known[key]

    def integers(self, *values: int) -> Name:
        """A list of whole numbers."""
        return self.constant(np.asarray(values, np.int64))

    def number(self, value: float | int | bool) -> Name:
        """One number."""
        kinds = {bool: np.bool_, int: np.int64, float: np.float32}
        return self.constant(np.asarray(value, kinds[type(value)]))

    def constant(self, values: np.ndarray) -> Name:
        """Numbers that are no weights."""
        key = (values.tobytes(), values.dtype.str, values.shape)
        if key not in self.known:
            self.known[key] = f"constant_{len(self.known)}"
            self.weights[self.known[key]] = values
        return self.known[key]

    def size(self, value: Name, axis: int) -> Name:
        """One size of a value, a list of one number."""
        return self("Shape", value, start=axis, end=axis + 1)

    def write(self, file: Path) -> None:
        """Write the file, and check it."""
        import onnx
        from onnx import helper, numpy_helper

        weights = [numpy_helper.from_array(values, name) for name, values in self.weights.items()]
        graph = helper.make_graph(self.nodes, "penjing", self.inputs, self.outputs, weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPERATIONS)], ir_version=FORMAT, producer_name="penjing"
        )
        large = sum(values.nbytes for values in self.weights.values()) > LARGE
        onnx.save(model, file, save_as_external_data=large, location=file.name + ".data")
        onnx.checker.check_model(str(file))


def names(stem: str, layers: Sequence[int] | range) -> list[tuple[Name, Name]]:
    """What the keys and the values of each layer are called."""
    return [(f"{stem}.{layer}.key", f"{stem}.{layer}.value") for layer in layers]
