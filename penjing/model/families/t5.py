"""T5 (arXiv:1910.10683): an encoder-decoder, relative positions, no scale in attention; v1.1 is gated and untied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import ACTIVATIONS, Family, Key, under
from penjing.model.head import HeadStyle

KEYS = {
    "vocab_size": Key("vocab_size", 32128),
    "d_model": Key("width", 512),
    "d_kv": Key("head_width", 64),
    "d_ff": Key("mlp_width", 2048),
    "num_layers": Key("encoder_layers", 6),
    "num_decoder_layers": Key("decoder_layers"),
    "num_heads": Key("heads", 8),
    "n_positions": Key("max_tokens", 512),
    "dropout_rate": Key("dropout", 0.1),
    "attention_dropout": Key("attention_dropout"),  # ours alone: None is the dropout rate, as theirs
    "layer_norm_epsilon": Key("norm_eps", 1e-6),
    "tie_word_embeddings": Key("tied_output", True),
    "decoder_start_token_id": Key("decoder_start", 0),
}
FIXED = {
    "norm": "rms", "norm_place": "before", "final_norm": True, "position": "relative", "attention_bias": (False, False),
    "attention_scale": 1.0, "mlp_bias": False, "initial_std": None,
}  # fmt: skip
FORMS = {f"gated-{theirs}": (True, ours) for theirs, ours in ACTIVATIONS.items()} | {
    "gated-gelu": (True, "gelu_tanh"),  # their name for it
    **{theirs: (False, ours) for theirs, ours in ACTIVATIONS.items()},
}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    gated, activation = Key("activation", values=FORMS).read("feed_forward_proj", foreign["feed_forward_proj"])
    tied, scaled = foreign["tie_word_embeddings"], foreign["scale_decoder_outputs"]
    layers, attention = foreign["num_decoder_layers"], foreign["attention_dropout"]
    return {
        "gated_mlp": gated,
        "activation": activation,
        "relative": (foreign["relative_attention_num_buckets"], foreign["relative_attention_max_distance"]),
        "output_scale": foreign["d_model"] ** -0.5 if (tied if scaled is None else scaled) else 1.0,
        "decoder_layers": foreign["num_layers"] if layers is None else layers,
        "attention_dropout": foreign["dropout_rate"] if attention is None else attention,
    }


def write(config: ModelConfig) -> dict[str, Any]:
    form = next((name for name, form in FORMS.items() if form == (config.gated_mlp, config.activation)), None)
    return {
        "relative_attention_num_buckets": config.relative[0],
        "relative_attention_max_distance": config.relative[1],
        "feed_forward_proj": form,
        "scale_decoder_outputs": config.output_scale != 1.0,
        **{"is_encoder_decoder": True, "pad_token_id": 0, "eos_token_id": 1},
    }


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    root = "transformer." if purpose == "classify" else ""
    table = {
        "embedding": root + "shared",
        "output.weight": "lm_head.weight",
        **{"head.dense": "classification_head.dense", "head.output": "classification_head.out_proj"},
    }
    for side, mlp in (("encoder", 1), ("decoder", 2)):
        block = {"before_attention": "0.layer_norm", "before_cross": "1.layer_norm", "before_mlp": f"{mlp}.layer_norm"}
        block |= {f"attention.{part}": f"0.SelfAttention.{part[0]}" for part in ("query", "key", "value", "output")}
        block |= {f"cross.{part}": f"1.EncDecAttention.{part[0]}" for part in ("query", "key", "value", "output")}
        dense = {"up": "wi_1" if config.gated_mlp else "wi", "gate": "wi_0", "down": "wo"}
        table |= under(f"{side}.blocks.{{i}}.", f"{root}{side}.block.{{i}}.layer.", block)
        table |= under(f"{side}.blocks.{{i}}.mlp.", f"{root}{side}.block.{{i}}.layer.{mlp}.DenseReluDense.", dense)
        table[f"{side}.position.table"] = f"{root}{side}.block.0.layer.0.SelfAttention.relative_attention_bias"
        table[f"{side}.final_norm"] = f"{root}{side}.final_layer_norm"
    return table


FAMILY = Family(
    name="t5",
    architectures={"t5": {"seq2seq": "T5ForConditionalGeneration", "classify": "T5ForSequenceClassification"}},
    keys=KEYS, fixed=FIXED, start="pad",
    also={
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "classifier_dropout": 0.0,
        "feed_forward_proj": "relu", "scale_decoder_outputs": None, "initializer_factor": 1.0,
        "dense_act_fn": None, "is_gated_act": None,  # both follow from feed_forward_proj, in their reading too
    },
    only={"is_encoder_decoder": (True,), "is_decoder": (False,)},
    read=read, write=write, names=names,
    # their classifier reads the decoder's state at the last token, with the text, shifted, as the decoder's input
    style=lambda foreign: HeadStyle("last", "dense", activation="tanh", dropout=foreign["classifier_dropout"]),
    write_style=lambda style: {"classifier_dropout": style.dropout},
    extra=(
        r"(transformer\.)?(encoder|decoder)\.embed_tokens\.weight",
        r"lm_head\.weight",
        r"(transformer\.)?decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
    ),
)  # fmt: skip
