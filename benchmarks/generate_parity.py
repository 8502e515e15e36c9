"""Greedy and beam answers beside those of transformers' `generate`, token for token.

    python benchmarks/generate_parity.py                    # fresh toy networks of each family, 200 prompts each
    python benchmarks/generate_parity.py --model FOLDER     # a real checkpoint, on random ids of its vocabulary

Ours answers prompts of different lengths in batches, theirs one by one. Exits 1 where an answer differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import torch

VOCABULARY, PAD, STOP = 61, 0, 2
IDS = dict(vocab_size=VOCABULARY, pad_token_id=PAD, bos_token_id=1, eos_token_id=STOP)
DECODER = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
BART = dict(
    d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
    encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64, decoder_start_token_id=PAD,
    forced_bos_token_id=None, forced_eos_token_id=None,
)  # fmt: skip
FAMILIES = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", DECODER | dict(num_key_value_heads=2, max_position_embeddings=64)),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", dict(n_embd=32, n_layer=2, n_head=4, n_inner=48, n_positions=64)),
    "t5": (
        "T5ForConditionalGeneration", "T5Config",
        dict(d_model=32, d_kv=8, num_heads=4, d_ff=48, num_layers=2, decoder_start_token_id=PAD),
    ),
    "bart": ("BartForConditionalGeneration", "BartConfig", BART),
    "marian": ("MarianMTModel", "MarianConfig", BART),
}  # fmt: skip


def fresh(family: str):
    """Their toy network, with values large enough that texts vary."""
    import transformers

    cls, config, options = FAMILIES[family]
    torch.manual_seed(7)
    made = getattr(transformers, cls)(getattr(transformers, config)(**IDS, **options)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "embed_positions" not in name:
                size = 0.1 if name.endswith("bias") else 0.8 if parameter.dim() > 1 else 1.5
                parameter.copy_(torch.randn_like(parameter) * size)
    return made


def opened(folder: Path):
    """Their network of a folder, as its architecture says."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    for key in set(config.to_dict()) - set(type(config)().to_dict()) - {"dtype"}:
        delattr(config, key)  # what its makers noted there for their own programs
    return (
        getattr(transformers, config.architectures[0])
        .from_pretrained(folder, config=config, dtype=torch.float32)
        .eval()
    )


def asked(vocabulary: int, count: int, longest: int) -> list[list[int]]:
    """Random prompts of different lengths."""
    generator = torch.Generator().manual_seed(11)
    sizes = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(3, vocabulary, (size,), generator=generator).tolist() for size in sizes]


@torch.inference_mode()
def their_answer(theirs, prompt: list[int], beams: int, new: int, stops: list[int]) -> list[int]:
    """One answer, cut at the stop token."""
    tokens = torch.tensor([prompt])
    made = theirs.generate(
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=new, do_sample=False, num_beams=beams,
        forced_bos_token_id=None, forced_eos_token_id=None, bad_words_ids=None, length_penalty=1.0,
        early_stopping=False, no_repeat_ngram_size=0, repetition_penalty=1.0,
    )[0].tolist()  # fmt: skip
    made = made[1 if theirs.config.is_encoder_decoder else len(prompt) :]
    return made[: min([made.index(stop) for stop in stops if stop in made], default=len(made))]


def compare(name: str, theirs, count: int, new: int = 16) -> int:
    """How many of the answers differ."""
    from penjing.generate.loop import complete
    from penjing.generate.options import GenerateOptions
    from penjing.model.checkpoint import read_checkpoint

    settings = theirs.generation_config
    start, given = settings.decoder_start_token_id, settings.eos_token_id
    stops = [] if given is None else [given] if isinstance(given, int) else list(given)
    settings.pad_token_id = PAD if settings.pad_token_id is None else settings.pad_token_id
    theirs.generation_config.max_length = None
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = read_checkpoint(folder).transformer().eval()
    prompts, wrong = asked(ours.config.vocab_size, count, 20), 0
    for beams in (1, 4):
        options = GenerateOptions(
            max_new_tokens=new, temperature=0 if beams == 1 else 1, beams=beams, stop_tokens=tuple(stops),
            decoder_start=start if theirs.config.is_encoder_decoder else None,
        )  # fmt: skip
        answers = [a for i in range(0, count, 20) for (a,) in complete(ours, prompts[i : i + 20], options)]
        wanted = [their_answer(theirs, prompt, beams, new, stops) for prompt in prompts]
        pairs = list(zip(answers, wanted, strict=True))
        different = [
            i for i, (a, b) in enumerate(pairs) if a.tokens != b[: len(a.tokens)] or set(b[len(a.tokens) :]) - {PAD}
        ]
        varied, lengths = len({tuple(a.tokens) for a in answers}), sum(len(a.tokens) for a in answers) / count
        print(
            f"{name:12s} {'greedy' if beams == 1 else f'beam {beams}':7s} {count - len(different)} of {count} equal, "
            f"{varied} different answers, {lengths:.1f} tokens on average",
            flush=True,
        )
        for i in different[:3]:
            print(f"    prompt {prompts[i]}\n    ours   {answers[i].tokens}\n    theirs {wanted[i]}")
        wrong += len(different)
    return wrong


def main() -> int:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="a checkpoint to compare instead of the fresh ones")
    parser.add_argument("--prompts", type=int, default=200)
    options = parser.parse_args()
    if options.model:
        return int(compare(options.model.name, opened(options.model), options.prompts) > 0)
    from penjing.model.families import families

    return int(sum(compare(f, fresh(f), options.prompts) for f in FAMILIES if f in families()) > 0)


if __name__ == "__main__":
    sys.exit(main())
