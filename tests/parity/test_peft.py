"""Adapters against PEFT on toy networks: theirs read by us, ours read by them, and ten steps of training in step."""

import peft
import pytest
import torch
import torch.nn.functional as F
from foreign import network as their_network
from foreign import texts
from safetensors.torch import load_file, save_file

from penjing.base.errors import PenjingError
from penjing.base.files import read_json, write_json
from penjing.changes import change_named
from penjing.changes.change import Changes
from penjing.changes.peft import CONFIG, FILE, read_adapter, write_adapter
from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint
from penjing.model.families import family_of
from penjing.model.size import fresh_config

CLOSE = dict(atol=1e-5, rtol=1e-5)
CASES = ("bert-masked", "bert-classify", "bert-base", "llama-causal", "gpt2-causal", "neox-causal", "t5-seq2seq")
TARGETS = {
    "bert": ["query", "value", "intermediate.dense"], "llama": ["q_proj", "v_proj", "down_proj"], "t5": ["q", "v", "wo"],
    "gpt2": ["c_attn", "mlp.c_proj"], "neox": ["query_key_value", "dense_4h_to_h"],
}  # fmt: skip
SCALED = {
    "bert": (["key", "value", "output.dense"], r".*layer\.\d\.output\.dense"), "llama": (["k_proj", "down_proj"], ["down_proj"]),
    "t5": (["k", "v", "wo"], ["wo"]), "gpt2": (["c_attn", "mlp.c_proj"], ["mlp.c_proj"]),
    "neox": (["query_key_value", "dense_4h_to_h"], ["dense_4h_to_h"]),
}  # fmt: skip
OURS = {
    "lora": ("lora", {"rank": 3, "alpha": 7.0, "rslora": True}), "everywhere": ("lora", {"rank": 2, "where": "blocks.*"}),
    "dora": ("lora", {"rank": 2, "dora": True, "where": "query|value|mlp.*"}), "pissa": ("lora", {"rank": 2, "start": "pissa"}),
    "norms": ("lora", {"rank": 2, "whole": ".*norm"}), "ia3": ("ia3", {}),
}  # fmt: skip


def their_config(kind, case):
    family = case.partition("-")[0]
    stored = {"fan_in_fan_out": family == "gpt2"}
    if kind == "ia3":
        return peft.IA3Config(target_modules=SCALED[family][0], feedforward_modules=SCALED[family][1], **stored)
    more = {
        "lora": {},
        "dora": {"use_dora": True},
        "pissa": {"init_lora_weights": "pissa"},
        "rslora": {"use_rslora": True},
    }
    return peft.LoraConfig(r=3, lora_alpha=5, target_modules=TARGETS[family], **more[kind], **stored)


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    their_network(request.param).save_pretrained(folder)
    return request.param, folder


def theirs_of(folder, case):
    return type(their_network(case)).from_pretrained(folder).eval()


def ours_of(folder):
    found = read_checkpoint(folder)
    return found, found.transformer().eval(), found.head()


def shaken(parameters, size=0.2):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)


def their_scores(made, tokens):
    target = {"decoder_input_ids": tokens} if made.config.is_encoder_decoder else {}
    found = made(input_ids=tokens, **target)
    return found.last_hidden_state if "last_hidden_state" in found and "logits" not in found else found.logits


def our_scores(network, head, tokens):
    batch = Batch(tokens, target=tokens if network.encoder is not None and network.decoder is not None else None)
    if head is not None:
        return head.eval()(network(batch), batch)
    return network(batch) if network.output is None else network.logits(network(batch))


@pytest.mark.parametrize("kind", ["lora", "dora", "pissa", "rslora", "ia3"])
def test_theirs_read_by_us_and_trained_in_step(pair, kind, tmp_path):
    """And what we write of it they read with the same scores again."""
    case, folder = pair
    if kind in ("dora", "pissa") and case in ("gpt2-causal", "neox-causal"):
        kind = "lora"
    torch.manual_seed(0)
    made = peft.get_peft_model(theirs_of(folder, case), their_config(kind, case))
    shaken(made.parameters(), 0.02)
    made.save_pretrained(tmp_path / "theirs")
    found, network, head = ours_of(folder)
    changes, family = Changes(network), family_of(found.family)
    read_adapter(tmp_path / "theirs", changes, family, found.purpose, head)
    tokens, _ = texts("none")
    torch.testing.assert_close(our_scores(network, head, tokens), their_scores(made, tokens), **CLOSE)

    fused = case in ("gpt2-causal", "neox-causal") and kind != "ia3"  # their A is one for three of ours
    losses = [in_steps(made, lambda: their_scores(made.eval(), tokens))]
    losses.append(in_steps(network, lambda: our_scores(network, head, tokens)))
    if not fused:
        torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), atol=1e-4, rtol=1e-4)

    write_adapter(tmp_path / "ours", changes, family, found.purpose, head, str(folder))
    again = peft.PeftModel.from_pretrained(theirs_of(folder, case), tmp_path / "ours").eval()
    torch.testing.assert_close(their_scores(again, tokens), our_scores(network.eval(), head, tokens), **CLOSE)


