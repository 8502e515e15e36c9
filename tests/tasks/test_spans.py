"""Spans of noise: T5's published arithmetic, and nothing lost; BART's lengths from Poisson."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from penjing.tasks.spans import (
    corrupted_length,
    infilled,
    longest_text,
    named_spans,
    noise_of,
    replaced_spans,
    segments,
    span_starts,
)


def chance(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def published(inputs_length, density, mean):
    """T5's `random_spans_helper` (appendix of its code): tokens to take, and the length of the target with its end."""

    def lengths(tokens):
        noise = int(round(tokens * density))
        spans = int(round(noise / mean))
        return tokens - noise + spans + 1, noise + spans + 1

    tokens = inputs_length
    while lengths(tokens + 1)[0] <= inputs_length:
        tokens += 1
    return tokens, lengths(tokens)[1]


@pytest.mark.parametrize("window", [64, 128, 256, 512, 1000])
@pytest.mark.parametrize(("rate", "span"), [(0.15, 3.0), (0.5, 3.0), (0.15, 8.0), (0.3, 2.0)])
def test_as_much_text_as_t5_takes(window, rate, span):
    tokens, target = published(window, rate, span)
    assert longest_text(window - 1, rate, span) == tokens
    noise, spans = noise_of(np.asarray(tokens), rate, span)
    assert noise + spans + 1 == target and corrupted_length(np.asarray(tokens), rate, span) + 1 <= window


def test_the_papers_own_numbers():
    assert longest_text(511, 0.15, 3.0) == 568  # 512 with the end token, and targets of 114
    assert [int(n) for n in noise_of(np.asarray(568), 0.15, 3.0)] == [85, 28]


@settings(max_examples=60, deadline=None)
@given(some.integers(0, 200), some.floats(0.05, 0.9), some.floats(1, 9), some.integers(0, 99))
def test_source_and_target_hold_the_text_between_them(tokens, rate, span, seed):
    text, signs = np.arange(tokens), 1000 + np.arange(200)
    starts, ends = span_starts(tokens, rate, span, chance(seed))
    source, target = (make(text, starts, ends, signs[: len(starts)]) for make in (replaced_spans, named_spans))
    noise, spans = (int(number) for number in noise_of(np.asarray(tokens), rate, span))
    assert len(starts) == spans and int((ends - starts).sum()) == noise and len(source) == tokens - noise + spans
    assert (ends > starts).all() and (starts[1:] > ends[:-1]).all()  # never side by side
    written = np.split(target, np.flatnonzero(target >= 1000)[1:])
    spelled = {int(part[0]): part[1:].tolist() for part in written if len(part)}
    whole = [token for one in source.tolist() for token in (spelled[one] if one >= 1000 else [one])]
    assert whole == text.tolist() and list(spelled) == signs[: len(starts)].tolist()


def test_all_ways_to_cut_are_alike():
    drawn = chance()
    found = [tuple(segments(5, 3, drawn)) for _ in range(3000)]
    assert set(found) == {(1, 1, 3), (1, 3, 1), (3, 1, 1), (1, 2, 2), (2, 1, 2), (2, 2, 1)}
    assert min(found.count(one) for one in set(found)) > 400


@settings(max_examples=60, deadline=None)
@given(some.integers(0, 200), some.floats(0.01, 1), some.floats(1, 9), some.integers(0, 99))
def test_infilling_takes_its_share_and_makes_no_text_longer(tokens, share, span, seed):
    starts, ends = infilled(tokens, share, span, chance(seed))
    wanted = min(tokens, max(1, round(share * tokens))) if tokens else 0
    assert int((ends - starts).sum()) == wanted and len(starts) <= wanted
    assert (ends >= starts).all() and (starts[1:] >= ends[:-1]).all() and (ends <= tokens).all()
    assert len(replaced_spans(np.arange(tokens), starts, ends, np.full(len(starts), 999))) <= tokens


def test_lengths_are_poissons():
    lengths = np.concatenate([np.subtract(*reversed(infilled(4000, 0.5, 3.0, chance(seed)))) for seed in range(4)])
    assert lengths.mean() == pytest.approx(3, abs=0.15) and lengths.var() == pytest.approx(3, abs=0.4)
    assert (lengths == 0).mean() == pytest.approx(np.exp(-3), abs=0.02)


def test_every_place_is_met():
    drawn = chance()
    assert {span_starts(10, 0.15, 3.0, drawn)[0][0] for _ in range(200)} == set(range(9))  # one span of two tokens
