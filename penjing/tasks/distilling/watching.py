"""What the blocks of a network say while it reads one batch, seen from outside: the network does not know of it.

Where somebody watches, all places of a batch are computed, also those that the task does not ask for.
Shapes: B texts, T tokens, W width, H heads, D width of a head.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.changes.ahead import BeforeDecoder, BeforeEncoder
from penjing.changes.edits import edits_at
from penjing.model.batch import Batch
from penjing.model.layers import Sight
from penjing.model.mask import pick
from penjing.model.positions import rotate
from penjing.model.transformer import Network

PARTS = ("query", "key", "value")
UNSEEN = -1e9  # scores below it are of what may not be seen


@dataclasses.dataclass
class Seen:
    """What was seen of one stack of blocks, an encoder or a decoder."""

    batch: Batch  # what the network read
    mask: Tensor | None  # B T: its real tokens
    causal: bool
    states: list[Tensor] = dataclasses.field(default_factory=list)  # of the embeddings, then of each block: B T W
    parts: list[dict[str, Tensor]] = dataclasses.field(default_factory=list)  # of each block by PARTS: B T HD
    scores: list[Tensor] = dataclasses.field(default_factory=list)  # of each block's attention: B H T T

    @property
    def real(self) -> Tensor:
        """Its real tokens, B T bool."""
        if self.mask is not None:
            return self.mask
        one = (self.states or self.scores or [part["query"] for part in self.parts])[0]
        rows, tokens = len(one), one.shape[1] if one.dim() == 3 else one.shape[2]
        return torch.ones(rows, tokens, dtype=torch.bool, device=one.device)


def stacks_of(network: Network) -> dict[str, Any]:
    """The stacks that a network has."""
    sides = {"encoder": network.encoder, "decoder": network.decoder}
    return {side: stack for side, stack in sides.items() if stack is not None}


def widened(network: Network) -> bool:
    """Whether learnt vectors stand before the text (prompt tuning), so that blocks see other places than the batch has."""
    edits = (edit for stack in stacks_of(network).values() for edit in edits_at(stack).values())
    return any(isinstance(edit, BeforeDecoder | BeforeEncoder) for edit in edits)


@contextmanager
def watching(network: Network, wanted: frozenset[str]) -> Iterator[dict[str, Seen]]:
    """What each stack says while this lasts, in which the network reads once; `wanted`: of states, parts and scores."""
    found: dict[str, Seen] = {}
    if not wanted:
        yield found
        return
    asked: list[Tensor | None] = []

    def before(module: nn.Module, inputs: tuple[Batch]) -> tuple[Batch]:
        asked.append(inputs[0].places)
        batch, sides = dataclasses.replace(inputs[0], places=None, below=None), stacks_of(network)
        for side in sides:
            second = side == "decoder" and len(sides) == 2
            found[side] = Seen(batch, batch.target_mask if second else batch.mask, side == "decoder")
        return (batch,)

    def after(module: nn.Module, inputs: Any, hidden: Tensor) -> Tensor:
        places = asked.pop()
        return hidden if places is None else pick(hidden, places)

    with ExitStack() as held:
        for handle in (network.register_forward_pre_hook(before), network.register_forward_hook(after)):
            held.callback(handle.remove)
        for side, stack in stacks_of(network).items():
            watch(stack, side, found, wanted, held)
        yield found


def watch(stack: Any, side: str, found: dict[str, Seen], wanted: frozenset[str], held: ExitStack) -> None:
    """Watch the blocks of a stack until `held` ends."""
    if "states" in wanted:
        first = next(iter(stack.blocks)).register_forward_pre_hook(
            lambda module, given: found[side].states.append(given[0])
        )
        held.callback(first.remove)
        last = getattr(stack, "final_norm", None)
        for block in [*stack.blocks[: -1 if last is not None else None], *([] if last is None else [last])]:
            held.callback(block.register_forward_hook(partly(found, side)).remove)
    for block in stack.blocks if "parts" in wanted else ():
        for name in PARTS:
            held.callback(getattr(block.attention, name).register_forward_hook(named(found, side, name)).remove)
    for block in stack.blocks if "scores" in wanted else ():
        held.enter_context(attending(block.attention, found, side))


def partly(found: dict[str, Seen], side: str) -> Any:
    """A hook that keeps the states of a block; of an LSTM's, which also gives its memory, the first part."""

    def hook(module: nn.Module, given: Any, made: Any) -> None:
        found[side].states.append(made[0] if isinstance(made, tuple) else made)

    return hook


def named(found: dict[str, Seen], side: str, name: str) -> Any:
    """A hook that keeps one part of an attention's inputs; queries come first."""

    def hook(module: nn.Module, given: Any, made: Tensor) -> None:
        if name == PARTS[0]:
            found[side].parts.append({})
        found[side].parts[-1][name] = made

    return hook


@contextmanager
def attending(attention: Any, found: dict[str, Seen], side: str) -> Iterator[None]:
    """Keep the scores of an attention, which its fast path never writes down: they are computed once more."""
    plain = attention.attend

    def attend(query: Tensor, key: Tensor, value: Tensor, sight: Sight) -> Tensor:
        found[side].scores.append(scores_of(attention, query, key, sight))
        return plain(query, key, value, sight)

    attention.attend = attend
    try:
        yield
    finally:
        del attention.attend


def scores_of(attention: Any, query: Tensor, key: Tensor, sight: Sight) -> Tensor:
    """Scores of the batch's own tokens before the softmax, B H T T float32, below UNSEEN where nothing may be seen.

    query: B T HD as it was made; key: B K S D, of which the last T are the batch's own.
    """
    query = rotate(attention.query_norm(query.unflatten(-1, (attention.heads, attention.inner))), sight.query_rotation)
    tokens, scale = query.shape[1], attention.scale
    key = key[:, :, key.shape[2] - tokens :].repeat_interleave(attention.heads // attention.key_heads, 1)
    scores = (query.transpose(1, 2) @ key.transpose(-1, -2)).float()
    scores = scores * (attention.inner**-0.5 if scale is None else scale)
    mask, causal = sight.visible
    if causal:
        mask = torch.ones(tokens, tokens, dtype=torch.bool, device=scores.device).tril()
    if mask is None:
        return scores
    mask = mask[..., mask.shape[-1] - tokens :]
    return scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask
