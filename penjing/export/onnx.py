"""ONNX: graphs that onnxruntime computes, without Penjing and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.base.messages.message import Both
from penjing.export import target
from penjing.export.folder import write_beside
from penjing.export.target import Source, standing_in
from penjing.model.transformer import Transformer
from penjing.tasks.model import Model
from penjing.text.tokenizer import Tokenizer

EXTRAS = {"onnx": "export", "onnxruntime": "export"}
VECTORS = Both("the graph gives the tokens' states; how they become a text's vector stands in 1_Pooling/config.json",
               "图只给出各词元的状态；如何合成文本向量见 1_Pooling/config.json")  # fmt: skip
WRITING = Both("the graphs give scores; the search for an answer is the caller's (examples/onnx_generate.py)",
               "图只给出分数；如何搜索答案由调用方完成（examples/onnx_generate.py）")  # fmt: skip
WINDOWS = Both("texts longer than {window} tokens are not cut into windows", "超过 {window} 个词元的文本不会再切成窗口")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(target.Target):
    """One graph, or for an encoder-decoder that writes one for each side; any number of texts and tokens."""

    name: ClassVar[str] = "onnx"
    extras: ClassVar[Mapping[str, str]] = EXTRAS
    runtimes: ClassVar[str] = "onnxruntime"

    def hindrance(self, source: Source) -> Both | None:
        from penjing.export.onnx_models import unwritten

        if not isinstance(source.model.network, Transformer):
            return Both("a recurrent network", "循环神经网络")
        return unwritten(source.model)

    def write(self, source: Source, folder: Path) -> None:
        from penjing.export.onnx_models import write_graphs

        write_beside(source, folder)
        source.plain.task.write(source.plain, folder)
        write_graphs(source.plain, folder)

    def read(self, folder: Path, source: Source) -> Model:
        from penjing.export.onnx_run import OnnxNetwork

        return standing_in(OnnxNetwork(folder, source.plain), source, Tokenizer.load(folder))

    def lost(self, source: Source) -> list[Both]:
        model = source.model
        found = [VECTORS] if model.task.purpose == "base" else []
        if model.task.purpose in ("causal", "seq2seq"):
            return [*found, WRITING]
        return [*found, Both(*(text.format(window=model.window) for text in WINDOWS))]
