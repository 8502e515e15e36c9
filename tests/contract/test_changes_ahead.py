"""What stands before a text: seen by all its tokens, by nothing else, and the same in one reading and step by step."""

import copy
from dataclasses import replace

import pytest
import torch
from networks import CROSSED, DECODERS, batch, network
from toys import RECORDS, TEXTS, teach, toy_model

from penjing.base.errors import PenjingError
from penjing.base.records import write_records
from penjing.changes import change_named, changes_of
from penjing.changes.change import Changes
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.generate.scheduler import Request, Scheduler
from penjing.model.batch import Batch
from penjing.model.pooling import text_states
from penjing.recipe.stages.finetune import finetune
from penjing.tasks.model import Model

CLOSE = dict(atol=1e-5, rtol=1e-5)
GREEDY = GenerateOptions(max_new_tokens=12, temperature=0.0)
WRITERS = [name for name in DECODERS if name != "lstm"]
READERS = ("bert", "roberta", "distilbert", "electra", "modernbert")
KINDS = {
    "prefix": {"length": 3},
    "prompt": {"length": 3},
    "ptuning": {"length": 3, "inner": 5, "kind": "lstm"},
}


def changed(family, *names, **config):
    changes = Changes(network(family, **config))
    changes.adopt([change_named(name, **KINDS[name]) for name in names], 1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in changes.network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    return changes


STACKS = [("prefix",), ("ptuning",), ("prefix", "prompt"), ("prompt", "prefix", "prefix")]


@pytest.mark.parametrize("family", WRITERS)
@pytest.mark.parametrize("names", STACKS, ids="+".join)
def test_steps_say_what_one_reading_says(family, names):
    """Rows of different lengths, with a common beginning, longer than windows; one row, and rows that are moved."""
    base = changed(family, *names).network
    prompts = [[7] * 9 + [5 + row] * (1 + 3 * row) for row in range(3)]
    with torch.no_grad():
        for asked in (prompts, prompts[1:2]):
            for prompt, (answer,) in zip(asked, complete(base, asked, GREEDY), strict=True):
                begin = [base.config.decoder_start] if family in CROSSED else prompt
                text = torch.tensor([begin + answer.tokens])
                given = Batch(torch.tensor([prompt]), target=text) if family in CROSSED else Batch(text)
                scores = base.logits(base(given))[0, len(begin) - 1 : -1].log_softmax(-1)
                assert scores.argmax(-1).tolist() == answer.tokens
                found = torch.tensor(answer.log_probabilities)
                torch.testing.assert_close(scores.amax(-1), found, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", [*READERS, "gpt2", "llama", "mistral", "qwen2", "bloom", "gpt_neox"])
@pytest.mark.parametrize("names", STACKS, ids="+".join)
@torch.no_grad()
def test_padding_and_places_change_nothing(family, names):
    base = changed(family, *names).network
    whole = base(batch(family))
    for side in ("left", "right"):
        given = batch(family, side)
        hidden = base(given)
        assert hidden.shape == whole.shape
        for row, real in enumerate(given.mask):
            alone = base(Batch(given.tokens[row : row + 1, real]))
            torch.testing.assert_close(hidden[row, real], alone[0], **CLOSE)
        places = torch.stack([real.nonzero()[[0, 3, -1], 0] for real in given.mask])
        asked = base(replace(given, places=places))
        torch.testing.assert_close(
            asked, hidden.gather(1, places[:, :, None].expand(-1, -1, hidden.shape[-1])), **CLOSE
        )
        for pooling in ("mean", "max", "first", "last"):
            rows = [
                text_states(base, Batch(given.tokens[i : i + 1, real]), pooling) for i, real in enumerate(given.mask)
            ]
            torch.testing.assert_close(text_states(base, given, pooling), torch.cat(rows), **CLOSE)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "qwen2", "bloom", "bert", "modernbert"])
