"""A vocabulary of the tokens that texts use: they are cut as before and score as before, in memory, in a folder, elsewhere."""

import copy
import json

import pytest
import torch
from networks import network
from toys import PAIRS, TEXTS, tokenizer, toy_model

from penjing.base.errors import ModelError, PenjingError, TextError
from penjing.changes import change_named, changes_of
from penjing.changes.beside import renumbered
from penjing.changes.change import Changes
from penjing.changes.vocabulary import counted
from penjing.export import targets_of
from penjing.export.certificate import export, said
from penjing.export.target import Source
from penjing.model.checkpoint import read_checkpoint
from penjing.model.decoding import FILE
from penjing.tasks import task_named
from penjing.tasks.calibrating import calibration, recorded
from penjing.tasks.model import Model
from penjing.tasks.writer import Writer
from penjing.text.tokenizer_fewer import Merges, fewer, needed, only
from penjing.text.tokenizer_training import train_tokenizer

SOME = [text for text in TEXTS if not {"parcel", "lovely", "awful", "满意"} & set(text.split())][:12]
CLOSE = dict(atol=1e-6, rtol=1e-6)


def written(cutter, text):
    return [cutter.token(number) for number in cutter.encode(text)]


def texts_of(model):
    return (
        [(text, text) for text in SOME]
        if model.network.decoder is not None and model.network.encoder is not None
        else SOME
    )


def pruned(model, **options):
    return model.adapt([change_named("vocabulary", **options)], batches=calibration(model, texts_of(model))).eval()


@torch.no_grad()
def scores(model, rows):
    """Hidden states, and the scores of the vocabulary, of the texts as batches of this model."""
    found = []
    for batch in calibration(model, rows):
        hidden = model.network(batch)
        real = batch.mask if batch.target is None else batch.target_mask
        output = hidden if model.network.output is None else model.network.logits(hidden)
        found.append((output if real is None else output[real]).flatten(0, -2))
    return torch.cat(found)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_what_is_spelled_in_pieces_that_are_left_is_cut_as_before(kind):
    before = train_tokenizer(TEXTS * 4, kind=kind, size={"wordpiece": 128, "bpe": 380, "unigram": 60}[kind])
    wanted = {number for text in SOME for number in before.encode(text)}
    left = needed(before, wanted)
    after = fewer(before, left)
    assert after.size == len(left) < before.size
    assert [after.token(number) for number in range(after.size)] == [before.token(number) for number in left]
    same = [text for text in TEXTS if set(before.encode(text)) <= set(left)]
    assert len(SOME) <= len(same) < len(TEXTS)
    assert all(written(after, text) == written(before, text) for text in same)
    assert all(after.decode(after.encode(text)) == before.decode(before.encode(text)) for text in TEXTS)
    for name in ("prefix", "suffix"):
        assert [after.token(n) for n in getattr(after, name)] == [before.token(n) for n in getattr(before, name)]
    assert after.build_pair([1], [2])[1] == before.build_pair([1], [2])[1]
    assert set(needed(before, wanted, "used")) <= set(left)


def test_pieces_of_bpe_keep_all_that_they_are_merged_from():
    """Also with marks on what goes on and on what ends a word, and where one piece can be made in two ways."""
    two = Merges({"merges": ["b c", "a bc", ["a", "b"], ["ab", "c"]]})
    assert two.parts("abc") == {"a", "b", "c", "bc", "abc"} and two.parts("xab") == {"x", "a", "b", "ab", "xab"}
    marked = Merges({"merges": ["a ##b", "##c ##d"], "continuing_subword_prefix": "##"})
    assert marked.parts("ab") == {"a", "##b", "ab"} and marked.parts("##cd") == {"##c", "##d", "##cd"}
    ended = Merges({"merges": ["a b</w>"], "end_of_word_suffix": "</w>"})
    assert ended.parts("ab</w>") == {"a", "b</w>", "ab</w>"}
    assert Merges({"merges": ["a a", "aa aa"]}).parts("aaaaa") == {"a", "aa", "aaaa", "aaaaa"}


CASES = [("classify", "bert"), ("classify", "bart"), ("masked", "electra"), ("causal", "llama"), ("seq2seq", "t5"),
         ("causal", "lstm")]  # fmt: skip


