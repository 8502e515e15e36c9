"""Prefix tuning, prompt tuning and p-tuning against PEFT: the same scores, and the same losses through ten steps."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import transformers as theirs
from networks import network as our_network
from peft import PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model

from penjing.base.errors import PenjingError
from penjing.base.files import read_json, write_json
from penjing.changes import change_named
from penjing.changes.change import Changes
from penjing.changes.peft import FILE, read_adapter, write_adapter
from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint
from penjing.model.families import family_of

LENGTH, TOKENS, LABELS, LAYERS = 4, 9, 3, 3  # an odd number: for T5 PEFT hands layer i the values of layer 2 i mod L
BERT = dict(
    vocab_size=41, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=32, num_labels=LABELS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip
LLAMA = dict(
    vocab_size=41, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=32, max_position_embeddings=32,
)  # fmt: skip
T5 = dict(
    vocab_size=41, d_model=16, d_kv=8, num_heads=2, d_ff=32, num_layers=LAYERS, dropout_rate=0.0,
    decoder_start_token_id=0, pad_token_id=0,
)  # fmt: skip
NETWORKS = {
    "bert": (theirs.BertForSequenceClassification, theirs.BertConfig, BERT, "SEQ_CLS"),
    "llama": (theirs.LlamaForCausalLM, theirs.LlamaConfig, LLAMA, "CAUSAL_LM"),
    "t5": (theirs.T5ForConditionalGeneration, theirs.T5Config, T5, "SEQ_2_SEQ_LM"),
}
KINDS = {  # PEFT's options, and ours
    "prefix": (PrefixTuningConfig, {}, "prefix", {}),
    "made prefix": (
        PrefixTuningConfig, {"prefix_projection": True, "encoder_hidden_size": 6}, "prefix", {"inner": 6},
    ),
    "prompt": (PromptTuningConfig, {}, "prompt", {"first": "prompt"}),
    "mlp": (PromptEncoderConfig, {"encoder_hidden_size": 6}, "ptuning", {"inner": 6, "first": "prompt"}),
    "lstm": (
        PromptEncoderConfig,
        {"encoder_hidden_size": 6, "encoder_reparameterization_type": "LSTM", "encoder_num_layers": 2,
         "encoder_dropout": 0.0},
        "ptuning", {"inner": 6, "kind": "lstm", "first": "prompt"},
    ),
}  # fmt: skip


def drawn():
    """Tokens, a mask with padding at the right, target, labels of texts and of target tokens."""
    generator = torch.Generator().manual_seed(3)
    tokens, target = (torch.randint(3, 41, (3, TOKENS), generator=generator) for _ in range(2))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[1, -2:] = mask[2, -4:] = False
    return tokens, mask, target


def their_scores(made, family):
    tokens, mask, target = drawn()
    if family == "bert" and made.active_peft_config.peft_type == "PREFIX_TUNING":
        # PEFT looks for an argument that transformers has renamed: what it would hand over is handed over here
        base, whole = made.get_base_model(), torch.cat([mask.new_ones(3, LENGTH), mask], 1)
        return base.classifier(base.bert(tokens, whole.long(), cache=made.get_prompt(3)).pooler_output)
    more = {"decoder_input_ids": target} if family == "t5" else {}
    return made(input_ids=tokens, attention_mask=mask.long(), **more).logits[:, -TOKENS:]


def our_scores(network, head, family):
    tokens, mask, target = drawn()
    batch = Batch(tokens, mask, target=target if family == "t5" else None)
    if family == "bert":
        return head(network(replace(batch, places=head.places(batch))), batch)
    return network.logits(network(batch))


def loss_of(scores, family):
    tokens, mask, target = drawn()
    if family == "bert":
        return F.cross_entropy(scores, torch.tensor([0, 2, 1]))
    read, real = (target, torch.ones_like(mask)) if family == "t5" else (tokens, mask)
    labels = torch.where(real, read, -100)[:, 1:]
    return F.cross_entropy(scores[:, :-1].flatten(0, 1), labels.flatten())


def taught(scores, family, parameters):
    """The losses of ten steps."""
    optimizer, losses = torch.optim.AdamW(parameters, lr=0.3), []
    for _ in range(10):
        optimizer.zero_grad()
        loss = loss_of(scores(), family)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def values(encoder, family):
    """PEFT's parameters under our names."""
    state = dict(encoder.named_parameters())
    names = {"embedding.weight": "table"}
    names |= {
        f"transform.{a}.{kind}": f"{b}.{kind}" for a, b in ((0, "down"), (2, "up")) for kind in ("weight", "bias")
    }
    if hasattr(encoder, "mlp_head"):
        products = [n for n, module in enumerate(encoder.mlp_head) if isinstance(module, torch.nn.Linear)]
        for ours, number in enumerate(products):
            names |= {f"mlp_head.{number}.{kind}": f"products.{ours}.{kind}" for kind in ("weight", "bias")}
    names |= {name: name.replace("lstm_head", "lstm") for name in state if name.startswith("lstm_head")}
    found = {names[name]: tensor.detach().clone() for name, tensor in state.items()}
    every = next((name for name in ("up.weight", "table") if name in found), None)
    if family == "t5" and type(encoder).__name__ == "PrefixEncoder":
        order = torch.arange(LAYERS) * 2 % LAYERS
        if every == "table":
            found["table"] = found["table"].view(LENGTH, LAYERS, -1)[:, order].flatten(1)
        else:
            for name in ("up.weight", "up.bias"):
                found[name] = found[name].unflatten(0, (LAYERS, -1))[order].flatten(0, 1)
    return found


