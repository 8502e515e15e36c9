"""Folders: round trips, shards, and every way in which one can be broken."""

import contextlib
import dataclasses
import json
import pickle
import random

import pytest
import torch
from networks import CROSSED, DECODERS, FOREIGN, batch, config, network

from penjing.base.errors import ModelError, PenjingError
from penjing.model.checkpoint import read_checkpoint, write_checkpoint
from penjing.model.config import ModelConfig
from penjing.model.decoding import generation_config
from penjing.model.families import FAMILIES, families, family_of
from penjing.model.families.family import unlike
from penjing.model.head import ClassHead, HeadStyle
from penjing.model.tensors import INDEX, OLD_FILE, OLD_INDEX, read_tensors, write_tensors
from penjing.model.transformer import Transformer
from penjing.model.weights import from_theirs, to_theirs

PURPOSE = dict.fromkeys(DECODERS, "causal") | {
    **dict.fromkeys(("bert", "roberta", "distilbert", "electra", "modernbert"), "masked"),
    "bilstm": "masked",
    **dict.fromkeys(CROSSED, "seq2seq"),
}


def raised(code, call, *given, **options):
    with pytest.raises(PenjingError) as error:
        call(*given, **options)
    assert error.value.code == code, error.value
    assert error.value.text("en") and error.value.text("zh")
    return error.value


def saved(folder, name="bert", **options):
    """A network of a family and its folder."""
    made = network(name)
    write_checkpoint(folder, made, family=name, purpose=PURPOSE[name], **options)
    return made


def edit(folder, **changed):
    """Change keys of config.json; None removes one."""
    whole = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps({k: v for k, v in whole.items() if v != "REMOVED"}))


@pytest.mark.parametrize("shard", [10**9, 4000])
@pytest.mark.parametrize("name", FOREIGN)
def test_round_trip(name, shard, tmp_path):
    made = saved(tmp_path, name, shard=shard)
    assert (tmp_path / INDEX).exists() == (shard == 4000)
    found = read_checkpoint(tmp_path)
    again = found.transformer().eval()
    assert not unlike(found.config, made.config) and found.purpose == PURPOSE[name] and found.head() is None
    with torch.no_grad():
        given = batch(name, "right")
        assert torch.equal(again.logits(again(given)), made.logits(made(given)))
    again(given).sum().backward()


@pytest.mark.parametrize("crf", [False, True])
def test_a_tagger_keeps_its_chain(crf, tmp_path):
    """The scores of steps between labels lie beside the weights that transformers reads."""
    from transformers import AutoModelForTokenClassification

    made = Transformer.new(config("bert"), vocabulary=False)
    style = family_of("bert").style_of("tag", family_of("bert").whole({"model_type": "bert"}))
    head = ClassHead(16, 3, style, crf)
    head.initialize(1)
    if crf:
        head.crf.transitions.data.normal_()
    names = {"id2label": {0: "O", 1: "B-X", 2: "I-X"}}
    write_checkpoint(tmp_path, made, family="bert", purpose="tag", head=head, extra=names)
    again = read_checkpoint(tmp_path)
    assert again.purpose == "tag" and again.foreign["id2label"]["1"] == "B-X"
    assert all(torch.equal(tensor, again.head().state_dict()[name]) for name, tensor in head.state_dict().items())
    theirs, loading = AutoModelForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    assert set(loading["unexpected_keys"]) == ({"crf.transitions", "crf.first", "crf.last"} if crf else set())
    with torch.no_grad():
        ours = head.eval()(made.eval()(batch("bert")), batch("bert"))
        torch.testing.assert_close(theirs.eval()(batch("bert").tokens).logits, ours, atol=1e-5, rtol=1e-5)


def test_theirs_opens_our_shards(tmp_path):
    from transformers import AutoModelForMaskedLM

    made = saved(tmp_path, shard=4000)
    theirs, loading = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    tokens = batch("bert").tokens
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(tokens).logits, made.logits(made(batch("bert"))), atol=1e-5, rtol=1e-5)


