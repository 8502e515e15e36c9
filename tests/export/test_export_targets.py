"""Every family in every target that can hold it: the certificate passes, and what cannot be held is said."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from exported import CASES, RECORDS, exported, talking, toy
from tokenizers import models, normalizers, pre_tokenizers

from penjing.base.errors import ModelError
from penjing.export import TARGETS, kind_named, onnx_graph, targets_of
from penjing.export.gguf_tokenizer import kind_of
from penjing.export.onnx_int8 import quantize
from penjing.export.onnx_run import OnnxNetwork
from penjing.export.target import Source
from penjing.model.batch import Batch
from penjing.model.size import fresh_config
from penjing.tasks import task_named
from penjing.tasks.likeness import same
from penjing.tasks.model import Model
from penjing.tasks.writer import Writer
from penjing.text.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]
GGUF = ("bert-embed", "gpt2", "llama", "qwen2", "qwen3")


def hindered(name, target):
    return kind_named(target)().hindrance(Source(Path("nowhere"), toy(name)))


@pytest.mark.parametrize("name", CASES)
def test_onnx_and_the_plain_folder(name, tmp_path):
    assert exported(tmp_path / "hf", toy(name), "hf")["distance"] < 1e-6
    assert not (tmp_path / "hf" / "penjing.json").exists()
    if name == "lstm":
        assert "recurrent" in hindered(name, "onnx").en
        return
    found = exported(tmp_path / "onnx", toy(name), "onnx")
    assert found["distance"] < 1e-5 and found["other_choices"] == 0 and found["same_stops"]


@pytest.mark.parametrize("name", CASES)
def test_gguf_holds_five_families_and_refuses_the_others(name, tmp_path):
    if name not in GGUF:
        assert hindered(name, "gguf")
        return
    for kind, most in (("F32", 1e-6), ("Q8_0", 0.06)):
        assert exported(tmp_path / kind, toy(name), {"gguf": {"type": kind}})["distance"] <= most
    sizes = {kind: (tmp_path / kind / "model.gguf").stat().st_size for kind in ("F32", "Q8_0")}
    assert sizes["Q8_0"] < sizes["F32"]


@pytest.mark.parametrize("name", CASES)
def test_ctranslate2_holds_what_reads_one_text_and_writes_another(name, tmp_path):
    if CASES[name][0] != "seq2seq":
        assert hindered(name, "ctranslate2")
        return
    found = exported(tmp_path / "whole", toy(name), "ctranslate2")
    assert found["distance"] < 1e-5 and found["other_choices"] == 0
    if name == "t5":
        small = exported(tmp_path / "small", toy(name), {"ctranslate2": {"type": "int8"}})
        assert small["distance"] > 1e-4 and small["bytes"] < found["bytes"]


def test_pieces_with_bytes_in_a_gguf_file(tmp_path):
    """A tokenizer of Llama 2's kind: spaces are marked, what is unknown is spelled in bytes, merges come from scores."""
    words = ("▁t", "he", "▁the", "▁the▁", "er", "re", "▁b", "ox")
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁", *"theroxb", *words]
    pairs = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁the", "▁"), ("e", "r"), ("r", "e"), ("▁", "b"), ("o", "x")]
    table = {text: number for number, text in enumerate(texts)}
    inner = tokenizers.Tokenizer(models.BPE(table, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    prepend, mark = normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")
    inner.normalizer = normalizers.Sequence([prepend, mark])
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    cutter = Tokenizer(inner, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"})
    config = fresh_config("llama", vocab_size=cutter.size, width=32, layers=1, heads=4, max_tokens=24, purpose="causal")
    model = Model.new(config, "llama", task_named("causal"), cutter, seed=1).eval()
    exported(tmp_path / "gguf", model, {"gguf": {"type": "F32"}})
    again = targets_of("gguf")[0].read(tmp_path / "gguf", Source(tmp_path, model)).tokenizer
    for text in ("the box", " there  bore", "盆", "er re"):
        assert again.encode(text) == cutter.encode(text) and again.decode(cutter.encode(text)) == text
    inner.normalizer, inner.pre_tokenizer = None, pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    model.tokenizer = Tokenizer(inner, cutter.config)
    assert "two" in targets_of("gguf")[0].lost(Source(tmp_path, model))[-1].en
    inner.pre_tokenizer, inner.normalizer = None, normalizers.Sequence([normalizers.Lowercase(), mark])
    assert kind_of(Tokenizer(inner, cutter.config)) is None


@pytest.mark.parametrize("name", ["bert", "llama", "t5"])
def test_narrower_types_move_scores_by_their_rounding(name, tmp_path):
    """Each in its own bounds, the finer one nearer, and all of them smaller."""
    names = ("hf", {"half": {"dtype": "float16"}}, "half", "onnx_int8", {"onnx_int8": {"rounding": "whole"}})
    found = [exported(tmp_path / str(n), toy(name), to) for n, to in enumerate(names)]
    apart, bytes_ = [one["distance"] for one in found], [one["bytes"] for one in found]
    assert apart[0] == 0 < apart[1] < apart[2] and apart[3] > 0 and apart[4] > 0
    assert bytes_[1] < bytes_[0] and max(bytes_[3:]) < bytes_[0]
    assert json.loads((tmp_path / "2" / "config.json").read_text("utf-8"))["dtype"] == "bfloat16"


@pytest.mark.parametrize("name", ["gpt2", "t5", "marian", "llama", "bert"])
def test_no_matrix_stays_float_in_blocks(name, tmp_path):
    """Neither the table that the vocabulary's head shares, nor what reads it."""
    import onnx

    exported(tmp_path / "small", toy(name), "onnx_int8")
    for file in (tmp_path / "small").glob("*.onnx"):
        graph = onnx.load(file).graph
        held = {one.name: list(one.dims) for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
        large = {one: dims for one, dims in held.items() if len(dims) == 2 and min(dims) > 1}
        assert not large, large


@pytest.mark.parametrize(("rounding", "near"), [("blocks", True), ("whole", False)])
def test_one_large_number_costs_the_others_their_bits_only_in_its_own_block(rounding, near, tmp_path):
    from onnx import TensorProto, helper, numpy_helper
    from onnx import save as saved
    from onnxruntime import InferenceSession

    random = np.random.default_rng(0)
    weight, x = random.normal(size=(100, 24)).astype(np.float32), random.normal(size=(3, 100)).astype(np.float32)
    x[1, 70] = 3000  # in another row, and in the second block
    numbers = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [3, 100]), ("y", [3, 24]))
    ]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "one", numbers[:1], numbers[1:],
                              [numpy_helper.from_array(weight, "w")])  # fmt: skip
    file = tmp_path / "one.onnx"
    saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)
    quantize(file, rounding)
    made = InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    assert (np.abs(made - x @ weight)[[0, 2]].max() < 0.3) == near


