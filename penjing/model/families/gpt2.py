"""GPT-2 (Radford et al. 2019): a decoder with learned positions, norms before, one stored matrix for all of attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.families.family import ACTIVATIONS, Family, Key, token_classes, under
from penjing.model.families.llama import style

KEYS = {
    "vocab_size": Key("vocab_size", 50257),
    "n_embd": Key("width", 768),
    "n_layer": Key("decoder_layers", 12),
    "n_head": Key("heads", 12),
    "n_inner": Key("mlp_width"),
    "n_positions": Key("max_tokens", 1024),
    "activation_function": Key("activation", "gelu_new", {"gelu_new": "gelu_tanh", **ACTIVATIONS}),
    "resid_pdrop": Key("dropout", 0.1),
    "embd_pdrop": Key("dropout", 0.1),
    "attn_pdrop": Key("attention_dropout", 0.1),
    "layer_norm_epsilon": Key("norm_eps", 1e-5),
    "initializer_range": Key("initial_std", 0.02),
    "tie_word_embeddings": Key("tied_output", True),
}
UNUSED = {  # of a head for multiple choice
    "summary_type": "cls_index", "summary_use_proj": True, "summary_activation": None, "summary_proj_to_labels": True,
    "summary_first_dropout": 0.1, "predict_special_tokens": True,
}  # fmt: skip
BLOCK = {
    "before_attention": "ln_1",
    **{f"attention.{part}": f"attn.c_attn|transposed|{i}/3" for i, part in enumerate(("query", "key", "value"))},
    "attention.output": "attn.c_proj|transposed",
    "before_mlp": "ln_2",
    "mlp.up": "mlp.c_fc|transposed",
    "mlp.down": "mlp.c_proj|transposed",
}
NAMES = {
    "embedding": "transformer.wte",
    "decoder.position.table": "transformer.wpe",
    "decoder.final_norm": "transformer.ln_f",
    "output.weight": "lm_head.weight",
    "head.output": "score",
}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    inner = foreign["n_inner"]
    return {"mlp_width": 4 * foreign["n_embd"] if inner is None else inner}


FAMILY = Family(
    name="gpt2",
    architectures={
        "gpt2": {"causal": "GPT2LMHeadModel", "classify": "GPT2ForSequenceClassification", "base": "GPT2Model"}
        | token_classes("GPT2")
    },
    keys=KEYS,
    fixed={"norm_place": "before", "final_norm": True},
    also=UNUSED,
    only={
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False, True),  # how half precision is computed
        "add_cross_attention": (False,),
        "is_encoder_decoder": (False,),
    },
    read=read,
    names=lambda config, purpose: NAMES | under("decoder.blocks.{i}.", "transformer.h.{i}.", BLOCK),
    style=style,
    spellings={
        "n_ctx": "n_positions",
        "max_position_embeddings": "n_positions",
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
    },
    root="transformer.",
    extra=(r"lm_head\.weight", r"transformer\.h\.\d+\.attn\.(masked_)?bias"),  # tied; the causal mask
)
