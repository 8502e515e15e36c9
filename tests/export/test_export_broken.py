"""Exports that are broken on purpose: each is caught, and nothing is left of it."""

import copy
import io
import json
import shutil

import pytest
from exported import exported, talking, toy
from safetensors.torch import load_file, save_file

from penjing.base.errors import FileError, ModelError
from penjing.evaluate.folding import metrics
from penjing.export import kind_named, targets_of
from penjing.export.certificate import export, said
from penjing.export.ctranslate2_spec import spec_of
from penjing.export.target import Source


def hf_stop(folder):
    about = json.loads((folder / "generation_config.json").read_text("utf-8"))
    (folder / "generation_config.json").write_text(json.dumps(about | {"eos_token_id": 7}), "utf-8")


def hf_weight(folder):
    tensors = load_file(folder / "model.safetensors")
    one, other = (f"model.layers.{n}.mlp.up_proj.weight" for n in (0, 1))
    tensors[one], tensors[other] = tensors[other], tensors[one]
    save_file(tensors, folder / "model.safetensors")


def hf_template(folder):
    (folder / "chat_template.jinja").unlink()


def hf_tokens(folder):
    text = (folder / "tokenizer.json").read_text("utf-8")
    (folder / "tokenizer.json").write_text(
        text.replace('"isolated"', '"removed"').replace('"Isolated"', '"Removed"'), "utf-8"
    )


def onnx_weight(folder):
    import onnx

    model = onnx.load(folder / "model.onnx")
    named = {one.name: one for one in model.graph.initializer}
    one, other = (named[f"decoder.blocks.{n}.mlp.up.weight"] for n in (0, 1))
    one.raw_data, other.raw_data = other.raw_data, one.raw_data
    onnx.save(model, folder / "model.onnx")


def gguf_stop(folder):
    field = writable(folder).get_field("tokenizer.ggml.eos_token_id")
    field.parts[field.data[0]][0] = 7


def gguf_weight(folder):
    named = {one.name: one.data for one in writable(folder).tensors}
    one, other = (named[f"blk.{n}.ffn_up.weight"] for n in (0, 1))
    one[:], other[:] = other.copy(), one.copy()


def gguf_template(folder):
    field = writable(folder).get_field("tokenizer.chat_template")
    field.parts[field.data[0]][:] = ord(" ")


def ct2_stop(folder):
    about = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(about | {"eos_token": "the"}), "utf-8")


def ct2_weight(folder):
    """The file of a network whose first two layers have changed their products."""
    model = copy.deepcopy(toy("bart"))
    one, other = (block.mlp.up for block in model.network.encoder.blocks)
    one.weight.data, other.weight.data = other.weight.data, one.weight.data
    spec = spec_of(model)
    spec.validate()
    spec.save(str(folder))


def writable(folder):
    import gguf

    return gguf.GGUFReader(folder / "model.gguf", "r+")


SPOILT = [
    ("hf", hf_stop, "end at other tokens"), ("hf", hf_weight, "apart"), ("hf", hf_template, "templates"),
    ("half", hf_weight, "apart"), ("hf", hf_tokens, "tokens of"),
    ("onnx", hf_stop, "end at other tokens"), ("onnx", onnx_weight, "apart"), ("onnx", hf_template, "templates"),
    ("onnx_int8", hf_stop, "end at other tokens"), ("onnx_int8", hf_template, "templates"),
    ("gguf", gguf_stop, "end at other tokens"), ("gguf", gguf_weight, "apart"), ("gguf", gguf_template, "templates"),
    ("ctranslate2", ct2_stop, "end at other tokens"), ("ctranslate2", ct2_weight, "apart"),
]  # fmt: skip


@pytest.mark.parametrize(("to", "spoil", "words"), SPOILT, ids=lambda one: getattr(one, "__name__", None))
def test_a_broken_export_is_refused(to, spoil, words, tmp_path, monkeypatch):
    kind = kind_named(to)
    plain = kind.write

    def broken(self, source, folder):
        plain(self, source, folder)
        spoil(folder)

    monkeypatch.setattr(kind, "write", broken)
    with pytest.raises(ModelError) as caught:
        exported(tmp_path / to, toy("bart") if to == "ctranslate2" else talking(), to)
    assert caught.value.code == "P-EXPORT-002" and words in caught.value.text("en")
    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_when_a_new_export_fails(tmp_path, monkeypatch):
    exported(tmp_path / "hf", talking(), "hf")
    kind = kind_named("hf")
    plain = kind.write
    monkeypatch.setattr(kind, "write", lambda self, source, folder: (plain(self, source, folder), hf_template(folder)))
    with pytest.raises(ModelError):
        exported(tmp_path / "hf", talking(), "hf")
    assert (tmp_path / "hf" / "chat_template.jinja").exists() and [p.name for p in tmp_path.iterdir()] == ["hf"]


@pytest.mark.parametrize("to", ["hf", "onnx", "onnx_int8", "gguf", "ctranslate2"])
def test_a_full_disk_at_any_file_leaves_nothing(to, tmp_path, monkeypatch):
    """Each file in its turn cannot be written to its end, whoever writes it; numpy tells that without a reason."""
    real, opened, full = io.open, [], [0]

    def counted(file, mode="r", *given, **named):
        if set(mode) & set("wxa") and str(file).startswith(str(tmp_path)):
            opened.append(file)
            if len(opened) == full[0]:
                return real("/dev/full", mode, *given, **named)
        return real(file, mode, *given, **named)

    monkeypatch.setattr(io, "open", counted)
    monkeypatch.setattr("builtins.open", counted)
    model = toy("vaswani" if to == "ctranslate2" else "qwen2")
    source, (target,) = Source(tmp_path / "nowhere", model), targets_of(to)
    before = said(model, model.generation, (), metrics)
    export(tmp_path / to, target, source, before, (), metrics)
    shutil.rmtree(tmp_path / to)
    for full[0] in range(1, len(opened) + 1):
        opened.clear()
        with pytest.raises(FileError) as caught:
            export(tmp_path / to, target, source, before, (), metrics)
        assert caught.value.code == "P-FILE-002" and not list(tmp_path.iterdir()), full


def test_a_graph_that_cannot_be_quantized_is_told(tmp_path, monkeypatch):
    import onnxruntime.quantization

    def fails(*given, **named):
        raise RuntimeError("no such type")

    monkeypatch.setattr(onnxruntime.quantization, "quantize_dynamic", fails)
    with pytest.raises(ModelError) as caught:
        exported(tmp_path / "int8", toy("bert"), {"onnx_int8": {"rounding": "whole"}})
    assert caught.value.code == "P-EXPORT-006" and not list(tmp_path.iterdir())
