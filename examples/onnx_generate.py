"""Greedy generation from `penjing export MODEL --to onnx`: numpy, onnxruntime and tokenizers, no Penjing and no torch.

python onnx_generate.py FOLDER "Once upon a time" [tokens]
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def run(session, given):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def write(folder, text, most=40):
    """The answer to a text: a decoder goes on with it, an encoder-decoder reads it and writes another."""
    folder, both = Path(folder), (Path(folder) / "encoder_model.onnx").exists()
    tokenizer, about = Tokenizer.from_file(str(folder / "tokenizer.json")), read(folder, "generation_config.json")
    session = onnxruntime.InferenceSession(folder / ("decoder_model.onnx" if both else "model.onnx"))
    tokens, source = np.array([tokenizer.encode(text, add_special_tokens=both).ids]), {}
    if both:
        given = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        source = run(onnxruntime.InferenceSession(folder / "encoder_model.onnx"), given)
        source["encoder_attention_mask"] = given["attention_mask"]
        tokens = np.array([[about["decoder_start_token_id"]]])
    shapes = {one.name: one.shape for one in session.get_inputs() if one.name.startswith("past_key_values")}
    past = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in shapes.items()}
    read_so_far, answer, ends = 0, [], np.atleast_1d(about["eos_token_id"])
    while len(answer) < most:
        read_so_far += tokens.shape[1]
        mask = np.ones((1, read_so_far), np.int64)
        found = run(session, {"input_ids": tokens, "attention_mask": mask, **past, **source})
        past = {name.replace("present", "past_key_values"): found[name] for name in found if name != "logits"}
        tokens = found["logits"][:, -1:].argmax(-1)
        if tokens[0, 0] in ends:
            break
        answer.append(int(tokens[0, 0]))
    return tokenizer.decode(answer)


if __name__ == "__main__":
    print(write(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
