"""The full certificate of an export on many inputs, and beside it the runtimes that Penjing does not call itself.

    python benchmarks/export_check.py --model FOLDER --to hf,half,onnx,onnx_int8 --data runs/x/clean
    python benchmarks/export_check.py --model DECODER --to hf,onnx,gguf --texts corpus.jsonl --llama

--data  a clean step: answers and scores of its first records (default 2,000) are compared by the certificate
--texts a file of records with `text`: of a decoder, the likeliest token after the beginning of each text is compared
--llama GGUF files are opened by llama-cpp-python: token ids, scores and likeliest tokens of the same texts

hf and half are also opened by transformers. Exits 1 where a certificate fails or a runtime answers otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from penjing.base.errors import PenjingError
from penjing.base.records import read_records
from penjing.evaluate.folding import metrics
from penjing.evaluate.measuring import chosen_split
from penjing.export import targets_of
from penjing.export.certificate import export, said
from penjing.export.target import Source, Target
from penjing.model.batch import Batch
from penjing.recipe.models import model_folder
from penjing.tasks.model import Model

PROMPT = 48  # tokens at most of each text that are read before the likeliest next one is asked for
ENOUGH = {"hf": 1.0, "onnx": 1.0}  # share of equal choices, else NEARLY
NEARLY = 0.995

Scores = Callable[[list[int]], torch.Tensor]  # tokens of one text to the scores of what follows, V


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    model = Model.load(model_folder(asked.model))
    source = Source(model_folder(asked.model), model)
    records = chosen_split(asked.data, "test")[1][: asked.records] if asked.data else []
    prompts = beginnings(model, asked.texts, asked.records) if asked.texts else []
    print(f"{model.family}, {model.task.name}, {sum(p.numel() for p in model.parameters()):,} numbers; "
          f"{len(records)} records, {len(prompts)} texts")  # fmt: skip
    before = said(model, model.generation, records, metrics)
    wanted = [next_scores(model)(prompt) for prompt in prompts]
    failed = False
    with tempfile.TemporaryDirectory() as place:
        for target in targets_of([{name: options_of(name, asked)} for name in asked.to.split(",")]):
            began = time.perf_counter()
            try:
                found = export(Path(place) / target.name, target, source, before, records, metrics)
            except PenjingError as error:
                print(f"{target.name}: {error.text('en').splitlines()[0]}")
                failed = True
                continue
            print(summary(target, found, time.perf_counter() - began))
            for name, runtime in runtimes(target, Path(place) / target.name, source, asked.llama).items():
                failed |= not compared(name, runtime, prompts, wanted, ENOUGH.get(target.name, NEARLY))
    sys.exit(1 if failed else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--to", default="hf,half,onnx,onnx_int8")
    parser.add_argument("--type", default="F16", help="of gguf")
    parser.add_argument("--dtype", default="bfloat16", help="of half")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--llama", action="store_true")
    return parser.parse_args()


def options_of(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """The options of a target."""
    return {"gguf": {"type": asked.type}, "half": {"dtype": asked.dtype}}.get(name, {})


def beginnings(model: Model, file: Path, most: int) -> list[list[int]]:
    """The first tokens of texts, each of another length, as a decoder reads them."""
    texts = [str(record["text"]) for record in read_records(file)][:most]
    ids = model.tokenizer.encode_many(texts)
    lengths = [4 + row % (min(PROMPT, model.window - 2) - 3) for row in range(len(ids))]
    return [[*model.tokenizer.prefix, *tokens[:length]] for tokens, length in zip(ids, lengths, strict=True) if tokens]


def summary(target: Target, found: dict[str, Any], seconds: float) -> str:
    """One line of a certificate, and the task's scores before and after."""
    line = (f"{target.name}: {found['bytes'] / 1e6:.2f} MB, scores {found['distance']:.2g} apart (allowed "
            f"{found['allowed_distance']:.2g}), best choice another in {found['other_choices']} of {found['rows']}")  # fmt: skip
    if "records" in found:
        line += f"; {found['other_answers']} of {found['records']} answers another"
        for name, value in found["before"].items():
            after = found["after"][name]
            line += f"; {name} {value['value']:.4f} -> {after['value']:.4f}"
    return line + f" ({seconds:.0f} s)"


# ---- the runtimes ----


def next_scores(model: Model) -> Scores:
    """The scores that a decoder gives for what follows."""

    @torch.inference_mode()
    def scores(tokens: list[int]) -> torch.Tensor:
        return model.network.logits(model.network(Batch(torch.tensor([tokens]))))[0, -1].float()

    return scores


def runtimes(target: Target, folder: Path, source: Source, llama: bool) -> dict[str, Scores]:
    """Who else can be asked about a decoder's export: its own runtime, transformers, llama.cpp."""
    if source.model.task.purpose != "causal":
        return {}
    found = {f"{target.name} by its own runtime": next_scores(target.read(folder, source))}
    if target.name in ("hf", "half"):
        found[f"{target.name} by transformers"] = transformers_scores(folder)
    if target.name == "gguf" and llama:
        found["gguf by llama.cpp"] = llama_scores(folder / "model.gguf", source.model)
    return found


def transformers_scores(folder: Path) -> Scores:
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def scores(tokens: list[int]) -> torch.Tensor:
        return network(torch.tensor([tokens])).logits[0, -1].float()

    return scores


def llama_scores(file: Path, model: Model) -> Scores:
    """llama.cpp's scores; the token ids of the text that the tokens spell must be these tokens."""
    import numpy as np
    from llama_cpp import Llama, llama_get_logits_ith

    network = Llama(str(file), n_ctx=PROMPT + 16, logits_all=False, verbose=False, n_threads=torch.get_num_threads())
    counts = {"texts": 0, "other tokens": 0}

    def scores(tokens: list[int]) -> torch.Tensor:
        counts["texts"] += 1
        text = model.tokenizer.decode(tokens).encode()
        ours = [*model.tokenizer.prefix, *model.tokenizer.encode(text.decode())]
        counts["other tokens"] += network.tokenize(text, add_bos=bool(model.tokenizer.prefix)) != ours
        network.reset()
        network.eval(tokens)
        logits = llama_get_logits_ith(network.ctx, -1)
        found = torch.from_numpy(np.ctypeslib.as_array(logits, shape=(network.n_vocab(),)).copy())
        if counts["texts"] % 100 == 0:
            print(f"  llama.cpp: {counts['other tokens']} of {counts['texts']} texts have other tokens", flush=True)
        return found

    return scores


def compared(
    name: str, runtime: Scores, prompts: Sequence[list[int]], wanted: Sequence[torch.Tensor], share: float
) -> bool:
    """Distance and equal choices of one runtime over all prompts; whether enough are equal."""
    if not prompts:
        return True
    far, same = 0.0, 0
    for prompt, before in zip(prompts, wanted, strict=True):
        after = runtime(prompt)
        far = max(far, float((after - before).abs().max() / before.abs().max().clamp(min=1)))
        same += bool(before.max() - before[after.argmax()] <= 1e-5 * before.abs().max())
    print(f"  {name}: {same} of {len(prompts)} likeliest tokens equal, scores at most {far:.2g} apart")
    return same >= share * len(prompts)


if __name__ == "__main__":
    main()