@pytest.mark.parametrize(("task", "family"), CASES)
def test_a_model_answers_as_before(task, family, tmp_path):
    model = toy_model(task, family)
    whole, cutter, state = scores(model.eval(), texts_of(model)), model.tokenizer, copy.deepcopy(model.state_dict())
    given = {"text": SOME[0]} if task != "seq2seq" else {"source": SOME[0], "target": SOME[0]}
    answered = model.answer([given]) if task == "classify" else None
    pruned(model)
    (kept,) = (one.change.tokens for one in model.changes)
    small = model.tokenizer
    assert small.size == len(kept) == model.network.config.vocab_size < cutter.size
    assert all(written(small, text) == written(cutter, text) for text in SOME)
    columns = slice(None) if whole.shape[1] == 32 and task == "classify" else list(kept)
    torch.testing.assert_close(scores(model, texts_of(model)), whole[:, columns], **CLOSE)
    if answered:
        assert model.answer([given])[0]["probabilities"] == pytest.approx(answered[0]["probabilities"])

    model.save(tmp_path / "model")
    assert read_checkpoint(tmp_path / "model").config.vocab_size == small.size  # a plain folder that others open
    again = Model.load(tmp_path / "model")
    torch.testing.assert_close(scores(again, texts_of(model)), whole[:, columns], **CLOSE)
    assert again.tokenizer.fingerprint == small.fingerprint and again.changes.records() == model.changes.records()
    other = again.with_task(again.task, 1).eval()
    torch.testing.assert_close(scores(other, texts_of(model)), whole[:, columns], **CLOSE)
    with pytest.raises(ModelError) as caught:
        again.changes.drop()
    assert caught.value.code == "P-CHANGE-061" and again.tokenizer.size == small.size
    again.changes.fuse()
    assert not again.changes and again.tokenizer.size == small.size

    twin = model.with_task(model.task, 1).eval()
    for one in (model, twin):
        one.changes.drop()
        assert one.tokenizer is cutter and one.network.config.vocab_size == cutter.size
        assert torch.equal(scores(one, texts_of(model)), whole)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_the_most_frequent_pieces_that_make_up_a_share():
    model = toy_model("causal", "llama")
    counts = counted(calibration(model, SOME), model.tokenizer)
    sizes = []
    for options in ({}, {"min_count": 5}, {"coverage": 0.5}, {"coverage": 0.5, "keep": ["parcel", "lovely"]}):
        (one,) = copy.deepcopy(pruned(toy_model("causal", "llama"), **options)).changes
        held = set(one.change.tokens)
        sizes.append(len(held))
        assert "min_count" not in options or all(number in held for number in (counts >= 5).nonzero()[:, 0].tolist())
        assert "coverage" not in options or counts[sorted(held)].sum() >= 0.5 * counts.sum()
        assert "keep" not in options or {n for text in options["keep"] for n in model.tokenizer.encode(text)} <= held
    assert sizes[0] > sizes[1] and sizes[0] > sizes[2] < sizes[3]


def test_what_a_task_hides_is_counted_as_it_is():
    """A masked model's batches hold mask tokens and tokens by chance; a second text counts too."""
    model = toy_model("masked", "bert")
    counts = counted(recorded(model, [{"text": text} for text in SOME], 0), model.tokenizer)
    assert int(counts.sum()) == sum(len(model.tokenizer.encode(text)) for text in SOME)
    both = toy_model("seq2seq", "t5")
    counts = counted(recorded(both, PAIRS, 0), both.tokenizer)
    assert int(counts.sum()) == sum(len(both.tokenizer.encode(text)) for pair in PAIRS for text in pair.values())


def test_changes_after_it_read_the_texts_anew(tmp_path):
    """By their new numbers; batches of before are refused, and then nothing has changed."""
    stack = changes_of(["vocabulary", {"int4": {"method": "gptq"}}, "lora"])
    model = toy_model("causal", "llama")
    twin, old = copy.deepcopy(model), model.tokenizer
    batches = calibration(twin, SOME)
    model.adapt(stack, batches=batches).eval().save(tmp_path / "model")
    assert twin.tokenizer.size == old.size and next(iter(batches)).tokens.max() >= model.tokenizer.size
    again = Model.load(tmp_path / "model")
    torch.testing.assert_close(scores(again, SOME), scores(model, SOME), **CLOSE)
    alone = pruned(toy_model("causal", "llama"))
    alone.adapt(stack[1:2], batches=calibration(alone, SOME))
    codes = "decoder.blocks.0.mlp.up.edits.1.matrix.codes"
    assert torch.equal(alone.network.state_dict()[codes], model.network.state_dict()[codes])
    state = copy.deepcopy(twin.state_dict())
    with pytest.raises(PenjingError) as caught:
        twin.adapt(stack, batches=list(batches))
    assert caught.value.code == "P-CHANGE-125" and not twin.changes and twin.tokenizer.size == old.size
    assert all(torch.equal(tensor, state[name]) for name, tensor in twin.state_dict().items())