def test_an_untied_t5_opens_everywhere(tmp_path):
    """Their config forgets that it is untied; the weights file says so."""
    from transformers import T5ForConditionalGeneration

    made = network("t5", feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    assert made.output.weight is not None and made.config.output_scale == 1.0
    write_checkpoint(tmp_path, made, family="t5", purpose="seq2seq")
    theirs, loading = T5ForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    given = batch("t5")
    with torch.no_grad():
        expected = made.logits(made(given))
        logits = theirs.eval()(input_ids=given.tokens, decoder_input_ids=given.target).logits
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        edit(tmp_path, tie_word_embeddings=True)
        again = read_checkpoint(tmp_path).transformer().eval()
        torch.testing.assert_close(again.logits(again(given)), expected, atol=1e-5, rtol=1e-5)


def test_dtype_is_kept_or_asked_for(tmp_path):
    write_checkpoint(tmp_path, network("llama").bfloat16(), family="llama", purpose="causal", extra={"eos_token_id": 2})
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    assert json.loads((tmp_path / "generation_config.json").read_text()) == {"eos_token_id": 2}
    asked = {"eos_token_id": 2, "pad_token_id": None}
    several = {"eos_token_id": [7, 2], "temperature": None}
    assert generation_config(asked, several) == {"eos_token_id": [7, 2]}  # any of them ends an answer
    assert generation_config(asked, {"eos_token_id": [7, 8]}) == {"eos_token_id": 2}
    assert read_checkpoint(tmp_path).tensors["embedding.weight"].dtype == torch.bfloat16
    assert read_checkpoint(tmp_path, dtype=torch.float32).tensors["embedding.weight"].dtype == torch.float32


def test_writing_again_leaves_no_old_shards(tmp_path):
    saved(tmp_path, shard=4000)
    saved(tmp_path)
    assert [file.name for file in tmp_path.glob("model*")] == ["model.safetensors"]


def classifier(folder, labels=3, **options):
    made = Transformer.new(config("bert"), vocabulary=False)
    head = ClassHead(16, labels, HeadStyle(dense="dense"))
    head.initialize(1)
    write_checkpoint(folder, made, family="bert", purpose="classify", head=head, **options)
    return made, head


def test_a_classifier_keeps_its_labels(tmp_path):
    _, head = classifier(tmp_path, extra={"id2label": {0: "是", 1: "no", 2: "?"}})
    found = read_checkpoint(tmp_path)
    assert found.foreign["id2label"] == {"0": "是", "1": "no", "2": "?"}
    assert found.foreign["label2id"] == {"是": 0, "no": 1, "?": 2}
    assert torch.equal(found.head().output.weight, head.output.weight)
    raised("P-MODEL-008", found.transformer, vocabulary=True)
    assert found.transformer().output is None


def test_a_masked_checkpoint_gives_its_body(tmp_path):
    saved(tmp_path)
    body = read_checkpoint(tmp_path).transformer(vocabulary=False)
    assert body.output is None


def test_what_cannot_be_written(tmp_path):
    raised("P-MODEL-022", saved, tmp_path, extra={"id2labels": {}})
    raised("P-MODEL-023", classifier, tmp_path, extra={"id2label": {0: "a"}})
    raised("P-MODEL-024", write_checkpoint, tmp_path, network("bert"), family="bert", purpose="classify")
    raised("P-MODEL-013", write_checkpoint, tmp_path, network("bert"), family="bert", purpose="causal")
    error = raised("P-MODEL-021", write_checkpoint, tmp_path, network("llama"), family="bert", purpose="masked")
    assert "encoder_layers" in error.text("en")
    error = raised("P-MODEL-021", write_checkpoint, tmp_path, network("bert"), family="modernbert", purpose="masked")
    assert "position='learned'" in error.text("en")
    assert not list(tmp_path.iterdir())


def test_unknown_family(tmp_path):
    saved(tmp_path)
    edit(tmp_path, model_type="brt")
    assert raised("P-MODEL-010", read_checkpoint, tmp_path).nearest == "bert"


@pytest.mark.parametrize(
    ("name", "key", "value", "code"),
    [
        ("bert", "architectures", ["BertForSong"], "P-MODEL-020"),
        ("roberta", "hidden_act", "relu", "P-MODEL-012"),
        ("bert", "quantization_config", {"bits": 4}, "P-MODEL-011"),
        ("bert", "hiden_size", 16, "P-MODEL-011"),
        ("bert", "hidden_act", "mish", "P-MODEL-012"),
        ("bert", "position_embedding_type", "relative_key", "P-MODEL-012"),
        ("bert", "num_attention_heads", 3, "P-MODEL-001"),
        ("llama", "rope_scaling", {"rope_type": "lineer", "factor": 2}, "P-MODEL-030"),
        ("llama", "rope_scaling", {"type": "longrope", "factor": 2}, "P-MODEL-030"),
        ("llama", "rope_parameters", {"rope_type": "yarn", "rope_theta": 1e4}, "P-MODEL-031"),
        ("llama", "rope_parameters", {"rope_type": "linear", "factor": 2, "partial_rotary_factor": 0.5}, "P-MODEL-011"),
        ("llama", "rope_parameters", {"rope_type": "linear", "factor": 0.5}, "P-MODEL-001"),
        ("llama", "rope_parameters", {"rope_type": "yarn", "factor": 4.0, "beta_fast": 0.5}, "P-MODEL-001"),
        ("llama", "rope_parameters", {"rope_type": "linear", "factor": "two"}, "P-MODEL-032"),
        ("llama", "hidden_size", "16", "P-MODEL-001"),
        ("llama", "hidden_size", 16.0, "P-MODEL-001"),
        ("llama", "rms_norm_eps", "1e-5", "P-MODEL-001"),
        ("llama", "rms_norm_eps", -1e-5, "P-MODEL-001"),
        ("llama", "tie_word_embeddings", "false", "P-MODEL-001"),
        ("llama", "head_dim", 0, "P-MODEL-001"),
        ("bilstm", "num_hidden_layers", True, "P-MODEL-001"),
        ("llama", "num_key_value_heads", 3, "P-MODEL-001"),
        ("mistral", "sliding_window", 0, "P-MODEL-001"),
        ("qwen2", "attention_bias", True, "P-MODEL-011"),
        ("qwen2", "use_sliding_window", False, "P-MODEL-012"),
        ("qwen3", "layer_types", ["sliding_attention"], "P-MODEL-012"),
        ("qwen3", "layer_types", ["full_attention", "linear_attention"], "P-MODEL-012"),
        ("gpt2", "n_ctx", 32, "P-MODEL-012"),
        ("gpt2", "scale_attn_by_inverse_layer_idx", True, "P-MODEL-012"),
        ("gpt_neox", "rope_parameters", {"rope_theta": 1e4, "partial_rotary_factor": 0.125}, "P-MODEL-001"),
        ("bloom", "apply_residual_connection_post_layernorm", True, "P-MODEL-012"),
        ("bloom", "n_embed", 32, "P-MODEL-012"),
        ("modernbert", "layer_types", ["sliding_attention"] * 3, "P-MODEL-012"),
        ("modernbert", "classifier_activation", "relu", "P-MODEL-012"),
        ("gpt_neox", "rope_parameters", {"rope_theta": 1e4, "partial_rotary_factor": 1.5}, "P-MODEL-001"),
        ("gpt_neox", "rope_parameters", {"rope_theta": 0, "partial_rotary_factor": 0.5}, "P-MODEL-001"),
        ("t5", "relative_attention_num_buckets", 3, "P-MODEL-001"),
        ("t5", "relative_attention_max_distance", 16, "P-MODEL-001"),
        ("t5", "feed_forward_proj", "gated-mish", "P-MODEL-012"),
        ("bart", "decoder_attention_heads", 4, "P-MODEL-012"),
        ("mbart", "decoder_ffn_dim", 16, "P-MODEL-012"),
        ("bart", "normalize_before", True, "P-MODEL-012"),
        ("marian", "share_encoder_decoder_embeddings", False, "P-MODEL-040"),
        ("marian", "decoder_vocab_size", 12, "P-MODEL-040"),
    ],
)
def test_nothing_in_a_config_is_ignored(name, key, value, code, tmp_path):
    saved(tmp_path, name)
    edit(tmp_path, **{key: value})
    assert raised(code, read_checkpoint, tmp_path)


def test_a_broken_folder_is_told(tmp_path):
    raised("P-FILE-001", read_checkpoint, tmp_path / "absent")
    raised("P-MODEL-015", read_checkpoint, tmp_path)
    saved(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    for broken in (b"", whole[:5], whole[:200], whole[:-10]):
        weights.write_bytes(broken)
        assert "model.safetensors" in raised("P-MODEL-018", read_checkpoint, tmp_path).text("zh")
    weights.unlink()
    raised("P-MODEL-016", read_checkpoint, tmp_path)
    (tmp_path / "model.pt").write_bytes(pickle.dumps({}))
    raised("P-MODEL-017", read_checkpoint, tmp_path)
    saved(tmp_path, shard=4000)
    next(tmp_path.glob("model-*.safetensors")).unlink()
    raised("P-MODEL-019", read_checkpoint, tmp_path)


def as_bins(folder, shards=1):
    """Turn a folder's safetensors into the files that torch.save makes."""
    tensors = read_tensors(folder)
    names = [f"pytorch_model-{i + 1:05}-of-{shards:05}.bin" for i in range(shards)] if shards > 1 else [OLD_FILE]
    for number, name in enumerate(names):
        part = {key: torch.nn.Parameter(t) for i, (key, t) in enumerate(tensors.items()) if i % shards == number}
        torch.save(part, folder / name)
    if shards > 1:
        places = {key: names[i % shards] for i, key in enumerate(tensors)}
        (folder / OLD_INDEX).write_text(json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("shards", [1, 2])
def test_old_files_are_read_and_safetensors_written(shards, tmp_path):
    made = saved(tmp_path)
    as_bins(tmp_path, shards)
    again = read_checkpoint(tmp_path).transformer()
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in made.state_dict().items())
    write_checkpoint(tmp_path, again, family="bert", purpose="masked")  # from now on these are preferred
    next(tmp_path.glob("pytorch_model*.bin")).write_bytes(b"broken")
    assert read_checkpoint(tmp_path).transformer()
    if shards == 2:
        (tmp_path / "model.safetensors").unlink()
        next(tmp_path.glob("pytorch_model-*.bin")).unlink()
        raised("P-MODEL-019", read_checkpoint, tmp_path)


class Unsafe:
    """What runs when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_unsafe_and_broken_old_files(tmp_path):
    saved(tmp_path)
    as_bins(tmp_path)
    whole, ran = (tmp_path / OLD_FILE).read_bytes(), tmp_path / "ran"
    for unsafe in ({"a": Unsafe(ran)}, {"a": torch.zeros(2), "b": Unsafe(ran)}, [1, 2], {"a": 3}):
        torch.save(unsafe, tmp_path / OLD_FILE)
        assert OLD_FILE in raised("P-MODEL-050", read_checkpoint, tmp_path).text("zh")
    (tmp_path / OLD_FILE).write_bytes(pickle.dumps(Unsafe(ran)))
    raised("P-MODEL-050", read_checkpoint, tmp_path)
    assert not ran.exists()
    for broken in (b"", whole[:100], whole[:-100]):
        (tmp_path / OLD_FILE).write_bytes(broken)
        with pytest.raises(ModelError, match="P-MODEL-0(18|50)"):
            read_checkpoint(tmp_path)


def test_all_names_that_do_not_fit_are_told_at_once(tmp_path):
    made = saved(tmp_path)
    table = family_of("bert").names(made.config, "masked")
    theirs = read_tensors(tmp_path)
    theirs["bert.strange"] = theirs.pop("bert.embeddings.LayerNorm.bias")
    theirs["cls.predictions.bias"] = torch.zeros(3)
    shapes = {name: tensor.shape for name, tensor in made.state_dict().items()}
    text = raised("P-MODEL-014", from_theirs, table, theirs, shapes).text("en")
    assert "- bert.embeddings.LayerNorm.bias" in text and "+ bert.strange" in text
    assert "≠ cls.predictions.bias (3,), not (41,)" in text


def test_stored_forms_are_undone_and_made():
    table = {"a.blocks.{i}.query": "h.{i}.c|transposed|0/2", "a.blocks.{i}.key": "h.{i}.c|transposed|1/2"}
    ours = {f"a.blocks.7.{part}.{leaf}": torch.randn(3, 5)[: 3 if leaf == "weight" else 1].squeeze(0)
            for part in ("query", "key") for leaf in ("weight", "bias")}  # fmt: skip
    theirs = to_theirs(table, ours)
    assert theirs["h.7.c.weight"].shape == (5, 6) and theirs["h.7.c.bias"].shape == (10,)
    again = from_theirs(table, theirs, {name: tensor.shape for name, tensor in ours.items()})
    assert all(torch.equal(again[name], ours[name]) for name in ours)
    del ours["a.blocks.7.key.bias"]
    raised("P-MODEL-014", to_theirs, table, ours)


def test_old_names_of_norms_are_read(tmp_path):
    from safetensors.torch import save_file

    saved(tmp_path)
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
           for name, tensor in read_tensors(tmp_path).items()}  # fmt: skip
    save_file({name: tensor.clone() for name, tensor in old.items()}, tmp_path / "model.safetensors")
    assert read_checkpoint(tmp_path).transformer()


def test_config_from_a_dict():
    yarn = {"rope_type": "yarn", "factor": 4.0}
    for made in (config("modernbert"), config("llama", rope_parameters=yarn)):
        assert ModelConfig.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert len(dataclasses.fields(ModelConfig)) <= 45
    error = raised("P-MODEL-002", ModelConfig.from_dict, {**made.to_dict(), "widht": 4, "hedas": 2})
    assert error.nearest == "width" and error.others[0].nearest == "heads"
    raised("P-MODEL-003", ModelConfig.from_dict, {"vocab_size": 3, "encoder_layers": 1})
    wrong = dict(vocab_size=0, width=10, heads=3, mlp_width=4, dropout=1.5, norm="batch", window=3)
    error = raised("P-MODEL-001", ModelConfig.from_dict, wrong)
    told = {e.field for e in [error, *error.others]}
    assert told == {"vocab_size", "encoder_layers", "dropout", "norm", "window_layers"}
    with pytest.raises(ModelError, match="must divide"):
        ModelConfig(5, 10, 3, 4, 1)


def test_every_family_is_a_file_with_a_name():
    assert {family.name for family in families().values()} == set(FAMILIES)


def test_older_spellings_of_decoders_are_read(tmp_path):
    """The first GPT-2 and BLOOM files leave out the root of the names, and their configs have other keys."""
    from safetensors.torch import save_file

    older = {"gpt2": {"n_positions": "n_ctx"}, "bloom": {"hidden_size": "n_embed", "n_head": "num_attention_heads"}}
    for name, keys in older.items():
        made = saved(tmp_path, name)
        bare = {key.removeprefix("transformer."): tensor.clone() for key, tensor in read_tensors(tmp_path).items()}
        save_file(bare, tmp_path / "model.safetensors")
        whole = json.loads((tmp_path / "config.json").read_text())
        edit(tmp_path, **{new: whole[old] for old, new in keys.items()}, **dict.fromkeys(keys, "REMOVED"))
        found = read_checkpoint(tmp_path)
        assert not unlike(found.config, made.config)
        assert all(torch.equal(tensor, found.tensors[key]) for key, tensor in made.state_dict().items())


def test_numbers_of_other_types(tmp_path):
    saved(tmp_path, "llama")
    whole = read_tensors(tmp_path)
    write_tensors(tmp_path, {name: t.bfloat16() if "q_proj" in name else t for name, t in whole.items()})
    assert {tensor.dtype for tensor in read_checkpoint(tmp_path).tensors.values()} == {torch.float32}
    write_tensors(tmp_path, whole | {"model.norm.weight": torch.ones(16, dtype=torch.int8)})
    assert "model.norm.weight int8" in str(raised("P-MODEL-014", read_checkpoint, tmp_path))


def test_old_files_that_are_damaged_or_hold_less_than_numbers(tmp_path):
    saved(tmp_path, "llama")
    whole = read_tensors(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    file = tmp_path / OLD_FILE
    for old in (True, False):
        torch.save(whole, file, _use_new_zipfile_serialization=not old)
        good, draw = file.read_bytes(), random.Random(0)
        for _ in range(60):
            broken = bytearray(good)
            for _ in range(4):
                broken[draw.randrange(min(len(broken), 3000))] = draw.randrange(256)
            file.write_bytes(broken)
            with contextlib.suppress(PenjingError):
                read_checkpoint(tmp_path)
    norm = "model.norm.weight"
    for strange in (whole[norm].to_sparse(), torch.ones(16, device="meta")):
        torch.save(whole | {norm: strange}, file)
        raised("P-MODEL-050", read_checkpoint, tmp_path)
    torch.save(whole | {norm: torch.ones(1).expand(16)}, file)
    assert read_checkpoint(tmp_path).tensors["decoder.final_norm.weight"].is_contiguous()
