"""BART (arXiv:1910.13461): an encoder-decoder with norms after the residual and learned positions.

Its tables serve mBART and Marian too, which are the same network with other norms and positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import ACTIVATIONS, Family, Key, under
from penjing.model.head import HeadStyle

KEYS = {
    "vocab_size": Key("vocab_size", 50265),
    "d_model": Key("width", 1024),
    "encoder_layers": Key("encoder_layers", 12),
    "decoder_layers": Key("decoder_layers", 12),
    **{f"{side}_attention_heads": Key("heads", 16) for side in ("encoder", "decoder")},
    **{f"{side}_ffn_dim": Key("mlp_width", 4096) for side in ("encoder", "decoder")},
    "max_position_embeddings": Key("max_tokens", 1024),
    "activation_function": Key("activation", "gelu", ACTIVATIONS),
    "dropout": Key("dropout", 0.1),
    "attention_dropout": Key("attention_dropout", 0.0),
    "init_std": Key("initial_std", 0.02),
    "decoder_start_token_id": Key("decoder_start", 2),
}
FIXED = {"norm_eps": 1e-5, "position": "learned", "first_position": 2, "embedding_norm": True, "vocabulary_bias": True}
UNUSED = {  # of training only, or said twice
    "num_hidden_layers": None, "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "activation_dropout": 0.0,
    "classif_dropout": 0.0, "extra_pos_embeddings": 2, "force_bos_token_to_be_generated": False,
}  # fmt: skip
ONLY = {
    "is_encoder_decoder": (True,),
    "is_decoder": (False,),
    "add_bias_logits": (False,),
    "tie_word_embeddings": (True,),
}
EXTRA = (
    r"model\.(encoder|decoder)\.embed_tokens\.weight",  # tied
    r"lm_head\.weight",
    r"model\.(encoder|decoder)\.version",
)


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    return {"embedding_scale": foreign["d_model"] ** 0.5 if foreign["scale_embedding"] else 1.0}


def write(config: ModelConfig) -> dict[str, Any]:
    return {"scale_embedding": config.embedding_scale != 1.0, "is_encoder_decoder": True}


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    parts, place = ("query", "key", "value", "output"), config.norm_place
    block = {f"{place}_attention": "self_attn_layer_norm", f"{place}_mlp": "final_layer_norm"}
    block |= {f"{place}_cross": "encoder_attn_layer_norm", "mlp.up": "fc1", "mlp.down": "fc2"}
    for ours, theirs in (("attention", "self_attn"), ("cross", "encoder_attn")):
        block |= {f"{ours}.{part}": f"{theirs}.{'out' if part == 'output' else part[0]}_proj" for part in parts}
    side = {"position.table": "embed_positions", "embedding_norm": "layernorm_embedding", "final_norm": "layer_norm"}
    table = {"embedding": "model.shared", "output.weight": "lm_head.weight", "output.bias": "final_logits_bias|row"}
    table |= {"head.dense": "classification_head.dense", "head.output": "classification_head.out_proj"}
    for stack in ("encoder", "decoder"):
        table |= under(f"{stack}.blocks.{{i}}.", f"model.{stack}.layers.{{i}}.", block)
        table |= under(f"{stack}.", f"model.{stack}.", side)
    return table


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    """The decoder's state at the text's last end token; the decoder reads the text, shifted."""
    return HeadStyle("end", "dense", dropout=foreign["classifier_dropout"], end=foreign["eos_token_id"])


def write_style(style: HeadStyle) -> dict[str, Any]:
    return {"classifier_dropout": style.dropout, "eos_token_id": style.end}


FAMILY = Family(
    name="bart",
    architectures={"bart": {"seq2seq": "BartForConditionalGeneration", "classify": "BartForSequenceClassification"}},
    reads={"BartModel": "seq2seq"},  # the bare network; its scores have no bias
    blank=("output.bias",),
    root="model.",
    keys=KEYS,
    fixed=FIXED,
    also=UNUSED | {"scale_embedding": False, "classifier_dropout": 0.0, "eos_token_id": 2},
    only=ONLY
    | {"normalize_before": (False,), "normalize_embedding": (True,), "add_final_layer_norm": (False,)}
    | {"static_position_embeddings": (False,)},
    read=read,
    write=write,
    names=names,
    style=style,
    write_style=write_style,
    start="end",
    extra=EXTRA,
)