def test_how_answers_are_asked_for_is_said_in_the_new_numbers(tmp_path):
    model = toy_model("causal", "llama")
    one, other = model.tokenizer.encode("tree")[0], model.tokenizer.encode("parcel")[0]
    asked = {"bad_words_ids": [[one], [one, other]], "suppress_tokens": [other, one], "forced_eos_token_id": other,
             "begin_suppress_tokens": [other + 1], "eos_token_id": [model.tokenizer.end, one], "top_k": 3}  # fmt: skip
    model.generation.update(asked)
    pruned(model)
    new = {old: at for at, old in enumerate(model.changes[0].change.tokens)}
    assert other in new and model.generation["forced_eos_token_id"] == new[other]
    assert model.generation["bad_words_ids"] == [[new[one]], [new[one], new[other]]] and model.generation["top_k"] == 3
    model.save(tmp_path)
    found = json.loads((tmp_path / FILE).read_text("utf-8"))
    assert found["eos_token_id"] == [model.tokenizer.end, new[one]]
    assert Writer.load(tmp_path).write(["the tree"], max_new_tokens=4) is not None
    assert renumbered([[3, 4], [4], [9]], {4: 0, 9: 1}) == [[0], [1]] and renumbered(3, {4: 0}) is None
    model.changes.drop()
    assert {key: model.generation[key] for key in asked} == asked


@pytest.mark.parametrize(("task", "family", "to"), [("causal", "llama", "hf,gguf"), ("classify", "bert", "onnx")])
def test_others_get_the_small_one(task, family, to, tmp_path):
    pruned(toy_model(task, family)).save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    source = Source(tmp_path / "model", model)
    for target in targets_of(to):
        place = tmp_path / target.name
        assert export(place, target, source, said(model, model.generation, [], None), [], None)["passed"]


@pytest.mark.parametrize(
    ("options", "texts", "code"),
    [
        ({}, None, "P-CHANGE-120"),
        ({}, ["", ""], "P-CHANGE-120"),
        ({"tokens": [4, 5]}, SOME, "P-CHANGE-126"),
        ({"tokens": [*range(300), 299]}, SOME, "P-CHANGE-121"),
        ({"tokens": [*range(999), 9999]}, SOME, "P-CHANGE-121"),
        ({"tokens": []}, SOME, "P-OPTION-002"),
        ({"coverage": 0}, SOME, "P-OPTION-002"),
        ({"min_count": 10_000}, SOME, "P-CHANGE-124"),
        ({"keep": [f"{a} {b}" for a, b in zip(TEXTS, TEXTS, strict=True)]}, TEXTS * 9, "P-CHANGE-128"),
    ],
)
def test_bad_input_is_one_message_and_changes_nothing(options, texts, code):
    model = toy_model("causal", "llama")
    if code == "P-CHANGE-128":
        options = {"keep": [model.tokenizer.token(number) for number in range(model.tokenizer.size)]}
    state, size = copy.deepcopy(model.state_dict()), model.tokenizer.size
    with pytest.raises(PenjingError) as caught:
        model.adapt(
            [change_named("vocabulary", **options)], batches=None if texts is None else calibration(model, texts)
        )
    assert caught.value.code == code and not model.changes and model.tokenizer.size == size
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_what_cannot_lose_tokens_says_so():
    with pytest.raises(PenjingError) as caught:
        Changes(network("bert")).adopt(changes_of("vocabulary"), 0, [])
    assert caught.value.code == "P-CHANGE-122"
    cutter = tokenizer("unigram")
    for left in ([7, 6, 5, 4, 3, 2, 1, 0], [8, 9]):  # not in their order; without what stands for the unknown
        with pytest.raises(TextError) as caught:
            only(cutter.inner, left)
        assert caught.value.code == "P-CHANGE-123"
    bare = toy_model("causal", "lstm", task=task_named("causal"))
    bare.tokenizer.unknown = None
    with pytest.raises(PenjingError) as caught:
        pruned(bare, characters="used")
    tokenizer.cache_clear()
    assert caught.value.code == "P-CHANGE-127"
    frozen = toy_model("causal", "llama")
    with pytest.raises(PenjingError) as caught:
        frozen.adapt(changes_of([{"freeze": {"where": "embedding"}}, "vocabulary"]), batches=calibration(frozen, SOME))
    assert caught.value.code == "P-CHANGE-068" and not frozen.changes
