"""Logits against transformers: theirs read by us, ours read by them, all padding sides."""

import re

import pytest
import torch
from foreign import CASES, network, texts

from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint, write_checkpoint

LEFT = re.compile(r"pooler|seq_relationship")  # heads of pre-training beside the purpose's own; not kept
CLOSE = dict(atol=1e-5, rtol=1e-5)
FREE = ("id2label", "label2id", "pad_token_id", "bos_token_id", "eos_token_id")


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    """Their network, and the checkpoint read from what they saved."""
    made = network(request.param)
    folder = tmp_path_factory.mktemp("theirs")
    made.save_pretrained(folder)
    return made, read_checkpoint(folder)


def their_logits(made, tokens, mask):
    """Theirs, one text after the other without padding: rows of scores (B L) or of all real tokens (N V)."""
    found = []
    for row, real in zip(tokens, mask, strict=True):
        options = dict(input_ids=row[real][None])
        if made.config.is_encoder_decoder and not type(made).__name__.endswith("Classification"):
            options["decoder_input_ids"] = row[real][None, 2:]
        with torch.no_grad():
            found.append(scores(made(**options))[0])
    return torch.stack(found) if found[0].dim() == 1 else torch.cat(found)


def scores(output):
    """What their network says: scores of the vocabulary or of labels, or the hidden states of a bare one."""
    known = ("logits", "prediction_logits", "last_hidden_state")
    return next(value for name in known if (value := getattr(output, name, None)) is not None)


def our_logits(checkpoint, tokens, mask):
    """Ours in one padded batch, by the vocabulary head or the class head; scores at real tokens only."""
    batch = Batch(tokens, None if mask.all() else mask)
    network, head = checkpoint.transformer().eval(), checkpoint.head()
    if network.encoder is not None and network.decoder is not None:
        real = mask & (mask.long().cumsum(1) > 2)
        batch = (
            batch.shifted(network.config.decoder_start)
            if head
            else Batch(tokens, batch.mask, target=tokens, target_mask=real)
        )
        mask = mask if head else real
    with torch.no_grad():
        if head is None and network.output is None:
            return network(batch)[mask]
        if head is None:
            return network.logits(network(batch))[mask]
        batch.places = head.places(batch)
        return head.eval()(network(batch), batch)


@pytest.mark.parametrize("side", ["none", "right", "left"])
def test_theirs_read_by_us(pair, side):
    made, checkpoint = pair
    tokens, mask = texts(side)
    torch.testing.assert_close(our_logits(checkpoint, tokens, mask), their_logits(made, tokens, mask), **CLOSE)


def test_ours_read_by_them(pair, tmp_path):
    made, checkpoint = pair
    extra = {key: checkpoint.foreign[key] for key in FREE if key in checkpoint.foreign}
    write_checkpoint(
        tmp_path,
        checkpoint.transformer(),
        family=checkpoint.family,
        purpose=checkpoint.purpose,
        head=checkpoint.head(),
        extra=extra,
    )
    again, loading = type(made).from_pretrained(tmp_path, output_loading_info=True)
    missing = [name for name in loading["missing_keys"] if not LEFT.search(name)]
    assert not missing and not loading["unexpected_keys"] and not loading["mismatched_keys"]
    tokens, mask = texts("right")
    torch.testing.assert_close(their_logits(again.eval(), tokens, mask), their_logits(made, tokens, mask), **CLOSE)
    assert read_checkpoint(tmp_path).config == checkpoint.config
