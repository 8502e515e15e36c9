"""Logits against transformers: theirs read by us, ours read by them, all padding sides, cached, halved, in shards."""

import copy
import inspect
import re

import pytest
import torch
import torch.nn.functional as F
from foreign import CASES, TOKENS, network, texts

from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint, write_checkpoint
from penjing.model.families.family import FREE, unlike
from penjing.model.tensors import INDEX

LEFT = re.compile(r"pooler")  # beside the purpose's own; not kept
CLOSE = dict(atol=1e-5, rtol=1e-5)
SIDES = ["none", "right", "left"]
SHARD = 10_000  # bytes
STEPS = [1, 1, 3]  # tokens of the last pieces of a text that is read piece by piece
SKIPPED = 2  # a target is the text without its first tokens, so that it is no copy of the source
WRITERS = [case for case, (cls, *_) in CASES.items() if cls.can_generate()]


@pytest.fixture(autouse=True)
def still():
    """No gradients: nothing is learned."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    """Their network, and the checkpoint read from what they saved."""
    made = network(request.param)
    folder = tmp_path_factory.mktemp("theirs")
    made.save_pretrained(folder)
    return made, read_checkpoint(folder)


def two_sided(made):
    """Whether a network reads a source and writes a target."""
    return made.config.is_encoder_decoder and made.can_generate()


def their_logits(made, tokens, mask):
    """Theirs, one text after the other without padding: rows of scores (B L) or of all real tokens (N V or N L)."""
    found = []
    for row, real in zip(tokens, mask, strict=True):
        target = {"decoder_input_ids": row[real][None, SKIPPED:]} if two_sided(made) else {}
        alone = copy.deepcopy(made)  # their dynamic rotary positions remember the longest text so far
        found.append(scores(alone(input_ids=row[real][None], **target))[0].float())
        if len(found[-1]) == int(real.sum()) and found[-1].dim() == 1:  # one score for each token
            found[-1] = found[-1][:, None]
    return torch.stack(found) if found[0].dim() == 1 else torch.cat(found)


def scores(output):
    """What their network says: scores of the vocabulary or of labels, or the hidden states of a bare one."""
    if "start_logits" in output:
        return torch.stack((output.start_logits, output.end_logits), -1)
    known = ("logits", "prediction_logits", "last_hidden_state")
    return next(value for name in known if (value := getattr(output, name, None)) is not None)


def our_logits(checkpoint, tokens, mask, dtype=torch.float32):
    """Ours in one padded batch, by the vocabulary head or the class head; scores at real tokens only."""
    batch = Batch(tokens, None if mask.all() else mask)
    network, head = checkpoint.transformer().to(dtype).eval(), checkpoint.head()
    if network.encoder is not None and network.decoder is not None:
        real = mask & (mask.long().cumsum(1) > SKIPPED)
        batch = (
            batch.shifted(network.config.decoder_start)
            if head
            else Batch(tokens, batch.mask, target=tokens, target_mask=real)
        )
        mask = mask if head else real
    if network.output is not None:
        return network.logits(network(batch))[mask].float()
    if head is None:
        return network(batch)[mask].float()
    batch.places = head.places(batch)
    found = head.to(dtype).eval()(network(batch), batch).float()
    return found[mask] if head.style.pool == "each" else found


def written(folder, checkpoint, **options):
    """Our folder of a checkpoint that they wrote."""
    extra = {key: checkpoint.foreign[key] for key in FREE if key in checkpoint.foreign}
    how = dict(family=checkpoint.family, purpose=checkpoint.purpose, head=checkpoint.head(), extra=extra)
    write_checkpoint(folder, checkpoint.transformer(), **how, **options)


def loaded(made, folder):
    """What they make of a folder, every name matched."""
    again, loading = type(made).from_pretrained(folder, output_loading_info=True)
    missing = [name for name in loading["missing_keys"] if not LEFT.search(name)]
    assert not missing and not loading["unexpected_keys"] and not loading["mismatched_keys"]
    return again.eval()


@pytest.mark.parametrize("side", SIDES)
def test_theirs_read_by_us(pair, side):
    made, checkpoint = pair
    given = texts(side)
    torch.testing.assert_close(our_logits(checkpoint, *given), their_logits(made, *given), **CLOSE)


def test_ours_read_by_them(pair, tmp_path):
    made, checkpoint = pair
    written(tmp_path, checkpoint)
    given = texts("right")
    torch.testing.assert_close(their_logits(loaded(made, tmp_path), *given), their_logits(made, *given), **CLOSE)
    assert not unlike(read_checkpoint(tmp_path).config, checkpoint.config)


def test_shards_hold_the_same(pair, tmp_path):
    made, checkpoint = pair
    made.save_pretrained(tmp_path / "theirs", max_shard_size=SHARD)
    again = read_checkpoint(tmp_path / "theirs").tensors
    assert again.keys() == checkpoint.tensors.keys()
    assert all(torch.equal(tensor, checkpoint.tensors[name]) for name, tensor in again.items())
    (tmp_path / "ours").mkdir()
    written(tmp_path / "ours", checkpoint, shard=SHARD)
    ours, theirs = loaded(made, tmp_path / "ours").state_dict(), made.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items() if not LEFT.search(name))
    assert all((tmp_path / folder / INDEX).exists() for folder in ("ours", "theirs"))


def test_half_precision_is_no_further_off_than_theirs(pair):
    made, checkpoint = pair
    given = texts("right")
    exact, half = their_logits(made, *given), their_logits(copy.deepcopy(made).bfloat16(), *given)
    ours = our_logits(checkpoint, *given, dtype=torch.bfloat16)
    assert (ours - exact).norm() < 1.5 * (half - exact).norm() < 0.2 * exact.norm()


def their_pieces(made, source, text):
    """Their scores of a text that is read piece by piece with their own cache: those after each piece's tokens."""
    name = "cache" if "cache" in inspect.signature(made.forward).parameters else "past_key_values"
    held, found, made = {}, [], copy.deepcopy(made)
    for piece in text.split([len(text) - sum(STEPS), *STEPS]):
        ids = {"decoder_input_ids": piece[None], "input_ids": source[None]}
        ids = ids if two_sided(made) else {"input_ids": piece[None]}
        answer = made(**ids, use_cache=True, **held)
        held = {name: answer[name]}
        found.append(answer.logits[0])
    return torch.cat([found[0][-1:], *found[1:]])


