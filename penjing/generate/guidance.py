"""Control of the process: other networks, or a classifier, bend the scores of the network that writes.

GuidanceRule   classifier-free guidance: the same network with another prompt (Sanchez et al. 2023, arXiv:2306.17806)
ExpertRule     expert and anti-expert networks (DExperts; Liu et al. 2021, arXiv:2105.03023)
ClassifierRule a small classifier of the continuations (FUDGE; Yang and Klein 2021, arXiv:2104.05218)

Shapes: R rows, V vocabulary, K candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from penjing.base.errors import GenerateError
from penjing.generate.rows import batch_of, still
from penjing.generate.rules import Rule
from penjing.model.batch import Batch

Classifier = Callable[[list[list[int]]], Sequence[float] | Tensor]


class Reader:
    """A network that reads what the rows take, with a memory of its own.

    `sources`: of an encoder-decoder, what its encoder reads: one for each prompt, or one for all. `most`: the tokens that
    will be generated at most (None: up to the network's window).
    """

    def __init__(self, network: nn.Module, sources: Sequence[Sequence[int]] | None = None, most: int | None = None):
        self.network, self.sources, self.most = network, sources, most
        both = bool(network.config.encoder_layers and network.config.decoder_layers)
        if both != (sources is not None):
            raise GenerateError("P-GENERATE-040", reason="`sources` belong to an encoder-decoder, and it needs them")

    @torch.inference_mode()
    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        """Read the prompts of the rows."""
        batch = batch_of(prompts if self.sources is None else spread(self.sources, len(prompts)), self.network)
        if self.sources is not None:
            target = batch_of(prompts, self.network)
            batch = Batch(batch.tokens, batch.mask, None, target.tokens, target.mask)
        longest = max(map(len, prompts))
        with still(self.network):
            self.memory = self.network.start(batch, None if self.most is None else longest + self.most)
        self.hidden, self.taken = self.memory.hidden, None

    @torch.inference_mode()
    def scores(self, like: Tensor) -> Tensor:
        """What this network would say next, R V."""
        if self.network.config.vocab_size != like.shape[1]:
            raise GenerateError("P-GENERATE-039", given=self.network.config.vocab_size, size=like.shape[1])
        with still(self.network):
            if self.taken is not None:
                device = next(self.network.parameters()).device
                self.hidden = self.network.step(torch.tensor(self.taken, device=device)[:, None], self.memory)
                self.taken = None
            return self.network.logits(self.hidden)[:, -1].float().to(like.device)

    def accept(self, tokens: Sequence[int]) -> None:
        self.taken = list(tokens)

    def select(self, rows: Sequence[int]) -> None:
        self.memory.select(list(rows))
        self.hidden = self.hidden[list(rows)]
        self.taken = None if self.taken is None else [self.taken[row] for row in rows]


def spread(given: Sequence[Sequence[int]], rows: int) -> list[Sequence[int]]:
    """One for each row, of one for each prompt (several answers of a prompt are neighbours) or of one for all."""
    if not given or rows % len(given):
        raise GenerateError("P-GENERATE-040", reason=f"{len(given)} texts were given for {rows} rows")
    return [one for one in given for _ in range(rows // len(given))]


class Company(Rule):
    """A rule with networks that read along."""

    readers: Sequence[Reader] = ()

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        for reader in self.readers:
            reader.start(prompts)

    def accept(self, tokens: Sequence[int]) -> None:
        for reader in self.readers:
            reader.accept(tokens)

    def select(self, rows: Sequence[int]) -> None:
        for reader in self.readers:
            reader.select(rows)


class GuidanceRule(Company):
    """Classifier-free guidance: away from what the network would say to `other` prompts, towards what it says to its own.

    log p = log p_other + scale (log p_own - log p_other): scale above 1 strengthens the prompt, 0 to 1 weakens it.
    `other`: prompts without the wish, or with its contrary, one for each prompt or one for all; of an encoder-decoder
    these are sources. Raises P-GENERATE-039 (another vocabulary) and -040 (settings that cannot be, or do nothing).
    """

    def __init__(self, network: nn.Module, other: Sequence[Sequence[int]], scale: float = 1.5, most: int | None = None):
        number("scale", scale, idle=1.0)
        if not other or not all(other):
            raise GenerateError("P-GENERATE-040", reason="there is no other prompt, or an empty one")
        self.other, self.scale = other, scale
        self.both = bool(network.config.encoder_layers)
        self.readers = [Reader(network, other if self.both else None, most)]

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        super().start(prompts if self.both else spread(self.other, len(prompts)))

    def apply(self, scores: Tensor) -> Tensor:
        other = self.readers[0].scores(scores).log_softmax(-1)
        return other + self.scale * (scores.log_softmax(-1) - other)


class ExpertRule(Company):
    """Scores plus `strength` times what an expert says more than an anti-expert.

    Each is a network of the same vocabulary, as small as you like: one that was trained on what is wanted, one on what
    is not. With one of them alone, its own log-probabilities are added or taken away. Of encoder-decoders `sources`.
    Raises P-GENERATE-039 and -040.
    """

    def __init__(
        self,
        expert: nn.Module | None = None,
        anti: nn.Module | None = None,
        strength: float = 1.0,
        sources: Sequence[Sequence[int]] | None = None,
        most: int | None = None,
    ):
        number("strength", strength, idle=0.0)
        if expert is anti:
            raise GenerateError("P-GENERATE-040", reason="it needs an expert, an anti-expert, or two different ones")
        given = [(expert, strength), (anti, -strength)]
        self.weights = [weight for network, weight in given if network is not None]
        self.readers = [Reader(network, sources, most) for network, _ in given if network is not None]

    def apply(self, scores: Tensor) -> Tensor:
        for weight, reader in zip(self.weights, self.readers, strict=True):
            scores = scores + weight * reader.scores(scores).log_softmax(-1)
        return scores


class ClassifierRule(Rule):
    """A classifier reads each of the `candidates` best continuations and says how likely it fulfils a wish.

    `classifier`: rows of token ids to log-probabilities (at most 0) of the wish, one a row, called once a step with
    `candidates` continuations of every live row; it sees the prompt too unless `prompt=False`. Other tokens are
    forbidden. Raises P-GENERATE-040 and -041 (an answer of the classifier that is none).
    """

    def __init__(self, classifier: Classifier, candidates: int = 50, strength: float = 1.0, prompt: bool = True):
        number("strength", strength, idle=0.0)
        if candidates < 2:
            raise GenerateError("P-GENERATE-040", reason="there must be at least 2 candidates")
        self.classifier, self.candidates, self.strength, self.prompt = classifier, candidates, strength, prompt
        self.texts: list[list[int]] = []

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        self.texts = [list(prompt) if self.prompt else [] for prompt in prompts]

    def accept(self, tokens: Sequence[int]) -> None:
        for text, token in zip(self.texts, tokens, strict=True):
            text.append(token)

    def select(self, rows: Sequence[int]) -> None:
        self.texts = [list(self.texts[row]) for row in rows]

    def apply(self, scores: Tensor) -> Tensor:
        best, tokens = scores.topk(min(self.candidates, scores.shape[1]))  # R K
        rows = [[*text, token] for text, few in zip(self.texts, tokens.tolist(), strict=True) for token in few]
        wish = self.judged(rows).to(scores.device).view_as(best)
        return torch.full_like(scores, -math.inf).scatter(1, tokens, best + self.strength * wish)

    def judged(self, rows: list[list[int]]) -> Tensor:
        """The classifier's answer, checked."""
        found = torch.as_tensor(self.classifier(rows), dtype=torch.float32).detach()
        if found.shape != (len(rows),) or bool(found.isnan().any()) or bool((found > 1e-4).any()):
            shape = tuple(found.shape)
            raise GenerateError("P-GENERATE-041", rows=len(rows), given=shape if shape != (len(rows),) else found.max())
        return found


def number(name: str, value: float, idle: float) -> None:
    """An error for a strength that is no number from 0 on, or that would change nothing."""
    if not (math.isfinite(value) and value >= 0):
        raise GenerateError("P-GENERATE-040", reason=f"{name} must be a number from 0 on, and it is {value}")
    if value == idle:
        raise GenerateError("P-GENERATE-040", reason=f"{name} {value:g} changes nothing")
