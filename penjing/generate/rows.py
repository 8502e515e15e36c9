"""The rows of one generation: their prompts, their tokens so far, and the edits of scores that options ask for.

Shapes: R rows, V vocabulary, S tokens so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock

import torch
from torch import Tensor, nn

from penjing.base.errors import GenerateError, raise_all
from penjing.generate import sampling
from penjing.generate.options import GenerateOptions
from penjing.model.batch import Batch
from penjing.model.positions import BOUNDED
from penjing.model.transformer import Network

PENALTIES = (
    "logit_bias", "repetition_penalty", "frequency_penalty", "presence_penalty", "no_repeat_ngram", "bad_words",
    "first_token", "last_token",
)  # fmt: skip

STILL: dict[nn.Module, tuple[int, tuple[nn.Module, ...]]] = {}  # how many hold it still, and the modules that trained
HELD = RLock()  # an abandoned generator may end within


class Texts:
    """The tokens of all rows, newest at the right, filled up at the left with V, which is no token."""

    def __init__(self, prompts: Sequence[Sequence[int]], room: int, vocabulary: int, device: torch.device):
        self.first = self.length = max(map(len, prompts))
        self.tokens = torch.full((len(prompts), self.length + room), vocabulary, device=device)
        for row, prompt in zip(self.tokens, prompts, strict=True):
            row[self.length - len(prompt) : self.length] = torch.tensor(prompt, device=device)

    @property
    def seen(self) -> Tensor:
        """Prompts and answers, R S."""
        return self.tokens[:, : self.length]

    @property
    def made(self) -> Tensor:
        """Answers alone."""
        return self.tokens[:, self.first : self.length]

    @property
    def newest(self) -> Tensor:
        """The last token of each row, R 1."""
        return self.tokens[:, self.length - 1 : self.length]

    def add(self, tokens: Tensor) -> None:
        """The token that each row took."""
        self.tokens[:, self.length] = tokens
        self.length += 1

    def extend(self, tokens: Sequence[int]) -> None:
        """Several tokens that the only row took."""
        self.tokens[0, self.length : self.length + len(tokens)] = torch.tensor(tokens)
        self.length += len(tokens)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        self.tokens = self.tokens[rows]


def edits(options: GenerateOptions) -> bool:
    """Whether options edit scores before the choice."""
    neutral = GenerateOptions()
    return options.min_new_tokens > 0 or any(getattr(options, name) != getattr(neutral, name) for name in PENALTIES)


class Penalties:
    """What options do to scores before the choice, in the order that transformers has."""

    def __init__(self, options: GenerateOptions, vocabulary: int, device: torch.device):
        self.options, self.asked = options, edits(options)
        like = torch.zeros((), device=device)
        self.bias = sampling.bias_of(options.logit_bias, vocabulary, like) if options.logit_bias else None

    def __call__(self, scores: Tensor, texts: Texts) -> Tensor:
        """Scores R V, edited; the same tensor where nothing is asked."""
        options = self.options
        if self.bias is not None:
            scores = sampling.bias(scores, self.bias)
        if options.repetition_penalty != 1.0:
            scores = sampling.repetition(scores, texts.seen, options.repetition_penalty)
        if options.frequency_penalty or options.presence_penalty:
            scores = sampling.frequency(scores, texts.made, options.frequency_penalty, options.presence_penalty)
        if options.no_repeat_ngram:
            scores = sampling.no_repeat(scores, texts.seen, options.no_repeat_ngram)
        if options.bad_words:
            scores = sampling.forbid(scores, texts.seen, options.bad_words)
        if texts.length - texts.first < options.min_new_tokens:
            scores = sampling.without(scores, options.stop_tokens)
        if texts.length == texts.first and options.first_token is not None:
            scores = sampling.only(scores, options.first_token)
        if texts.length - texts.first == options.max_new_tokens - 1 and options.last_token is not None:
            scores = sampling.only(scores, options.last_token)
        return scores


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """No dropout while it lasts. It may last several times over; the last to end makes modules train that did."""
    with HELD:
        users, trained = STILL.get(network, (0, ()))
        if users == 0:
            trained = tuple(module for module in network.modules() if module.training)
        if network.training:
            network.eval()
        STILL[network] = users + 1, trained
    try:
        yield
    finally:
        with HELD:
            users, trained = STILL.pop(network)
            if users > 1:
                STILL[network] = users - 1, trained
            for module in trained if users == 1 else ():
                module.training = True


def batch_of(prompts: Sequence[Sequence[int]], network: nn.Module) -> Batch:
    """Prompts side by side: a decoder's end together, an encoder's begin together."""
    longest, left = max(map(len, prompts), default=0), not network.config.encoder_layers
    tokens, mask = torch.zeros(len(prompts), longest, dtype=torch.int64), torch.zeros(len(prompts), longest)
    for row, prompt in enumerate(prompts):
        place = slice(longest - len(prompt), longest) if left else slice(0, len(prompt))
        tokens[row, place], mask[row, place] = torch.tensor(prompt, dtype=torch.int64), 1
    batch = Batch(tokens, None if mask.all() else mask.bool())
    return batch.to(next(network.parameters()).device)


def prompts_of(network: Network, batch: Batch, options: GenerateOptions) -> tuple[Batch, list[list[int]]]:
    """The batch with a target where a decoder needs one, and what each row's decoder has read, without padding."""
    config = network.config
    sources = unpadded(batch.tokens, batch.mask)
    raise_all([*lengths(sources, network), *unknown(options, config.vocab_size)])
    if not (config.encoder_layers and config.decoder_layers):
        batch.check(config)
        return batch, sources
    if batch.target is None:
        start = config.decoder_start if options.decoder_start is None else options.decoder_start
        if start is None:
            raise GenerateError("P-GENERATE-006", field="decoder_start")
        target = torch.full((len(sources), 1), start, device=batch.tokens.device)
        batch = Batch(batch.tokens, batch.mask, batch.segments, target)
    batch.check(config)
    prompts = unpadded(batch.target, batch.target_mask)
    raise_all(lengths(prompts, network))
    return batch, prompts