@torch.no_grad()
def test_a_prompt_is_a_text_of_embeddings(family):
    """Its states aside, all is as if its vectors were the embeddings of the first tokens."""
    changes = changed(family, "prompt")
    base, given = changes.network, batch(family)
    found = base(given)
    path = "encoder" if base.decoder is None else "decoder"
    vectors = base.get_submodule(path).edits["0"].vectors()
    changes.drop()
    embedded = torch.cat([vectors.expand(3, -1, -1), base.embedding(given.tokens)], 1)
    torch.testing.assert_close(base.get_submodule(path)(embedded)[:, 3:], found, **CLOSE)


@torch.no_grad()
def test_a_head_may_read_the_prompt_instead_of_the_first_token():
    changes = Changes(network("bert"))
    changes.adopt([change_named("prompt", length=3, first="prompt")], 1)
    base, given = changes.network, batch("bert", "left")
    hidden, vectors = base(given), base.encoder.edits["0"].vectors()
    first = given.mask.long().argmax(1, keepdim=True)
    asked = base(replace(given, places=first))
    changes.drop()
    for row, real in enumerate(given.mask):
        x = torch.cat([vectors[None], base.embedding(given.tokens[row : row + 1, real])], 1)
        states = base.encoder(x)[0]
        expected = torch.cat([states[:1], states[4:]])
        torch.testing.assert_close(hidden[row, real], expected, **CLOSE)
        torch.testing.assert_close(asked[row], states[:1], **CLOSE)


def test_what_training_alone_needs_is_dropped():
    """Before and after: the same answers, from fewer parameters; saved, it is a plain prefix or prompt."""
    for names, plain in ((["prefix"], {"length": 4, "inner": None}), (["ptuning"], {"length": 4}), (["prompt"], {})):
        options = {"prefix": {"inner": 8}, "ptuning": {"inner": 8}}.get(names[0], {})
        model = toy_model("classify", "bert").adapt([change_named(names[0], length=4, **options)], 1)
        teach(model, 4)
        before = model.probabilities(TEXTS[:4])
        size = sum(p.numel() for p in model.changes.network.parameters() if p.requires_grad)
        model.changes.finish()
        assert abs(model.probabilities(TEXTS[:4]) - before).max() < 1e-6
        left = sum(p.numel() for p in model.changes.network.parameters() if p.requires_grad)
        assert left < size if plain else left == size
        ((name, record),) = model.changes.records()[0].items()
        assert name == ("prompt" if names == ["ptuning"] else names[0]) and plain.items() <= record.items()


def test_finishing_keeps_the_order_of_changes():
    changes = changed("llama", "ptuning", "prefix")
    given = batch("llama", "left")
    with torch.no_grad():
        before = changes.network(given)
        changes.finish()
        torch.testing.assert_close(changes.network(given)[given.mask], before[given.mask], **CLOSE)
    assert list(changes.network.decoder.edits) == ["0", "1"]


@pytest.mark.parametrize("name", KINDS)
def test_the_longest_text_is_shorter(name, tmp_path):
    """By as many tokens as stand before it: when texts are cut, when tokens are written, when they are told."""
    model = toy_model("causal", "llama").adapt([change_named(name, length=10)], 1)
    assert model.window == model.network.max_tokens == 54
    (answer,) = complete(model.network, [[5] * 50], GenerateOptions(max_new_tokens=99, temperature=0.0))[0]
    assert len(answer.tokens) == 5 and answer.reason == "length"
    with pytest.raises(PenjingError) as caught:
        complete(model.network, [[5] * 55], GREEDY)
    assert caught.value.code == "P-GENERATE-007" and caught.value.values["most"] == 54
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert again.window == 54
    again.changes.drop()
    assert again.window == 64


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("name", KINDS)
def test_a_text_without_room_is_told(family, name):
    base = changed(
        family, name, **{"bert": {"max_position_embeddings": 20}, "gpt2": {"n_positions": 20}}[family]
    ).network
    assert base.max_tokens == 17
    base(Batch(torch.full((1, 17), 5)))
    with pytest.raises(PenjingError) as caught:
        base(Batch(torch.full((1, 18), 5)))
    assert caught.value.code == "P-MODEL-005" and caught.value.given == 18 and caught.value.values["most"] == 17


