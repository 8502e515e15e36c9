"""Encoder-decoders token by token from the cache, read from shards and from a .bin, and in half precision."""

import pytest
import torch
from foreign import CASES, VOCABULARY, network

from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint

WRITERS = [name for name in CASES if name.split("-")[0] in ("t5", "mt5", "bart", "mbart", "marian")]
WRITERS = [name for name in WRITERS if not name.endswith("-classify")]


@pytest.mark.parametrize("name", WRITERS)
def test_token_by_token_from_other_files_and_in_half_precision(name, tmp_path):
    made = network(name)
    made.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    made.config.save_pretrained(tmp_path / "bin")
    torch.save(made.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    assert len(list((tmp_path / "shards").glob("model-*"))) > 1
    source = torch.randint(3, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(1))
    target = source.flip(1)[:, :12]
    with torch.no_grad():
        whole = made(input_ids=source, decoder_input_ids=target).logits
        for kind in ("shards", "bin"):
            ours = read_checkpoint(tmp_path / kind).transformer().eval()
            memory = ours.start(Batch(source), capacity=12)
            steps = [ours.logits(ours.step(target[:, place : place + 1], memory)) for place in range(12)]
            torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=1e-5)
        ours.bfloat16()
        half = ours.logits(ours(Batch(source, target=target))).float()
        theirs = made.bfloat16()(input_ids=source, decoder_input_ids=target).logits.float()
        assert (half - whole).norm() < 1.5 * (theirs - whole).norm()


@pytest.mark.parametrize("name", ["bart-seq2seq", "mbart-seq2seq"])
def test_a_bare_network_is_read_as_one_that_writes(name, tmp_path):
    """As facebook/bart-base is published: the architecture is BartModel, names have no root, scores no bias."""
    made = network(name)
    made.final_logits_bias.zero_()
    made.model.save_pretrained(tmp_path)
    source = torch.randint(3, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(1))
    ours = read_checkpoint(tmp_path).transformer().eval()
    with torch.no_grad():
        whole = made(input_ids=source, decoder_input_ids=source[:, :9]).logits
        torch.testing.assert_close(ours.logits(ours(Batch(source, target=source[:, :9]))), whole, atol=1e-5, rtol=1e-5)
