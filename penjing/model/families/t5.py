"""T5 (arXiv:1910.10683): an encoder-decoder, relative positions, no scale in attention; v1.1 is gated and untied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import FOREIGN_ACTIVATIONS, Family, activation
from penjing.model.head import HeadStyle

DEFAULTS = {
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_decoder_layers": None,
    "num_heads": 8,
    "n_positions": 512,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "dropout_rate": 0.1,
    "attention_dropout": None,  # ours alone: None is the dropout rate, as theirs
    "classifier_dropout": 0.0,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
    "dense_act_fn": None,  # both follow from feed_forward_proj, in their reading too
    "is_gated_act": None,
    "tie_word_embeddings": True,
    "scale_decoder_outputs": None,
    "initializer_factor": 1.0,
}
ONLY = {"is_encoder_decoder": (True,), "is_decoder": (False,)}


def read(foreign: Mapping[str, Any]) -> ModelConfig:
    gate, _, kind = foreign["feed_forward_proj"].rpartition("-")
    kind = "gelu_new" if (gate, kind) == ("gated", "gelu") else kind
    tied, scaled = foreign["tie_word_embeddings"], foreign["scale_decoder_outputs"]
    dropout, attention = foreign["dropout_rate"], foreign["attention_dropout"]
    layers = foreign["num_decoder_layers"]
    return ModelConfig(
        vocab_size=foreign["vocab_size"],
        width=foreign["d_model"],
        heads=foreign["num_heads"],
        head_width=foreign["d_kv"],
        mlp_width=foreign["d_ff"],
        encoder_layers=foreign["num_layers"],
        decoder_layers=foreign["num_layers"] if layers is None else layers,
        max_tokens=foreign["n_positions"],
        norm="rms",
        norm_place="before",
        norm_eps=foreign["layer_norm_epsilon"],
        final_norm=True,
        position="relative",
        relative=(foreign["relative_attention_num_buckets"], foreign["relative_attention_max_distance"]),
        attention_bias=(False, False),
        attention_scale=1.0,
        activation=activation({"feed_forward_proj": kind}, "feed_forward_proj"),
        gated_mlp=gate == "gated",
        mlp_bias=False,
        tied_output=tied,
        output_scale=foreign["d_model"] ** -0.5 if (tied if scaled is None else scaled) else 1.0,
        dropout=dropout,
        attention_dropout=dropout if attention is None else attention,
        initial_std=None,
    )


def write(config: ModelConfig) -> dict[str, Any]:
    kind = FOREIGN_ACTIVATIONS[config.activation]
    kind = "gelu" if config.gated_mlp and config.activation == "gelu_tanh" else kind
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.width,
        "num_heads": config.heads,
        "d_kv": config.inner,
        "d_ff": config.mlp_width,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.decoder_layers,
        "n_positions": config.max_tokens,
        "layer_norm_epsilon": config.norm_eps,
        "relative_attention_num_buckets": config.relative[0],
        "relative_attention_max_distance": config.relative[1],
        "feed_forward_proj": f"gated-{kind}" if config.gated_mlp else kind,
        "tie_word_embeddings": config.tied_output,
        "scale_decoder_outputs": config.output_scale != 1.0,
        "dropout_rate": config.dropout,
        "attention_dropout": config.attention_dropout,
        "is_encoder_decoder": True,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    prefix = "transformer." if purpose == "classify" else ""
    table = {
        "embedding": prefix + "shared",
        "output.weight": "lm_head.weight",
        "head.dense": "classification_head.dense",
        "head.output": "classification_head.out_proj",
    }
    for side, mlp in (("encoder", 1), ("decoder", 2)):
        ours, theirs = side + ".blocks.{i}.", prefix + side + ".block.{i}.layer."
        dense = f"{theirs}{mlp}.DenseReluDense."
        table |= {
            f"{side}.position.table": f"{prefix}{side}.block.0.layer.0.SelfAttention.relative_attention_bias",
            f"{side}.final_norm": f"{prefix}{side}.final_layer_norm",
            ours + "before_attention": theirs + "0.layer_norm",
            ours + "before_cross": theirs + "1.layer_norm",
            ours + "before_mlp": f"{theirs}{mlp}.layer_norm",
            ours + "mlp.up": dense + ("wi_1" if config.gated_mlp else "wi"),
            ours + "mlp.gate": dense + "wi_0",
            ours + "mlp.down": dense + "wo",
        }
        for part in ("query", "key", "value", "output"):
            table[f"{ours}attention.{part}"] = f"{theirs}0.SelfAttention.{part[0]}"
            table[f"{ours}cross.{part}"] = f"{theirs}1.EncDecAttention.{part[0]}"
    return table


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    """Their classifier reads the decoder's state at the last token, with the text, shifted, as the decoder's input."""
    return HeadStyle(pool="last", dense="dense", activation="tanh", dropout=foreign["classifier_dropout"])


FAMILY = Family(
    name="t5",
    architectures={"t5": {"seq2seq": "T5ForConditionalGeneration", "classify": "T5ForSequenceClassification"}},
    defaults=DEFAULTS,
    only=ONLY,
    read=read,
    write=write,
    names=names,
    style=style,
    write_style=lambda style: {"classifier_dropout": style.dropout},
    extra=(
        r"(transformer\.)?(encoder|decoder)\.embed_tokens\.weight",
        r"lm_head\.weight",
        r"(transformer\.)?decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
    ),
)