def test_where_positions_have_no_end_nothing_is_taken():
    assert changed("t5", "prefix").network.max_tokens == network("t5").max_tokens


def test_a_prompt_starts_from_words():
    model = toy_model("classify", "bert")
    plain = copy.deepcopy(model.network.embedding.weight.detach())
    model.adapt(changes_of({"prompt": {"length": 5, "words": "tree box"}}), 1)
    numbers = model.tokenizer.encode("tree box")
    assert torch.equal(model.network.encoder.edits["0"].vectors(), plain[(numbers * 5)[:5]])
    assert model.changes.records()[0]["prompt"]["words"] == "tree box"
    with pytest.raises(PenjingError) as caught:
        Changes(network("bert")).adopt(changes_of({"prompt": {"words": "tree"}}), 1)
    assert caught.value.code == "P-CHANGE-045"


def test_the_first_state_is_an_encoders():
    with pytest.raises(PenjingError) as caught:
        Changes(network("llama")).adopt(changes_of({"prompt": {"first": "prompt"}}), 1)
    assert caught.value.code == "P-CHANGE-043"


def test_a_decoders_prompt_runs_once_for_a_generation(monkeypatch):
    from penjing.changes.ahead import Vectors

    runs = []
    monkeypatch.setattr(Vectors, "forward", lambda self: runs.append(1) or self.table)
    complete(changed("llama", "prompt").network, [[5, 6, 7]], GREEDY)
    assert len(runs) == 1


@pytest.mark.parametrize(("family", "name"), [("llama", "prompt"), ("mistral", "prefix"), ("t5", "prompt")])
def test_the_scheduler_says_the_same(family, name):
    """Rows that come and go, and share what was read before."""
    base = changed(family, name).network
    scheduler = Scheduler(base, rows=2, tokens=40, reading=4)
    asked = [[7] * 9 + [5 + row] * (1 + row) for row in range(4)]
    handles = [scheduler.submit(Request(prompt, GREEDY)) for prompt in asked]
    while not scheduler.idle:
        scheduler.step()
    for prompt, handle in zip(asked, handles, strict=True):
        assert handle.answer.tokens == complete(base, [prompt], GREEDY)[0][0].tokens


def test_finetune_leaves_a_plain_prompt(tmp_path):
    write_records(tmp_path / "data" / "train.jsonl", RECORDS)
    toy_model("masked", "bert", seed=4).save(tmp_path / "base")
    (tmp_path / "out").mkdir()
    how = dict(steps=6, measure_seconds=0, threads=1, dtype="float32", validate_times=0, baselines=False)
    change = {"ptuning": {"length": 4, "inner": 8}}
    found = finetune(tmp_path / "out", data=tmp_path / "data", model=tmp_path / "base", change=change, **how)
    model = Model.load(tmp_path / "out" / "model")
    assert [list(record) for record in model.changes.records()] == [["prompt"]]
    left = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found["trained"] > left and model.window == 60
    assert len(model.answer(["the parcel came late"])) == 1


def test_vectors_learn_through_every_layer():
    """The gradient of a decoder's prompt is that of embeddings in the text."""
    changes = changed("llama", "prompt")
    base, given = changes.network, batch("llama")
    base(given).pow(2).sum().backward()
    (vectors,) = [p for p in base.parameters() if p.requires_grad]
    found = vectors.grad.clone()
    changes.drop()
    fresh = vectors.detach().clone().requires_grad_()
    base.decoder(torch.cat([fresh.expand(3, -1, -1), base.embedding(given.tokens)], 1))[:, 3:].pow(2).sum().backward()
    torch.testing.assert_close(found, fresh.grad, atol=1e-3, rtol=1e-4)
