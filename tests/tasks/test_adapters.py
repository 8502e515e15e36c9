"""Adapters of whole models: saved apart, read onto their base, several on one base."""

import copy

import numpy as np
import pytest
import torch
from toys import TEXTS, teach, toy_model, toy_task

from penjing.base.errors import ModelError, OptionError
from penjing.base.files import read_json, write_json
from penjing.changes import changes_of
from penjing.changes.peft import CONFIG
from penjing.tasks.adapters import Adapters, load_adapter, save_adapter
from penjing.tasks.model import Model


def taught(base, changes, seed, steps=8):
    model = base.with_task(toy_task("classify"), seed).adapt(changes_of(changes), seed)
    torch.manual_seed(seed)
    teach(model, steps, 3e-2)
    return model.eval()


@pytest.fixture
def base(tmp_path):
    model = toy_model("masked", "bert", seed=4)
    model.save(tmp_path / "base")
    return Model.load(tmp_path / "base")


def test_an_adapter_is_a_folder_of_its_own(base, tmp_path):
    ahead = ({"prefix": {"length": 3}}, {"ptuning": {"length": 3, "first": "prompt"}})
    for number, changes in enumerate(
        ("lora", {"ia3": {}}, {"lora": {"start": "pissa", "whole": "embedding_norm"}}, *ahead)
    ):
        model = taught(base, changes, 1)
        place = tmp_path / f"adapter{number}"
        save_adapter(model, place, tmp_path / "base")
        again = Model.load(place)
        assert again.task == model.task and again.window == model.window
        np.testing.assert_allclose(again.probabilities(TEXTS[:9]), model.probabilities(TEXTS[:9]), atol=1e-6)
        assert (
            sum(file.stat().st_size for file in place.iterdir())
            < (tmp_path / "base" / "model.safetensors").stat().st_size
        )


def test_an_adapter_put_on_a_model_at_rest_drops_nothing(base, tmp_path):
    save_adapter(taught(base, {"lora": {"dropout": 0.5}}, 1), tmp_path / "adapter", tmp_path / "base")
    model = load_adapter(base.with_task(toy_task("classify"), 1).eval(), tmp_path / "adapter")
    assert not any(module.training for module in model.modules())


def test_the_tokenizer_and_templates_in_an_adapters_folder_count(base, tmp_path):
    place = tmp_path / "adapter"
    save_adapter(taught(base, "lora", 1), place, tmp_path / "base")
    plain = Model.load(place).tokenizer
    (place / "chat_template.jinja").write_text("{{ messages[0].content }}", encoding="utf-8")
    assert Model.load(place).tokenizer.templates == {"default": "{{ messages[0].content }}"} != plain.templates
    other = copy.copy(plain)
    other.config = plain.config | {"chat_template": "of its own"}
    (place / "chat_template.jinja").unlink()
    other.save(place)
    again = Model.load(place).tokenizer
    assert again.templates == {"default": "of its own"} and again.size == plain.size
    more = copy.deepcopy(other.inner)
    more.add_tokens([f"more{number}" for number in range(base.network.config.vocab_size)])
    more.save(str(place / "tokenizer.json"))
    with pytest.raises(ModelError) as caught:
        Model.load(place)
    assert caught.value.code == "P-TASK-004"


def test_the_base_may_lie_beside_it(base, tmp_path):
    save_adapter(taught(base, "lora", 1), tmp_path / "adapter", "../base")
    assert Model.load(tmp_path / "adapter").changes
    write_json(
        tmp_path / "adapter" / CONFIG, read_json(tmp_path / "adapter" / CONFIG) | {"base_model_name_or_path": None}
    )
    with pytest.raises(ModelError) as caught:
        Model.load(tmp_path / "adapter")
    assert caught.value.code == "P-CHANGE-019"


def test_several_adapters_on_one_base(base, tmp_path):
    changes = {"a": "lora", "b": {"lora": {"rank": 2, "whole": "embedding_norm"}}, "c": "ia3"}
    wanted = {}
    for seed, (name, change) in enumerate(changes.items()):
        model = taught(base, change, seed)
        save_adapter(model, tmp_path / name)
        wanted[name] = model.probabilities(TEXTS[:9])
    served = base.with_task(toy_task("classify"), 9).eval()
    alone = served.probabilities(TEXTS[:9])
    before = copy.deepcopy(served.state_dict())
    pointers = {name: p.data_ptr() for name, p in served.named_parameters()}
    adapters = Adapters(served)
    for name in changes:
        adapters.load(name, tmp_path / name)
    assert adapters.names == ["a", "b", "c"] and adapters.name == "c"
    for name in ("a", "c", "b", "a", "a"):
        np.testing.assert_allclose(adapters.use(name).probabilities(TEXTS[:9]), wanted[name], atol=1e-6)
    with pytest.raises(OptionError) as caught:
        adapters.use("d")
    assert caught.value.code == "P-OPTION-004" and adapters.name == "a"
    assert np.array_equal(adapters.use(None).probabilities(TEXTS[:9]), alone)
    assert all(torch.equal(tensor, before[name]) for name, tensor in served.state_dict().items())
    assert pointers == {name: p.data_ptr() for name, p in served.named_parameters()}


def test_an_adapter_goes_on_learning(base, tmp_path):
    model = taught(base, "lora", 1)
    save_adapter(model, tmp_path / "adapter", tmp_path / "base")
    again = load_adapter(base.with_task(toy_task("classify"), 9), tmp_path / "adapter")
    trained = {name for name, parameter in again.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    teach(again, 2)


def test_finetune_leaves_the_adapter_beside_the_model(base, tmp_path):
    from toys import RECORDS

    from penjing.base.records import write_records
    from penjing.recipe.stages.finetune import finetune

    (tmp_path / "data").mkdir()
    write_records(tmp_path / "data" / "train.jsonl", RECORDS)
    result = finetune(
        tmp_path / "out", data=tmp_path / "data", model=tmp_path / "base", change=[{"lora": {"rank": 2}}], steps=3,
        measure_seconds=0, threads=1, dtype="float32", validate_times=0, baselines=False,
    )  # fmt: skip
    assert result["trained"] < result["parameters"] / 4
    found = [Model.load(tmp_path / "out" / name).probabilities(TEXTS[:9]) for name in ("model", "adapter")]
    np.testing.assert_allclose(*found, atol=1e-6)
    assert read_json(tmp_path / "out" / "adapter" / CONFIG)["base_model_name_or_path"] == "../../base"
