"""Penalties, cuts and the draw: pure functions over scores, each one vectorised over the rows.

Shapes: R rows, V vocabulary, S tokens so far, C candidates (all tokens, or the most likely ones), n a word's length.
`seen` R S holds each row's tokens with the newest at the right; rows that have fewer are filled up at the left with V,
which is no token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

NEVER = -torch.inf
COLDEST = 1e-30  # a temperature below it would make scores endless, which no probability follows from


class Candidates(NamedTuple):
    """Scores R C and the tokens they belong to, R C; None: token c is in column c."""

    scores: Tensor
    tokens: Tensor | None = None


# ---- penalties: R V to R V ----


def bias(scores: Tensor, added: Tensor) -> Tensor:
    """Add V numbers to the scores of all rows."""
    return scores + added


def bias_of(given: Mapping[int, float], vocabulary: int, like: Tensor) -> Tensor:
    """The numbers V that a table of few tokens stands for."""
    added = torch.zeros(vocabulary, dtype=like.dtype, device=like.device)
    added[list(given)] = torch.tensor(list(given.values()), dtype=like.dtype, device=like.device)
    return added


def repetition(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Weaken what was seen: positive scores are divided, negative ones multiplied (CTRL, arXiv:1909.05858)."""
    padded = torch.nn.functional.pad(scores, (0, 1))
    held = padded.gather(1, seen)
    return padded.scatter(1, seen, torch.where(held < 0, held * penalty, held / penalty))[:, :-1]


def frequency(scores: Tensor, made: Tensor, each: float, once: float) -> Tensor:
    """Take `each` for every time that a token stands in `made`, and `once` if it does at all."""
    padded = torch.nn.functional.pad(torch.zeros_like(scores), (0, 1))
    counts = padded.scatter_add_(1, made, torch.ones_like(made, dtype=scores.dtype))[:, :-1]
    return scores - each * counts - once * (counts > 0)


def no_repeat(scores: Tensor, seen: Tensor, size: int) -> Tensor:
    """Forbid each token that would end a run of `size` tokens which came before."""
    if seen.shape[1] < size:
        return scores
    runs = seen.unfold(1, size, 1)  # R S-size+1 size
    ends = (runs[..., :-1] == seen[:, None, seen.shape[1] - size + 1 :]).all(-1)
    banned = torch.zeros(scores.shape[0], scores.shape[1] + 1, dtype=torch.bool, device=scores.device)
    banned.scatter_(1, torch.where(ends, runs[..., -1], scores.shape[1]), True)
    return scores.masked_fill(banned[:, :-1], NEVER)


def forbid(scores: Tensor, seen: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """Forbid the last token of each word wherever the tokens before it were just taken."""
    scores = scores.clone()
    for *before, last in words:
        size = len(before)
        if size <= seen.shape[1]:
            ready = (seen[:, seen.shape[1] - size :] == seen.new_tensor(before)).all(-1)
            scores[ready, last] = NEVER
    return scores


def without(scores: Tensor, tokens: Sequence[int]) -> Tensor:
    """Forbid some tokens in all rows."""
    scores = scores.clone()
    scores[:, list(tokens)] = NEVER
    return scores


def only(scores: Tensor, token: int) -> Tensor:
    """Forbid all tokens but one, whose score is then 0."""
    scores = torch.full_like(scores, NEVER)
    scores[:, token] = 0.0
    return scores


# ---- cuts: R C, best first, to R C ----


def ranked(scores: Tensor, most: int | None = None) -> Candidates:
    """Candidates from the best down, all of them or so many."""
    if most is not None and most < scores.shape[1]:
        return Candidates(*scores.topk(most, -1))
    return Candidates(*scores.sort(-1, descending=True))


def top_p(scores: Tensor, share: float) -> Tensor:
    """Keep the best candidates that together have the share, and at least one (arXiv:1904.09751)."""
    chances = scores.softmax(-1)
    before = chances.cumsum(-1) - chances
    cut = before >= share
    cut[:, 0] = False
    return scores.masked_fill(cut, NEVER)


def min_p(scores: Tensor, share: float) -> Tensor:
    """Keep the candidates with at least this share of the best one's probability (arXiv:2407.01082)."""
    chances = scores.softmax(-1)
    return scores.masked_fill(chances < share * chances.amax(-1, keepdim=True), NEVER)


def typical(scores: Tensor, share: float) -> Tensor:
    """Keep the candidates whose surprise is nearest to the expected one, together the share (arXiv:2202.00666)."""
    logs = scores.log_softmax(-1)
    expected = -(logs.exp() * logs).nansum(-1, keepdim=True)
    odd, order = (-logs - expected).abs().sort(-1)
    reached = logs.gather(-1, order).exp().cumsum(-1)
    last = (reached < share).sum(-1, keepdim=True).clamp(max=scores.shape[1] - 1)
    cut = odd > odd.gather(-1, last)
    cut[:, 0] = False
    return scores.masked_fill(cut.scatter(-1, order, cut), NEVER)


def narrowed(
    scores: Tensor,
    temperature: float = 1.0,
    k: int | None = None,
    p: float | None = None,
    least: float | None = None,
    usual: float | None = None,
) -> Candidates:
    """Temperature, then the cuts, in the order that transformers has; sorted only where a cut needs it."""
    if temperature != 1.0:
        scores = scores / max(temperature, COLDEST)
    found = Candidates(scores) if k is None and p is None else ranked(scores, k)
    scores = found.scores
    if p is not None and p < 1.0:
        scores = top_p(scores, p)
    if least is not None:
        scores = min_p(scores, least)
    if usual is not None and usual < 1.0:
        scores = typical(scores, usual)
    return Candidates(scores, found.tokens)


# ---- the draw ----


def likeliest(scores: Tensor) -> Tensor:
    """The token of each row's highest score, R; numpy finds it in a fraction of torch's time."""
    if scores.device.type != "cpu" or scores.dtype is torch.bfloat16:
        return scores.argmax(-1)
    return torch.from_numpy(scores.numpy().argmax(-1))


def draw(candidates: Candidates, chance: Tensor) -> Tensor:
    """The tokens R that `chance` R (float32, 0 <= c < 1) falls on when probabilities stand side by side."""
    reached = candidates.scores.softmax(-1).cumsum(-1, dtype=torch.float64)
    column = torch.searchsorted(reached, chance[:, None].double() * reached[:, -1:], right=True)
    column = column.clamp_(max=reached.shape[1] - 1)
    return (column if candidates.tokens is None else candidates.tokens.gather(1, column))[:, 0]


def chances(seed: int | None, prompt: Sequence[int], answer: int, count: int) -> Tensor:
    """The numbers that one answer draws, one a token: from seed, prompt and the answer's number, never from its batch."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        key = hashlib.blake2b(repr((seed, answer, [int(token) for token in prompt])).encode(), digest_size=7).digest()
        generator.manual_seed(int.from_bytes(key))
    return torch.rand(count, generator=generator)
