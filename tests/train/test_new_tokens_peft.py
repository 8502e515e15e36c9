"""New tokens beside LoRA as an adapter in PEFT's form: PEFT makes rows for them by the tokenizer that lies there, the head
may use the same rows, and scores are equal there and here."""

import peft
import pytest
import torch
from toys import toy_model, toy_task
from transformers import AutoModelForCausalLM

from penjing.base.files import read_json, write_json
from penjing.changes import changes_of
from penjing.changes.peft import CONFIG
from penjing.model.batch import Batch
from penjing.model.size import fresh_config
from penjing.recipe.learning import adapter_beside
from penjing.tasks.adapters import load_adapter
from penjing.tasks.model import Model
from penjing.train.new_tokens import check_learnt, with_new_tokens

WORDS = ["<order>", "treebox"]
CASES = {  # the base, what is trained whole, and who reads it there
    "bert, classes": (("masked", "bert", False), "embedding", peft.AutoPeftModelForSequenceClassification),
    "llama, a head of its own": (("causal", "llama", False), "embedding|output", peft.AutoPeftModelForCausalLM),
    "llama, tied": (("causal", "llama", True), "embedding", peft.AutoPeftModelForCausalLM),
    "gpt2, tied": (("causal", "gpt2", True), "embedding", peft.AutoPeftModelForCausalLM),
}


def base_of(name, family, tied, spare=0):
    """A base of so many spare rows."""
    task = toy_task(name)
    cutter = toy_model(name, family).tokenizer
    config = fresh_config(family, vocab_size=cutter.size + spare, width=32, layers=1, heads=2, max_tokens=64,
                          purpose=task.purpose, pad=cutter.pad, **({"tied": tied} if family == "llama" else {}))  # fmt: skip
    return Model.new(config, family, task, cutter, 0)


def learnt(folder, case, spare=0):
    """A base in a folder, and a model on it that knows new tokens and was trained."""
    kind, whole, _ = CASES[case]
    base = base_of(*kind, spare=spare)
    base.save(folder)
    model = with_new_tokens(Model.load(folder), WORDS)
    model = model.with_task(toy_task("classify") if kind[1] == "bert" else base.task, 0)
    model.adapt(changes_of({"lora": {"rank": 2, "whole": whole}}), 1)
    check_learnt(model)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model.eval()


def scores(model, tokens):
    """Ours."""
    batch = Batch(tokens, mask=torch.ones_like(tokens, dtype=torch.bool))
    with torch.no_grad():
        hidden = model.network(batch)
        return model.network.logits(hidden) if model.head is None else model.head(hidden, batch)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")  # they would be trained apart there
@pytest.mark.parametrize(("case", "spare"), [(case, 0) for case in CASES] + [("llama, tied", 64)])
def test_they_are_read_there_and_here(case, spare, tmp_path):
    model = learnt(tmp_path / "base", case, spare)
    adapter_beside(model, tmp_path / "base", tmp_path / "adapter", new_tokens=True)
    about = read_json(tmp_path / "adapter" / CONFIG)
    assert ("lm_head" in about["modules_to_save"]) == ("llama" in case or "gpt2" in case)
    tokens = torch.tensor([model.tokenizer.build(model.tokenizer.encode("the treebox <order> was late"))])
    assert int(tokens.max()) == model.tokenizer.size - 1, "a new token is among them"
    about["base_model_name_or_path"] = str(tmp_path / "base")  # for PEFT a path counts from where it runs
    write_json(tmp_path / "adapter" / CONFIG, about)
    theirs = CASES[case][2].from_pretrained(tmp_path / "adapter").eval()
    with torch.no_grad():
        found = theirs(input_ids=tokens).logits
    wanted = scores(model, tokens)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    again = Model.load(tmp_path / "adapter").eval()
    assert again.tokenizer.size == model.tokenizer.size
    torch.testing.assert_close(scores(again, tokens), wanted, atol=1e-6, rtol=1e-6)


def test_a_table_that_they_tie_is_one_here(tmp_path):
    base_of("causal", "llama", True).save(tmp_path / "base")
    torch.manual_seed(0)
    said = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)
    made = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), said).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    made.save_pretrained(tmp_path / "theirs")
    model = load_adapter(Model.load(tmp_path / "base"), tmp_path / "theirs").eval()
    tokens = torch.tensor([model.tokenizer.encode("the tree box was late")])
    with torch.no_grad():
        torch.testing.assert_close(scores(model, tokens), made(input_ids=tokens).logits, atol=1e-5, rtol=1e-5)