def test_transformers_reads_the_plain_folder(tmp_path):
    from transformers import AutoModelForSequenceClassification

    exported(tmp_path / "hf", toy("bert"), "hf")
    tokens = torch.arange(5, 13)[None]
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "hf").eval()(tokens).logits
    ours = toy("bert").task.class_scores(toy("bert"), Batch(tokens))
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_onnx_answers_as_the_model_whatever_the_task_asks(tmp_path):
    """Texts and pairs in batches, beams through both graphs, a decoder's answer token by token."""
    target, model = targets_of("onnx")[0], toy("bert")
    pairs = [("the parcel", "very late today"), ("tree", "box")]
    for name, ask in (
        ("bert", lambda model: model.answer(pairs)),
        ("t5", lambda model: model.answer([{"source": "the parcel"}, {"source": "tree box was"}])),
        ("llama", lambda model: Writer(model.network, model.tokenizer).write(["the", "tree was"], temperature=0)),
    ):
        model = toy(name)
        target.write(Source(tmp_path, model), tmp_path / name)
        answers, again = ask(model), ask(target.read(tmp_path / name, Source(tmp_path, model)))
        assert same(answers, again, 1e-4) and answers


def test_an_onnx_memory_may_be_chosen_from_as_the_networks_own(tmp_path):
    model = toy("llama")
    exported(tmp_path / "onnx", model, "onnx")
    runtime, batch = OnnxNetwork(tmp_path / "onnx", model), Batch(torch.tensor([[5, 6, 7], [8, 9, 10]]))
    rows, found = [1, 0, 1], []
    for network in (model.network, runtime):
        with torch.inference_mode():
            memory = network.start(batch, capacity=8)
            memory.select(rows)
            found.append(network.logits(network.step(torch.tensor([[3], [4], [5]]), memory)))
    assert torch.allclose(*found, atol=1e-4)


