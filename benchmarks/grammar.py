"""Grammars: do all answers of an untrained network validate, and what does a step cost?

    python benchmarks/grammar.py                              # 1,000 answers under 20 JSON schemas, then the cost
    python benchmarks/grammar.py --tokenizer DIR --answers 0  # only the cost, with the vocabulary of that folder

The network is a randomly initialised Llama, the tokenizer a byte-level BPE trained on the example data. Each answer is
parsed by `json` and validated by `jsonschema` (formats too); the budget steers rows to the end, the check is not eased.
The cost is that of one decoding step of a Llama of 32M parameters, with and without the rule, float32, in alternating
runs; of each the fastest of several.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jsonschema
import torch

from penjing.generate.grammar import Grammar, GrammarRule, Vocabulary
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.size import fresh_config
from penjing.model.transformer import Transformer
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_training import train_tokenizer

ROOT = Path(__file__).parents[1]


def table(needed: list[str], **properties) -> dict:
    """An object without further properties."""
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def text(**limits) -> dict:
    return {"type": "string", **limits}


def array(items: dict, low: int, high: int) -> dict:
    return {"type": "array", "items": items, "minItems": low, "maxItems": high}


WHOLE, COLOUR = {"type": "integer"}, {"enum": ["red", "green", "blue", "红"]}
PERSON = table(["name", "age"], name=text(minLength=1, maxLength=12), age={**WHOLE, "minimum": 0, "maximum": 120})
DATE = text(format="date")
TREE = {
    "$defs": {"node": table(["value", "children"], value=WHOLE, children=array({"$ref": "#/$defs/node"}, 0, 3))},
    "$ref": "#/$defs/node",
}
SCHEMAS = {
    "person": PERSON,
    "people": array(PERSON, 1, 4),
    "enum": table(["a", "b"], a=COLOUR, b={"enum": [1, 2.5, None, True, "x"]}),
    "const": table(["kind", "at"], kind={"const": "click"}, at=table(["x", "y"], x=WHOLE, y=WHOLE)),
    "bounds": array({"type": "number", "minimum": -1.5, "exclusiveMaximum": 10}, 3, 6),
    "multiples": array({"type": "integer", "multipleOf": 5, "minimum": -100, "maximum": 1000}, 2, 4),
    "exclusive": table(["p"], p={"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
    "pattern": table(["code"], code=text(pattern="^[A-Z]{2}-[0-9]{4}$"), note=text(pattern="^(yes|no)")),
    "lengths": table(["s", "t"], s=text(minLength=5, maxLength=5), t=text(minLength=10)),
    "formats": table(["d", "t", "u", "i"], d=DATE, t=text(format="time"), u=text(format="uuid"), i=text(format="ipv4")),
    "any of": array({"anyOf": [{"type": "null"}, WHOLE, text(maxLength=4), PERSON]}, 1, 5),
    "all of": {"allOf": [table(["a"], a=WHOLE, b={"type": "boolean"}), {"required": ["b"]}]},
    "one of": {"oneOf": [table(["cat"], cat=text(maxLength=6)), array(WHOLE, 1, 2), {"type": "boolean"}]},
    "optional": table([], a=WHOLE, b=COLOUR, c=text(maxLength=3), d=array(WHOLE, 0, 2)),
    "nested": table(["x"], x=table(["y"], y=table(["z"], z=array(table(["w"], w=COLOUR), 1, 2)))),
    "tree": TREE,
    "tuple": {"type": "array", "prefixItems": [WHOLE, text(maxLength=5), COLOUR], "items": False, "minItems": 3},
    "free map": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    "named map": {"type": "object", "patternProperties": {"^k[0-9]$": {"type": "boolean"}}, "additionalProperties": False},
    "anything": {},
}  # fmt: skip
LONG = array(table(["name", "note", "tags"], name=text(minLength=4), note=text(), tags=array(COLOUR, 2, 5)), 10, 200)


def trained() -> Tokenizer:
    """A byte-level BPE of the example data."""
    lines = [
        line
        for name in ("raw.txt", "train.jsonl")
        for line in (ROOT / "examples/support" / name).open(encoding="utf-8")
    ]
    return train_tokenizer(lines, kind="bpe", size=4096)


def llama(vocabulary: int, width: int, layers: int, seed: int = 0) -> Transformer:
    """A decoder with random weights."""
    return Transformer.new(
        fresh_config("llama", vocab_size=vocabulary, width=width, layers=layers, max_tokens=1024), seed
    ).eval()


def answers(vocabulary: Vocabulary, tokenizer: Tokenizer, count: int, budget: int) -> int:
    """How many of the answers under all schemas parse and validate; what does not is shown."""
    network, each, good, tokens, began = llama(tokenizer.size, 64, 2), count // len(SCHEMAS), 0, 0, time.perf_counter()
    for name, schema in SCHEMAS.items():
        options = GenerateOptions(max_new_tokens=budget, returns=each, seed=1, stop_tokens=tuple(vocabulary.stop))
        check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        (found,) = complete(network, [[5, 6, 7]], options, [GrammarRule(Grammar.json(schema, vocabulary), budget)])
        valid, lengths = 0, [len(answer.tokens) + 1 for answer in found]
        for answer in found:
            said = tokenizer.decode(answer.tokens)
            try:
                check.validate(json.loads(said))
                valid += answer.reason == "stop"
            except (ValueError, jsonschema.ValidationError) as error:
                print(f"  {name}: {type(error).__name__}: {said!r}")
        good, tokens = good + valid, tokens + sum(lengths)
        print(f"{name:10}  {valid}/{each} valid, {min(lengths)} to {max(lengths)} tokens, such as {said[:60]!r}")
    print(f"{good} of {each * len(SCHEMAS)} parse and validate; {tokens} tokens in {time.perf_counter() - began:.0f} s")
    return good


def step_seconds(network: Transformer, rows: int, steps: int, rules: list) -> float:
    """Seconds of one decoding step."""
    options, began = GenerateOptions(max_new_tokens=steps, seed=1), time.perf_counter()
    found = complete(network, [[5, 6, 7, 8]] * rows, options, rules)
    assert all(len(one.tokens) == steps for row in found for one in row), "a row ended early"
    return (time.perf_counter() - began) / steps


def cost(vocabulary: Vocabulary, tokenizer: Tokenizer, steps: int = 64, times: int = 5) -> None:
    """Step times with and without the rule."""
    network, grammar = llama(tokenizer.size, 512, 8), Grammar.json(LONG, vocabulary)
    parameters = sum(one.numel() for one in network.parameters())
    for rows in (1, 16):
        spent: dict[str, float] = {}
        for _ in range(times):
            ways = {"without": [], "with": [GrammarRule(grammar)], "and budget": [GrammarRule(grammar, 1000)]}
            for name, rules in ways.items():
                spent[name] = min(spent.get(name, 1e9), step_seconds(network, rows, steps, rules))
        shown = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for name, seconds in spent.items())
        more = [f"{spent[name] / spent['without'] - 1:+.1%}" for name in ("with", "and budget")]
        print(f"{parameters / 1e6:.0f}M, {tokenizer.size} tokens, {rows} rows: a step {shown}; {' and '.join(more)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    tokenizer = Tokenizer.load(given.tokenizer) if given.tokenizer else trained()
    vocabulary = Vocabulary(tokenizer)
    if given.answers:
        good = answers(vocabulary, tokenizer, given.answers, given.budget)
        assert good == given.answers // len(SCHEMAS) * len(SCHEMAS), "not all answers validate"
    cost(vocabulary, tokenizer)


if __name__ == "__main__":
    main()