def padded(rows, side):
    """Texts as one batch B T, and its mask; None where none is shorter."""
    longest = max(len(row) for row in rows)
    gaps = [(longest - len(row), 0) if side == "left" else (0, longest - len(row)) for row in rows]
    tokens = torch.stack([F.pad(row, gap) for row, gap in zip(rows, gaps, strict=True)])
    mask = torch.stack([F.pad(torch.ones_like(row), gap) for row, gap in zip(rows, gaps, strict=True)]).bool()
    return tokens, None if mask.all() else mask


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("pair", WRITERS, indirect=True)
def test_piece_by_piece(pair, side):
    made, checkpoint = pair
    network = checkpoint.transformer().eval()
    tokens, mask = texts(side)
    sources = [row[real] for row, real in zip(tokens, mask, strict=True)]
    wholes = [source[SKIPPED:] if two_sided(made) else source for source in sources]
    expected = [their_pieces(made, source, text) for source, text in zip(sources, wholes, strict=True)]
    prompts, real = padded([text[: -sum(STEPS)] for text in wholes], side)
    given = Batch(prompts, real)
    if two_sided(made):
        given = Batch(tokens, None if mask.all() else mask, target=prompts, target_mask=real)
    memory = network.start(given, capacity=TOKENS + sum(STEPS))
    more = torch.stack([text[-sum(STEPS) :] for text in wholes])
    hidden = [memory.hidden, *(network.step(piece, memory) for piece in more.split(STEPS, 1))]
    torch.testing.assert_close(network.logits(torch.cat(hidden, 1)), torch.stack(expected), **CLOSE)