def unpadded(tokens: Tensor, mask: Tensor | None) -> list[list[int]]:
    """Each row's real tokens."""
    return tokens.tolist() if mask is None else [row[real].tolist() for row, real in zip(tokens, mask, strict=True)]


def window(network: Network) -> int | None:
    """The most tokens a row may have; None: no end."""
    return network.max_tokens if network.config.position in BOUNDED else None


def lengths(prompts: Sequence[Sequence[int]], network: Network) -> list[GenerateError]:
    """Prompts that are empty or too long."""
    most = window(network)
    found = [GenerateError("P-GENERATE-004", row=row) for row, prompt in enumerate(prompts) if not prompt]
    if not prompts:
        found.append(GenerateError("P-GENERATE-005"))
    if most is not None:
        long = [(row, len(prompt)) for row, prompt in enumerate(prompts) if len(prompt) > most]
        found += [GenerateError("P-GENERATE-007", row=row, given=size, most=most) for row, size in long]
    return found


def unknown(options: GenerateOptions, vocabulary: int) -> list[GenerateError]:
    """Tokens in the options that the network does not have."""
    named = {
        "bad_words": [token for word in options.bad_words for token in word],
        "forced_words": [token for word in options.forced_words for token in word],
        "logit_bias": list(options.logit_bias),
        "stop_tokens": list(options.stop_tokens),
    }
    singles = ("first_token", "last_token", "decoder_start")
    named |= {name: [value] for name in singles if (value := getattr(options, name)) is not None}
    wrong = {name: [t for t in tokens if not 0 <= t < vocabulary] for name, tokens in named.items()}
    return [
        GenerateError("P-GENERATE-008", field=name, given=tokens[0], size=vocabulary)
        for name, tokens in wrong.items()
        if tokens
    ]


def limits(prompts: Sequence[Sequence[int]], options: GenerateOptions, network: Network) -> list[int]:
    """How many tokens each row may get: the window's last slot is read to choose one token more."""
    most = window(network)
    room = [options.max_new_tokens if most is None else most - len(prompt) + 1 for prompt in prompts]
    return [min(options.max_new_tokens, free) for free in room]


def checked(norms: Sequence[float], rows: Sequence[int]) -> None:
    """An error unless the scores' norms, log sum exp, are numbers."""
    for norm, row in zip(norms, rows, strict=True):
        if norm == -torch.inf:
            raise GenerateError("P-GENERATE-009", row=row)
        if norm - norm != 0.0:
            raise GenerateError("P-GENERATE-010", row=row)