def in_steps(model, scores):
    """Ten steps on a loss that any scores have."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = F.log_softmax(scores(), -1)[..., 0].mean().neg()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] != losses[-1]
    return losses


@pytest.mark.parametrize("kind", OURS)
def test_ours_read_by_them(pair, kind, tmp_path):
    case, folder = pair
    found, network, head = ours_of(folder)
    name, options = OURS[kind]
    changes, family = Changes(network), family_of(found.family)
    changes.adopt([change_named(name, **options)], 1)
    shaken(network.parameters())
    with torch.no_grad():
        for parameter in () if head is None else head.output.parameters():
            parameter.add_(0.3)
    tokens, _ = texts("none")
    scores = our_scores(network, head, tokens)
    write_adapter(tmp_path, changes, family, found.purpose, head, str(folder))
    again = peft.PeftModel.from_pretrained(theirs_of(folder, case), tmp_path).eval()
    torch.testing.assert_close(their_scores(again, tokens), scores, **CLOSE)

    _, network, head = ours_of(folder)
    read = Changes(network)
    read_adapter(tmp_path, read, family, found.purpose, head)
    torch.testing.assert_close(our_scores(network.eval(), head, tokens), scores, **CLOSE)
    read.drop()
    assert all(torch.equal(t, network.state_dict()[n]) for n, t in ours_of(folder)[1].state_dict().items())


def test_an_adapter_for_another_base_names_all_that_does_not_fit(tmp_path):
    their_network("llama-causal").save_pretrained(tmp_path / "base")
    found, network, _ = ours_of(tmp_path / "base")
    changes, family = Changes(network), family_of(found.family)
    changes.adopt([change_named("lora", rank=2)], 1)
    write_adapter(tmp_path / "adapter", changes, family, found.purpose)
    file = tmp_path / "adapter" / FILE
    tensors = load_file(file)
    first, second = sorted(tensors)[:2]
    tensors[first], tensors["base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"] = (
        torch.ones(2, 9),
        torch.ones(1, 1),
    )
    del tensors[second]
    save_file(tensors, file)
    network = ours_of(tmp_path / "base")[1]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(PenjingError) as caught:
        read_adapter(tmp_path / "adapter", Changes(network), family, found.purpose)
    text = str(caught.value)
    assert caught.value.code == "P-CHANGE-016"
    assert all(part in text for part in ("(2, 9), not (2, 32)", "layers.9", "- model.layers.0.self_attn.q_proj.lora_B"))
    assert network.state_dict().keys() == state.keys()


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"peft_type": "LOHA"}, "P-CHANGE-014"), ({"use_qalora": True}, "P-CHANGE-015"), ({"bias": "all"}, "P-CHANGE-015"),
     ({"init_lora_weights": "olora"}, "P-CHANGE-017")],
)  # fmt: skip
def test_what_we_do_not_know_is_refused(changed, code, tmp_path):
    their_network("llama-causal").save_pretrained(tmp_path / "base")
    found, network, _ = ours_of(tmp_path / "base")
    changes, family = Changes(network), family_of(found.family)
    changes.adopt([change_named("lora", rank=2)], 1)
    write_adapter(tmp_path / "adapter", changes, family, found.purpose)
    write_json(tmp_path / "adapter" / CONFIG, read_json(tmp_path / "adapter" / CONFIG) | changed)
    with pytest.raises(PenjingError) as caught:
        read_adapter(tmp_path / "adapter", Changes(ours_of(tmp_path / "base")[1]), family, found.purpose)
    assert caught.value.code == code


def their_adapter(case, place, **options):
    """A folder with an adapter on a toy network, and one with the network."""
    their_network(case).save_pretrained(place / "base")
    torch.manual_seed(0)
    made = peft.get_peft_model(theirs_of(place / "base", case), peft.LoraConfig(r=3, lora_alpha=5, **options))
    shaken(made.parameters())
    made.save_pretrained(place / "adapter")
    return made


def read_theirs(place):
    found, network, head = ours_of(place / "base")
    read_adapter(place / "adapter", Changes(network), family_of(found.family), found.purpose, head)
    return our_scores(network, head, texts("none")[0])


def refused(place):
    with pytest.raises(PenjingError) as caught:
        read_theirs(place)
    return caught.value


@pytest.mark.parametrize(
    "options",
    [{"layers_to_transform": [1]}, {"target_modules": "all-linear"}, {"target_modules": r".*layers\.0.*(q|k)_proj"},
     {"exclude_modules": ["layers.0.self_attn.q_proj"]}, {"modules_to_save": ["lm_head"]},
     {"modules_to_save": ["mlp"]}, {"modules_to_save": ["embed_tokens"]},
     {"rank_pattern": {"q_proj": 2, "^model.layers.1.self_attn.v_proj": 5}, "use_rslora": True,
      "alpha_pattern": {"layers.0.self_attn.v_proj": 9, r".*1.*q_proj": 2}}],
)  # fmt: skip
def test_keys_that_choose_modules_are_honoured(options, tmp_path):
    made = their_adapter("llama-causal", tmp_path, **{"target_modules": ["q_proj", "v_proj"], **options})
    made.eval()
    torch.testing.assert_close(read_theirs(tmp_path), their_scores(made, texts("none")[0]), **CLOSE)


@pytest.mark.parametrize(
    ("lost", "options"),
    [
        ("v_proj", {}),
        ("layers.1", {}),
        ("lm_head", {"modules_to_save": ["lm_head"]}),
        ("magnitude", {"use_dora": True}),
    ],
)
def test_an_adapter_that_lacks_what_its_config_says(lost, options, tmp_path):
    their_adapter("llama-causal", tmp_path, target_modules=["q_proj", "v_proj"], **options)
    file = tmp_path / "adapter" / FILE
    save_file({name: tensor for name, tensor in load_file(file).items() if lost not in name}, file)
    error = refused(tmp_path)
    assert error.code == "P-CHANGE-016" and "- " in str(error) and lost in str(error)


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"use_dora": False}, "P-CHANGE-016"), ({"lora_alpha": None}, "P-FILE-004"), ({"r": 0}, "P-FILE-004"),
     ({"rank_pattern": [1]}, "P-FILE-004"), ({"alpha_pattern": {"(": 1}}, "P-FILE-004"), ({"lora_dropout": "x"}, "P-FILE-004"),
     ({"peft_type": "IA3", "use_dora": False, "lora_bias": None}, "P-CHANGE-016")],
)  # fmt: skip
def test_a_config_that_is_odd_or_says_something_else_than_its_tensors(changed, code, tmp_path):
    their_adapter("llama-causal", tmp_path, target_modules=["q_proj"], use_dora=True)
    file = tmp_path / "adapter" / CONFIG
    about = read_json(file)
    if changed.get("peft_type") == "IA3":
        about = {key: about[key] for key in ("target_modules", "base_model_name_or_path")}
    if changed.get("r") == 0:
        about |= {"use_dora": True}
        save_file(
            {n: t[:0] if "lora_A" in n else t[:, :0].contiguous() if "lora_B" in n else t
             for n, t in load_file(tmp_path / "adapter" / FILE).items()}, tmp_path / "adapter" / FILE)  # fmt: skip
    write_json(file, about | changed)
    assert refused(tmp_path).code == code


@pytest.mark.parametrize(
    ("case", "target", "options", "ours"),
    [("gpt2-causal", "c_attn", {"modules_to_save": ["wte"]}, None),  # we write that the head uses it too
     ("t5-seq2seq", "q", {"modules_to_save": ["shared"]}, {"whole": "embedding"}),
     ("t5-seq2seq", "shared", {}, {"where": "embedding"})],
)  # fmt: skip
def test_what_stands_in_several_of_their_modules_is_refused(case, target, options, ours, tmp_path):
    """They change one of the places, and we would change all."""
    their_adapter(case, tmp_path, target_modules=[target], fan_in_fan_out=case == "gpt2-causal", **options)
    assert refused(tmp_path).code == "P-CHANGE-060"
    if ours is None:
        return
    found, network, _ = ours_of(tmp_path / "base")
    changes = Changes(network)
    changes.adopt([change_named("lora", rank=2, **ours)], 1)
    with pytest.raises(PenjingError) as caught:
        write_adapter(tmp_path / "ours", changes, family_of(found.family), found.purpose)
    assert caught.value.code == "P-CHANGE-060" and not (tmp_path / "ours").exists()


def test_what_their_form_cannot_hold_is_refused(tmp_path):
    their_network("llama-causal").save_pretrained(tmp_path / "base")
    for wanted, code in [
        ([("lora", {}), ("ia3", {})], "P-CHANGE-011"), ([("freeze", {})], "P-CHANGE-011"),
        ([("lora", {"whole": "query"})], "P-CHANGE-013"),
    ]:  # fmt: skip
        found, network, _ = ours_of(tmp_path / "base")
        changes = Changes(network)
        changes.adopt([change_named(name, **options) for name, options in wanted], 1)
        with pytest.raises(PenjingError) as caught:
            write_adapter(tmp_path / "adapter", changes, family_of(found.family), found.purpose)
        assert caught.value.code == code and not (tmp_path / "adapter").exists()
    network = family_of("lstm").network.new(
        fresh_config("lstm", vocab_size=40, width=16, layers=1, max_tokens=32, purpose="causal")
    )
    changes = Changes(network)
    changes.adopt([change_named("lora")], 1)
    with pytest.raises(PenjingError) as caught:
        write_adapter(tmp_path / "adapter", changes, family_of("lstm"), "causal")
    assert caught.value.code == "P-CHANGE-012"