def example():
    place = importlib.util.spec_from_file_location("onnx_generate", ROOT / "examples" / "onnx_generate.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["llama", "bart"])
def test_the_example_writes_what_the_model_writes(name, tmp_path):
    model, text = toy(name), "the parcel was very late"
    exported(tmp_path / "onnx", model, "onnx")
    writer = Writer(model.network, model.tokenizer)
    wanted = writer.answers([text], temperature=0, beams=1, max_new_tokens=6, decoder_start=model.decoder_start) if (
        writer.encoder_decoder) else writer.answers([text], temperature=0, max_new_tokens=6)  # fmt: skip
    given = example().write(tmp_path / "onnx", text, 6)
    assert given == model.tokenizer.decode(wanted[0][0].tokens) and wanted[0][0].tokens
    source = (ROOT / "examples" / "onnx_generate.py").read_text("utf-8")
    assert "torch" not in source.split('"""')[2] and "penjing" not in source.split('"""')[2]


def test_a_template_and_its_tokens_go_into_every_target(tmp_path):
    model = talking()
    for to in ("hf", "onnx", "gguf"):
        assert exported(tmp_path / to, model, to)["same_template"]
    again = targets_of("gguf")[0].read(tmp_path / "gguf", Source(tmp_path, model))
    assert again.tokenizer.templates == model.tokenizer.templates


def test_records_are_answered_through_the_export(tmp_path):
    found = exported(tmp_path / "onnx", toy("bert"), "onnx", RECORDS[:9])
    assert found["records"] == 9 and found["other_answers"] == 0 and found["before"] == found["after"]
    told = json.loads((tmp_path / "onnx" / "export.json").read_text("utf-8"))
    assert told["after"]["accuracy"]["value"] == found["after"]["accuracy"]["value"]


def test_what_has_no_operations_is_said(tmp_path, monkeypatch):
    model = toy("bert")
    monkeypatch.setattr(
        model.network.encoder.blocks[1].mlp, "up", torch.nn.Sequential(model.network.encoder.blocks[1].mlp.up)
    )
    with pytest.raises(ModelError) as caught:
        targets_of("onnx")[0].write(Source(tmp_path, model), tmp_path / "onnx")
    assert caught.value.code == "P-EXPORT-004" and "blocks.1.mlp.up" in caught.value.text("en")


def test_numbers_of_a_graph_are_stored_once(tmp_path):
    """The embeddings that serve at both ends are one matrix, and a graph is no larger than its weights."""
    model = toy("gpt2")
    exported(tmp_path / "onnx", model, "onnx")
    weights = sum(np.prod(parameter.shape) * 4 for parameter in model.network.parameters())
    assert weights < (tmp_path / "onnx" / "model.onnx").stat().st_size < 1.4 * weights + 20_000


def test_large_graphs_have_their_weights_beside_them(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "LARGE", 0)
    for name in ("onnx", "onnx_int8"):
        exported(tmp_path / name, toy("gpt2"), name)
        files = {path.name: path.stat().st_size for path in (tmp_path / name).glob("model*")}
        assert len(files) == 2 and max(files, key=files.get).endswith(".data")


def test_every_target_says_who_reads_it():
    for name in TARGETS:
        target = kind_named(name)()
        assert target.name == name and target.runtimes
    assert isinstance(toy("bert"), Model)
