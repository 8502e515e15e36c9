"""Logits of saved checkpoints beside transformers' after `from_pretrained`, for each family and purpose.

    python benchmarks/parity.py                      # fresh networks, 4 layers, width 256
    python benchmarks/parity.py --model FOLDER       # a classifier trained here, on its own tokenizer's ids

Prints the largest difference and the largest logit; exits 1 where a difference is above 1e-5 (float32).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import torch

CASES = [
    ("bert", "classify", "AutoModelForSequenceClassification"),
    ("modernbert", "classify", "AutoModelForSequenceClassification"),
    ("bert", "masked", "AutoModelForMaskedLM"),
    ("llama", "causal", "AutoModelForCausalLM"),
    ("t5", "seq2seq", "AutoModelForSeq2SeqLM"),
]
TEXTS = ["The bonsai arrived with a broken pot.", "盆栽到了，可是盆碎了，怎么退？", "ok " * 60]


def fresh(folder: str, family: str, purpose: str):
    """Save a network of random weights; returns its logits function."""
    from penjing.model.batch import Batch
    from penjing.model.checkpoint import write_checkpoint
    from penjing.model.families import family_of
    from penjing.model.head import ClassHead
    from penjing.model.size import fresh_config
    from penjing.model.transformer import Transformer

    config = fresh_config(family, vocab_size=8192, width=256, layers=4, max_tokens=512)
    network = Transformer.new(config, 0, vocabulary=purpose != "classify").eval()
    found = family_of(family)
    head = ClassHead(256, 5, found.style(found.whole(dict(found.fresh)))).eval() if purpose == "classify" else None
    if head is not None:
        head.initialize(1)
    write_checkpoint(folder, network, family=family, purpose=purpose, head=head, extra={"pad_token_id": 0})

    def logits(tokens, mask, target):
        batch = Batch(tokens=tokens, mask=mask, target=target)
        return network.logits(network(batch)) if head is None else head(network(batch), batch)

    return logits


@torch.inference_mode()
def compare(family: str, purpose: str, opener: str) -> float:
    import transformers

    tokens = torch.randint(5, 8192, (4, 60), generator=torch.Generator().manual_seed(2))
    mask = torch.arange(60)[None] < torch.tensor([60, 47, 33, 60])[:, None]
    target = tokens[:, :20] if purpose == "seq2seq" else None
    with tempfile.TemporaryDirectory() as folder:
        ours = fresh(folder, family, purpose)(tokens, mask, target)
        theirs = getattr(transformers, opener).from_pretrained(folder).eval()
        more = {} if target is None else {"decoder_input_ids": target}
        wanted = theirs(input_ids=tokens, attention_mask=mask.long(), **more).logits
    rows = mask if purpose in ("masked", "causal") else slice(None)
    far = float((ours - wanted)[rows].abs().max())
    print(f"{family:11s} {purpose:9s} largest difference {far:.1e}, largest logit {float(wanted.abs().max()):.2f}")
    return far


@torch.inference_mode()
def trained(folder: Path) -> float:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from penjing.tasks.model import Model

    model, theirs = Model.load(folder), AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    far = 0.0
    for text in TEXTS:
        pieces = model.pieces([text])
        ids = tokenizer(text, truncation=True, max_length=model.window)["input_ids"]
        assert pieces.tokens(0).tolist() == ids, "token ids differ"
        (_, scores), *_ = model.scored(pieces)
        far = max(far, float((scores - theirs(torch.tensor([ids])).logits).abs().max()))
    print(f"trained classifier {folder.name}: same token ids, largest difference {far:.1e}")
    return far


def main() -> int:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="a saved classifier to compare as well")
    options = parser.parse_args()
    worst = max(compare(*case) for case in CASES)
    if options.model:
        worst = max(worst, trained(options.model))
    return int(worst > 1e-5)


if __name__ == "__main__":
    sys.exit(main())
