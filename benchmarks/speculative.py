"""Guesses and the texts without them: counts compared by chi-square, greedy texts, acceptance, tokens a second.

    python benchmarks/speculative.py [--draws 20000] [--model FOLDER] [--threads 2]

Counts: a toy Llama draws so many texts of four tokens from one prompt, plainly and with each guesser; the pairs of the
second and third token are compared by a chi-square test of two samples. With a folder of a Llama checkpoint, its own
first layers are the draft, and each way continues the same prompts, one at a time.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.generate.speculative import Draft, Lookup, Speculative
from penjing.model.config import ModelConfig
from penjing.model.transformer import Transformer

CONFIG = ModelConfig(
    24, width=16, heads=2, mlp_width=24, decoder_layers=2, max_tokens=40, position="rotary", norm="rms",
    norm_place="before", final_norm=True, gated_mlp=True, activation="silu", tied_output=False,
)  # fmt: skip
SETTINGS = {"temperature 1": {}, "temperature 0.8, top-k 8, top-p 0.9": dict(temperature=0.8, top_k=8, top_p=0.9)}


def toy(noise: float = 0.0) -> Transformer:
    """A network whose next tokens are neither certain nor even; with noise, one that is like it."""
    made = Transformer.new(CONFIG, 0).eval()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter.normal_(0, 0.3, generator=generator)
            parameter += noise * torch.randn(parameter.shape, generator=generator)
    return made


def pairs(way, draws: int, more: dict, seed: int) -> Counter:
    """Second and third tokens of so many answers to one prompt."""
    counts: Counter = Counter()
    for first in range(0, draws, 1000):
        options = GenerateOptions(max_new_tokens=4, returns=1000, seed=seed + first, **more)
        counts.update(tuple(answer.tokens[1:3]) for answer in way([[5, 7, 5, 7, 5]], options)[0])
    return counts


def chi_square(one: Counter, other: Counter) -> tuple[float, int, float]:
    """Value, degrees of freedom and probability that two samples of one law differ so much; rare cells are joined."""
    cells = Counter()
    for name in one.keys() | other.keys():
        cells[name if one[name] + other[name] >= 20 else None] += 1
    joined = [(one[n], other[n]) for n in cells if n is not None]
    a, b = sum(one.values()), sum(other.values())
    rest = a - sum(x for x, _ in joined), b - sum(y for _, y in joined)
    joined += [rest] if sum(rest) else []
    value = sum((x * (b / a) ** 0.5 - y * (a / b) ** 0.5) ** 2 / (x + y) for x, y in joined)
    degrees = len(joined) - 1
    far = torch.special.gammaincc(torch.tensor(degrees / 2, dtype=torch.float64), torch.tensor(value / 2).double())
    return value, degrees, float(far)


def counted(draws: int) -> None:
    network = toy()
    guessers = {"look-up": Lookup(2, 3), "draft alike": Draft(toy(0.05), 3), "draft unlike": Draft(toy(0.5), 3)}
    for name, more in SETTINGS.items():
        plain = pairs(lambda *given: complete(network, *given), draws, more, 0)
        again = pairs(lambda *given: complete(network, *given), draws, more, 10**6)
        print(f"{name}: plain against plain, {told(again, plain)}")
        for kind, guesser in guessers.items():
            way = Speculative(network, guesser)
            found = pairs(way.complete, draws, more, 2 * 10**6)
            print(f"{name}: {kind} against plain, {told(found, plain)}; acceptance {way.tally.acceptance:.2f}")


def told(one: Counter, other: Counter) -> str:
    value, degrees, chance = chi_square(one, other)
    return f"chi-square {value:.1f} of {degrees} degrees (p = {chance:.2f})"


def measured(folder: Path) -> None:
    """Tokens a second and acceptance of a real network."""
    from penjing.model.checkpoint import read_checkpoint
    from penjing.text.tokenizer import Tokenizer

    network = read_checkpoint(folder).transformer().eval()
    tokenizer = Tokenizer.load(folder)
    texts = ["Once upon a time, there was a little girl named Lily.", "One day, a dog and a cat", "Tom had a red ball."]
    prompts = [tokenizer.encode(text) for text in texts]
    ways = {"plain": None, "look-up": Lookup(3, 6)}
    for layers in (len(network.decoder.blocks) - 1, len(network.decoder.blocks) - 2):
        ways[f"draft of {layers} layers"] = Draft(shortened(network, layers), 4)
    for temperature in (0.0, 0.7):
        options = GenerateOptions(max_new_tokens=200, temperature=temperature, seed=1 if temperature else None)
        plain = None
        for name, guesser in ways.items():
            way = Speculative(network, guesser) if guesser else None
            begin = time.perf_counter()
            found = [
                (way.complete if way else lambda *g: complete(network, *g))([p], options)[0][0].tokens for p in prompts
            ]
            seconds = time.perf_counter() - begin
            plain = plain or found
            tally = "" if way is None else (
                f", acceptance {way.tally.acceptance:.2f}, {way.tally.tokens_per_pass:.2f} tokens a pass"
            )  # fmt: skip
            print(
                f"temperature {temperature}: {name}: {600 / seconds:.0f} tokens/s{tally}, same text: {found == plain}"
            )


def shortened(network: Transformer, layers: int) -> Transformer:
    """The network without its last layers."""
    made = copy.deepcopy(network)
    made.decoder.blocks = nn.ModuleList(made.decoder.blocks[:layers])
    made.config = ModelConfig(**{**network.config.to_dict(), "decoder_layers": layers})
    made.decoder.config = made.config
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.model:
        measured(given.model)
    counted(given.draws)


if __name__ == "__main__":
    main()