def both_ways(place, family, made, changes, checkpoint, head, wanted):
    """What they saved is read by us with these scores, and what we write by them."""
    real = slice(None) if family != "llama" else drawn()[1]
    about, purpose = family_of(checkpoint.family), checkpoint.purpose
    made.save_pretrained(place / "theirs")
    network, fresh = checkpoint.transformer().eval(), checkpoint.head()
    read = Changes(network)
    read_adapter(place / "theirs", read, about, purpose, fresh)
    torch.testing.assert_close(our_scores(network, fresh, family)[real], wanted, atol=1e-5, rtol=1e-5)

    write_adapter(place / "ours", changes, about, purpose, head, str(place))
    again = PeftModel.from_pretrained(NETWORKS[family][0].from_pretrained(place).eval(), place / "ours").eval()
    torch.testing.assert_close(their_scores(again, family)[real], wanted, atol=1e-5, rtol=1e-5)
    read.drop()
    read_adapter(place / "ours", read, about, purpose, fresh)
    torch.testing.assert_close(our_scores(network, fresh, family)[real], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning")
@pytest.mark.parametrize("family", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_same_scores_and_same_losses(family, kind, tmp_path):
    cls, config, sizes, task = NETWORKS[family]
    torch.manual_seed(1)
    made = cls(config(**sizes)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter.normal_(float(parameter.dim() == 1 and name.endswith("weight")), 0.3)  # a norm's are near 1
    made.save_pretrained(tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    network, head = checkpoint.transformer().eval(), checkpoint.head()

    foreign, more, name, options = KINDS[kind]
    more = more | (
        {} if name == "prefix" else {"num_transformer_submodules": 1}
    )  # else T5 gets embeddings it never uses
    peft = get_peft_model(made, foreign(task_type=task, num_virtual_tokens=LENGTH, **more)).eval()
    encoder = peft.prompt_encoder["default"]
    if family != "bert":
        options = {key: value for key, value in options.items() if key != "first"}
    changes = Changes(network)
    changes.adopt([change_named(name, length=LENGTH, **options)], 0)
    stack = network.encoder if family == "bert" or (family == "t5" and name != "prefix") else network.decoder
    edit = stack.edits["0"]
    (edit if name == "prefix" else edit.vectors).load_state_dict(values(encoder, family))

    with torch.no_grad():
        real = slice(None) if family != "llama" else drawn()[1]
        found, expected = our_scores(network, head, family)[real], their_scores(peft, family)[real]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        both_ways(tmp_path, family, peft, changes, checkpoint, head, found)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    ours = taught(lambda: our_scores(network, head, family), family, trained)
    assert ours[-1] < ours[0] - 2e-3
    expected = taught(lambda: their_scores(peft, family), family, list(encoder.parameters()))
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(expected), atol=1e-4, rtol=1e-4)


def ours(family, name, **options):
    changes = Changes(our_network(family))
    changes.adopt([change_named(name, length=2, **options)], 0)
    return changes


@pytest.mark.parametrize(
    ("family", "purpose", "name", "options", "code"),
    [("bert", "classify", "prompt", {}, "P-CHANGE-096"), ("bert", "masked", "prompt", {"first": "prompt"}, "P-CHANGE-096"),
     ("t5", "seq2seq", "prefix", {}, "P-CHANGE-097"), ("llama", "causal", "prefix", {}, None)],
)  # fmt: skip
def test_what_their_form_cannot_hold(family, purpose, name, options, code, tmp_path):
    if code is None:
        return write_adapter(tmp_path / "adapter", ours(family, name, **options), family_of(family), purpose)
    with pytest.raises(PenjingError) as caught:
        write_adapter(tmp_path / "adapter", ours(family, name, **options), family_of(family), purpose)
    assert caught.value.code == code and not (tmp_path / "adapter").exists()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"num_virtual_tokens": 3}, "P-CHANGE-016"),
        ({"num_virtual_tokens": 0}, "P-FILE-004"),
        ({"num_virtual_tokens": None}, "P-FILE-004"),
        ({"num_virtual_tokens": 10_000}, "P-CHANGE-042"),
        ({"peft_type": "LORA"}, "P-CHANGE-016"),
        ({"cross": True}, "P-CHANGE-015"),
    ],
)
def test_a_folder_that_does_not_fit(changed, code, tmp_path):
    family = family_of("llama")
    write_adapter(tmp_path, ours("llama", "prompt"), family, "causal")
    about = read_json(tmp_path / "adapter_config.json")
    gone = {"peft_type": ("token_dim", "prompt_tuning_init", "num_layers", "num_attention_heads", "num_virtual_tokens",
                          "num_transformer_submodules")}.get(next(iter(changed)), ())  # fmt: skip
    write_json(tmp_path / "adapter_config.json", {k: v for k, v in (about | changed).items() if k not in gone})
    network = our_network("llama")
    with pytest.raises(PenjingError) as caught:
        read_adapter(tmp_path, Changes(network), family, "causal")
    assert caught.value.code == code and not hasattr(network.decoder, "edits")
    if code == "P-CHANGE-016":
        assert FILE in str(caught.value) and "prompt_embeddings" in str(caught.value)
