"""What encoder-decoders add: padded targets, stacks of unlike depth, where a decoder begins, how a folder is asked."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from networks import BART, CROSSED, VOCABULARY, batch, config, network

from penjing.base.errors import ModelError
from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint, write_checkpoint
from penjing.model.config import ModelConfig
from penjing.model.families import family_of
from penjing.model.head import ClassHead, HeadStyle
from penjing.model.positions import Sinusoidal
from penjing.model.size import fresh_config
from penjing.model.transformer import Transformer

CLOSE = dict(atol=1e-5, rtol=1e-5)


@pytest.fixture(autouse=True)
def still():
    """No gradients where nothing is learned."""
    with torch.no_grad():
        yield


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", CROSSED)
def test_padding_of_the_target_changes_nothing(name, side):
    made, given = network(name), batch(name, "right" if side == "left" else "left")
    more = torch.randint(3, VOCABULARY, (3, 2), generator=torch.Generator().manual_seed(9))
    given.target_mask = torch.ones_like(given.target, dtype=torch.bool)
    for row, short in ((0, 4), (2, 11)):
        given.target_mask[row, slice(-short, None) if side == "right" else slice(short)] = False
    whole, memory = made(given), made.start(given, capacity=32)
    cached = torch.cat([memory.hidden, *(made.step(more[:, i : i + 1], memory) for i in range(2))], 1)
    for row in range(3):
        source, told = given.tokens[row, given.mask[row]][None], given.target[row, given.target_mask[row]]
        alone = made(Batch(source, target=torch.cat([told, more[row]])[None]))[0]
        torch.testing.assert_close(whole[row, given.target_mask[row]], alone[:-2], **CLOSE)
        torch.testing.assert_close(cached[row], alone[-3:], **CLOSE)


@pytest.mark.parametrize("name", ["marian", "bart"])
def test_positions_end(name):
    made = network(name, max_position_embeddings=18)
    made(batch(name))
    for given in (batch(name, tokens=19), batch(name)):
        given.target = given.target if given.tokens.shape[1] > 18 else torch.ones(3, 19, dtype=torch.int64)
        for call in (made, lambda given: given.check(made.config)):
            with pytest.raises(ModelError, match="P-MODEL-005"):
                call(given)


def test_sines_are_those_of_the_paper():
    """Section 3.5, with the cosines after the sines as Marian stores them; far from the start too."""
    shape = dataclasses.replace(config("vaswani"), max_tokens=1024)
    waves = Sinusoidal(shape, False).add(torch.tensor([[0, 7, 1023]]))[0]
    for row, place in enumerate((0, 7, 1023)):
        for i in range(8):
            angle = place / 10_000 ** (2 * i / 16)
            assert abs(float(waves[row, i]) - np.sin(angle)) < 1e-6
            assert abs(float(waves[row, 8 + i]) - np.cos(angle)) < 1e-6


def test_vaswani_is_the_transformer_of_the_paper():
    base = fresh_config("vaswani", vocab_size=37000, width=512, layers=6, heads=8, dropout=0.1)
    same = dict(
        width=512, heads=8, mlp_width=2048, encoder_layers=6, decoder_layers=6, norm_place="after", norm="layer"
    )
    same |= dict(activation="relu", position="sinusoidal", embedding_scale=512**0.5, tied_output=True, dropout=0.1)
    assert {name: getattr(base, name) for name in same} == same
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Transformer(base).parameters())
    assert 62e6 < count < 65e6  # table 3: 65 million
    made = Transformer.new(fresh_config("vaswani", vocab_size=100, width=64, layers=1), 1)
    scaled = made.embedding.weight * made.config.embedding_scale
    assert 0.95 < scaled.std() < 1.05 and 0.11 < made.encoder.blocks[0].mlp.up.weight.std() < 0.14


def test_vaswani_opens_as_marian(tmp_path):
    from transformers import MarianMTModel

    made, given = network("vaswani"), batch("vaswani", "right")
    made.output.bias.normal_()
    write_checkpoint(tmp_path, made, family="vaswani", purpose="seq2seq", extra={"eos_token_id": 1, "pad_token_id": 0})
    theirs, loading = MarianMTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    logits = theirs.eval()(given.tokens, attention_mask=given.mask, decoder_input_ids=given.target).logits
    torch.testing.assert_close(made.logits(made(given)), logits, **CLOSE)
    found = read_checkpoint(tmp_path)
    assert found.family == "marian" and found.config == made.config and found.config.initial_std is None


def test_positions_that_were_stored_are_not_needed(tmp_path):
    from safetensors.torch import load_file, save_file

    made = network("marian")
    write_checkpoint(tmp_path, made, family="marian", purpose="seq2seq")
    stored = load_file(tmp_path / "model.safetensors")
    stored |= {f"model.{side}.embed_positions.weight": torch.zeros(3, 16) for side in ("encoder", "decoder")}
    stored["model.encoder.embed_tokens.weight"] = stored["model.shared.weight"].clone()
    save_file(stored, tmp_path / "model.safetensors")
    again, given = read_checkpoint(tmp_path).transformer(), batch("marian")
    assert torch.equal(again(given), made(given))


def test_a_folder_keeps_how_it_wants_to_be_asked(tmp_path):
    asked = {"forced_eos_token_id": 1, "bad_words_ids": [[0]], "num_beams": 4, "max_length": 20, "eos_token_id": 9}
    extra = {"eos_token_id": 1, "pad_token_id": 0}
    write_checkpoint(tmp_path, network("marian"), family="marian", purpose="seq2seq", extra=extra, generation=asked)
    told, foreign = (json.loads((tmp_path / name).read_text()) for name in ("generation_config.json", "config.json"))
    assert told == asked | extra | {"decoder_start_token_id": 0}
    assert all(foreign[key] == told[key] for key in (*extra, "decoder_start_token_id", "forced_eos_token_id"))
    assert foreign["forced_bos_token_id"] is None
    found = read_checkpoint(tmp_path)
    assert found.generation == told and found.config.decoder_start == 0
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(foreign | {"num_beams": 6, "prefix": " "}))  # as older folders do
    old = read_checkpoint(tmp_path).generation
    assert old == extra | {"decoder_start_token_id": 0, "forced_eos_token_id": 1, "num_beams": 6}


def test_an_end_is_pooled_where_it_last_stands():
    given = batch("bart", "right")
    given.tokens[:, 5], given.tokens[0, 11] = 1, 1
    head = ClassHead(16, 2, HeadStyle("end", end=1))
    assert head.places(given.shifted(2)).flatten().tolist() == [11, 5, 5]


def test_a_decoder_without_a_start_begins_with_the_last_token():
    given = batch("mbart", "right")
    target = given.shifted(None).target
    for row in range(3):
        real = int(given.mask[row].sum())
        assert target[row, 0] == given.tokens[row, real - 1]
        assert torch.equal(target[row, 1:real], given.tokens[row, : real - 1])
    assert given.shifted(7).target[:, 0].tolist() == [7] * 3


def test_mbart_classifiers_begin_with_the_last_token():
    foreign = {"model_type": "mbart", "architectures": ["MBartForSequenceClassification"], "vocab_size": 41, **BART}
    assert family_of("mbart").config(foreign).decoder_start is None
    generates = foreign | {"architectures": ["MBartForConditionalGeneration"]}
    assert family_of("mbart").config(generates).decoder_start == 0


def test_choices_of_positions_are_checked():
    with pytest.raises(ModelError, match="sinusoidal"):
        ModelConfig(5, 8, 2, 4, 1, position="sinus")
