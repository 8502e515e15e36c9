"""CTranslate2: encoder-decoders that write, computed by its own engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.files import read_json, write_json
from penjing.base.messages.message import Both
from penjing.export import target
from penjing.export.folder import generation_of
from penjing.export.target import Source, exactly, rounded, standing_in
from penjing.model.decoding import FILE
from penjing.tasks.likeness import Limits
from penjing.tasks.model import Model
from penjing.text.tokenizer import Tokenizer

STEPS = {"float32": 0.0, "float16": 2**-11, "int8": 1 / 127}  # with int8, activations are rounded too
VOCABULARY = "shared_vocabulary.json"
KNOWN = ("learned", "sinusoidal", "relative")  # positions
PURPOSE = Both("only encoder-decoders that write a text (task seq2seq) are written",
               "只支持生成文本的编码器-解码器（任务 seq2seq）")  # fmt: skip
POSITIONS = Both(
    "its positions are none of learned, sinusoidal, relative", "它的位置编码不是 learned、sinusoidal 或 relative"
)
PIECES = Both("source and target are cut by different vocabularies", "源文本与目标文本使用不同的词表")
LOST = Both(
    "it takes and gives pieces of text, which tokenizer.json makes and joins; its search is its own, so long answers of "
    "several beams may end otherwise; a text without a word has an empty answer",
    "它接收并给出由 tokenizer.json 切分与拼接的词元；搜索由它自己完成，多束搜索的长回答可能有不同的结尾；"
    "没有内容的文本得到空回答",
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(target.Target):
    """model.bin with its vocabulary and config, and the tokenizer beside them."""

    type: Annotated[Literal["float32", "float16", "int8"], Field(description="how matrices are stored")] = "float32"

    name: ClassVar[str] = "ctranslate2"
    extras: ClassVar[Mapping[str, str]] = {"ctranslate2": "export"}
    runtimes: ClassVar[str] = "CTranslate2"

    def limits(self) -> Limits:
        return rounded(STEPS[self.type]) if STEPS[self.type] else exactly()

    def hindrance(self, source: Source) -> Both | None:
        model = source.model
        if model.task.purpose != "seq2seq":
            return PURPOSE
        if model.network.config.position not in KNOWN:
            return POSITIONS
        return None if model.tokenizer.target is None else PIECES

    def write(self, source: Source, folder: Path) -> None:
        from penjing.export.ctranslate2_spec import spec_of

        model = source.plain
        model.tokenizer.save(folder, typed=model.typed)
        spec = spec_of(model)
        spec.validate()
        spec.optimize(None if self.type == "float32" else self.type)
        spec.save(str(folder))
        write_json(folder / FILE, generation_of(model))

    def read(self, folder: Path, source: Source) -> Model:
        from penjing.export.ctranslate2_run import TranslatorNetwork

        return standing_in(TranslatorNetwork(folder, source.plain), source, Tokenizer.load(folder))

    def generation(self, folder: Path) -> Mapping[str, Any]:
        """With the token at which the engine itself ends."""
        about, told = read_json(folder / "config.json", dict), read_json(folder / FILE, dict)
        own = read_json(folder / VOCABULARY, list).index(about["eos_token"])
        said = told.get("eos_token_id")
        return told | {"eos_token_id": [own, *(said if isinstance(said, list) else [] if said is None else [said])]}

    def lost(self, source: Source) -> list[Both]:
        return [LOST]
