"""Toy networks of transformers, one line per family and variant: what parity is measured against."""

from __future__ import annotations

import torch
import transformers as theirs

VOCABULARY, TOKENS = 61, 24
LLAMA = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=48,
    max_position_embeddings=64,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
BERT = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=40,
)
DISTIL = dict(vocab_size=VOCABULARY, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=40)
MODERN = dict(BERT, num_hidden_layers=4, local_attention=8, pad_token_id=0, bos_token_id=1, eos_token_id=2) | {
    "cls_token_id": 1,
    "sep_token_id": 2,
}
T5 = dict(
    vocab_size=VOCABULARY,
    d_model=32,
    d_kv=8,
    num_heads=4,
    d_ff=48,
    num_layers=2,
    num_decoder_layers=2,
    decoder_start_token_id=0,
)

BART = dict(
    vocab_size=VOCABULARY,
    d_model=32,
    encoder_layers=2,
    decoder_layers=3,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=48,
    decoder_ffn_dim=48,
    max_position_embeddings=40,
    pad_token_id=0,
    bos_token_id=2,
    eos_token_id=1,
    forced_eos_token_id=1,
    decoder_start_token_id=2,
)
MARIAN = dict(BART, decoder_start_token_id=0, scale_embedding=True, activation_function="swish", decoder_layers=2)
GPT2 = dict(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=40, pad_token_id=0) | {
    "bos_token_id": 1,
    "eos_token_id": 1,
}
NEOX = {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"} | {"rotary_pct": 0.5}
BLOOM = dict(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, pad_token_id=0)
YARN = dict(rope_type="yarn", rope_theta=300.0, factor=4.0, original_max_position_embeddings=16)
TYPES = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
ROPE = {
    "linear": dict(factor=4.0),
    "dynamic": dict(factor=4.0),
    "llama3": dict(factor=8.0, low_freq_factor=0.5, high_freq_factor=2.0, original_max_position_embeddings=8),
    "yarn": dict(factor=4.0, beta_fast=2.0, beta_slow=0.5, mscale=1.3, mscale_all_dim=0.4, truncate=False),
}

CASES = {
    "bert-masked": (theirs.BertForMaskedLM, theirs.BertConfig, BERT),
    "bert-classify": (theirs.BertForSequenceClassification, theirs.BertConfig, dict(BERT, num_labels=3)),
    "bert-pretraining": (theirs.BertForPreTraining, theirs.BertConfig, BERT),
    "bert-base": (theirs.BertModel, theirs.BertConfig, BERT),
    "roberta-masked": (theirs.RobertaForMaskedLM, theirs.RobertaConfig, dict(BERT, pad_token_id=0)),
    "roberta-classify": (
        theirs.RobertaForSequenceClassification,
        theirs.RobertaConfig,
        dict(BERT, pad_token_id=2, type_vocab_size=1, num_labels=3),
    ),
    "xlm-roberta-base": (theirs.XLMRobertaModel, theirs.XLMRobertaConfig, dict(BERT, pad_token_id=0)),
    "distilbert-masked": (theirs.DistilBertForMaskedLM, theirs.DistilBertConfig, DISTIL),
    "distilbert-classify": (
        theirs.DistilBertForSequenceClassification,
        theirs.DistilBertConfig,
        dict(DISTIL, num_labels=3, sinusoidal_pos_embds=True),
    ),
    "distilbert-base": (theirs.DistilBertModel, theirs.DistilBertConfig, DISTIL),
    "electra-masked": (theirs.ElectraForMaskedLM, theirs.ElectraConfig, dict(BERT, embedding_size=16)),
    "electra-classify": (
        theirs.ElectraForSequenceClassification,
        theirs.ElectraConfig,
        dict(BERT, embedding_size=16, num_labels=3),
    ),
    "electra-equal": (theirs.ElectraForMaskedLM, theirs.ElectraConfig, dict(BERT, embedding_size=32)),
    "electra-discriminator": (theirs.ElectraForPreTraining, theirs.ElectraConfig, dict(BERT, embedding_size=16)),
    "electra-base": (theirs.ElectraModel, theirs.ElectraConfig, dict(BERT, embedding_size=16)),
    "llama-causal": (theirs.LlamaForCausalLM, theirs.LlamaConfig, LLAMA),
    "llama-tied": (
        theirs.LlamaForCausalLM,
        theirs.LlamaConfig,
        dict(LLAMA, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, num_key_value_heads=4),
    ),
    **{
        f"llama-{kind}": (
            theirs.LlamaForCausalLM,
            theirs.LlamaConfig,
            dict(LLAMA, max_position_embeddings=10, rope_parameters=dict(rope_type=kind, rope_theta=500.0, **options)),
        )
        for kind, options in ROPE.items()
    },
    "llama-classify": (theirs.LlamaForSequenceClassification, theirs.LlamaConfig, dict(LLAMA, num_labels=3)),
    "mistral-causal": (theirs.MistralForCausalLM, theirs.MistralConfig, dict(LLAMA, sliding_window=5)),
    "mistral-whole": (theirs.MistralForCausalLM, theirs.MistralConfig, dict(LLAMA, sliding_window=None, head_dim=16)),
    "mistral-classify": (
        theirs.MistralForSequenceClassification,
        theirs.MistralConfig,
        dict(LLAMA, sliding_window=5, num_labels=3),
    ),
    "qwen2-causal": (theirs.Qwen2ForCausalLM, theirs.Qwen2Config, LLAMA),
    "qwen2-window": (
        theirs.Qwen2ForCausalLM,
        theirs.Qwen2Config,
        dict(LLAMA, use_sliding_window=True, sliding_window=6, max_window_layers=1, rope_parameters=YARN),
    ),
    "qwen2-classify": (
        theirs.Qwen2ForSequenceClassification,
        theirs.Qwen2Config,
        dict(LLAMA, num_labels=3, tie_word_embeddings=True),
    ),
    "qwen3-window": (
        theirs.Qwen3ForCausalLM,
        theirs.Qwen3Config,
        dict(LLAMA, num_hidden_layers=4, use_sliding_window=True, sliding_window=4, layer_types=TYPES),
    ),
    "gpt2-causal": (theirs.GPT2LMHeadModel, theirs.GPT2Config, GPT2),
    "gpt2-untied": (
        theirs.GPT2LMHeadModel,
        theirs.GPT2Config,
        dict(GPT2, tie_word_embeddings=False, n_inner=48, activation_function="relu"),
    ),
    "gpt2-classify": (theirs.GPT2ForSequenceClassification, theirs.GPT2Config, dict(GPT2, num_labels=3)),
    "neox-causal": (theirs.GPTNeoXForCausalLM, theirs.GPTNeoXConfig, NEOX),
    "neox-serial": (
        theirs.GPTNeoXForCausalLM,
        theirs.GPTNeoXConfig,
        dict(NEOX, use_parallel_residual=False, attention_bias=False, rotary_pct=1.0, tie_word_embeddings=True),
    ),
    "neox-classify": (theirs.GPTNeoXForSequenceClassification, theirs.GPTNeoXConfig, dict(NEOX, num_labels=3)),
    "bloom-causal": (theirs.BloomForCausalLM, theirs.BloomConfig, BLOOM),
    "bloom-untied": (
        theirs.BloomForCausalLM,
        theirs.BloomConfig,
        dict(BLOOM, n_head=6, hidden_size=48, tie_word_embeddings=False),
    ),
    "bloom-classify": (theirs.BloomForSequenceClassification, theirs.BloomConfig, dict(BLOOM, num_labels=3)),
    "qwen3-causal": (theirs.Qwen3ForCausalLM, theirs.Qwen3Config, dict(LLAMA, head_dim=16)),
    "qwen3-classify": (theirs.Qwen3ForSequenceClassification, theirs.Qwen3Config, dict(LLAMA, head_dim=16)),
    "t5-seq2seq": (theirs.T5ForConditionalGeneration, theirs.T5Config, T5),
    "t5-gated": (
        theirs.T5ForConditionalGeneration,
        theirs.T5Config,
        dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    ),
    "t5-uneven": (theirs.T5ForConditionalGeneration, theirs.T5Config, dict(T5, num_decoder_layers=1)),
    "t5-classify": (theirs.T5ForSequenceClassification, theirs.T5Config, dict(T5, num_labels=3)),
    "mt5-seq2seq": (theirs.MT5ForConditionalGeneration, theirs.MT5Config, T5),
    "mt5-classify": (theirs.MT5ForSequenceClassification, theirs.MT5Config, dict(T5, num_labels=3)),
    "bart-seq2seq": (theirs.BartForConditionalGeneration, theirs.BartConfig, BART),
    "bart-scaled": (theirs.BartForConditionalGeneration, theirs.BartConfig, dict(BART, scale_embedding=True)),
    "bart-relu": (
        theirs.BartForConditionalGeneration,
        theirs.BartConfig,
        dict(BART, activation_function="relu", encoder_layers=1),
    ),
    "bart-classify": (theirs.BartForSequenceClassification, theirs.BartConfig, dict(BART, num_labels=3)),
    "mbart-seq2seq": (
        theirs.MBartForConditionalGeneration,
        theirs.MBartConfig,
        dict(BART, scale_embedding=True, decoder_start_token_id=None),
    ),
    "mbart-classify": (theirs.MBartForSequenceClassification, theirs.MBartConfig, dict(BART, num_labels=3)),
    "marian-seq2seq": (theirs.MarianMTModel, theirs.MarianConfig, MARIAN),
    "marian-plain": (
        theirs.MarianMTModel,
        theirs.MarianConfig,
        dict(MARIAN, scale_embedding=False, activation_function="relu"),
    ),
    "modernbert-masked": (theirs.ModernBertForMaskedLM, theirs.ModernBertConfig, MODERN),
    "modernbert-biased": (
        theirs.ModernBertForMaskedLM,
        theirs.ModernBertConfig,
        dict(MODERN, norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, local_attention=6),
    ),
    "modernbert-cls": (
        theirs.ModernBertForSequenceClassification,
        theirs.ModernBertConfig,
        dict(MODERN, num_labels=3),
    ),
    "modernbert-base": (theirs.ModernBertModel, theirs.ModernBertConfig, MODERN),
    "modernbert-mean": (
        theirs.ModernBertForSequenceClassification,
        theirs.ModernBertConfig,
        dict(MODERN, num_labels=3, classifier_pooling="mean"),
    ),
}

TOKEN_HEADED = {
    "bert": ("Bert", BERT),
    "roberta": ("Roberta", dict(BERT, pad_token_id=0)),
    "xlm-roberta": ("XLMRoberta", dict(BERT, pad_token_id=0)),
    "distilbert": ("DistilBert", DISTIL),
    "electra": ("Electra", dict(BERT, embedding_size=16)),
    "modernbert": ("ModernBert", MODERN),
    "gpt2": ("GPT2", GPT2),
    "llama": ("Llama", LLAMA),
    "mistral": ("Mistral", dict(LLAMA, sliding_window=5)),
    "qwen2": ("Qwen2", LLAMA),
    "qwen3": ("Qwen3", LLAMA),
    "neox": ("GPTNeoX", NEOX),
    "bloom": ("Bloom", BLOOM),
}
for short, (name, options) in TOKEN_HEADED.items():
    config = getattr(theirs, f"{name}Config")
    CASES[f"{short}-tag"] = (getattr(theirs, f"{name}ForTokenClassification"), config, dict(options, num_labels=5))
    CASES[f"{short}-span"] = (getattr(theirs, f"{name}ForQuestionAnswering"), config, options)
    CASES.setdefault(f"{short}-base", (getattr(theirs, f"{name}Model"), config, options))


def network(case: str):
    """Their network with values large enough that a wrong detail shows."""
    cls, config, options = CASES[case]
    torch.manual_seed(1)
    made = cls(config(**options)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:  # Marian's positions are computed
                parameter.normal_(0, 0.3)
        for name, buffer in made.named_buffers():
            if name == "final_logits_bias":
                buffer.normal_(0, 0.3)
    return made


def texts(side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens 3 T, each text ending in 1 (T5's end), and a mask; two rows are padded at `side` ("none": no row is)."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(3, VOCABULARY, (3, TOKENS), generator=generator)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    for row, short in ((1, 9), (2, 16)):
        if side == "right":
            mask[row, -short:] = False
        if side == "left":
            mask[row, :short] = False
    last = TOKENS - 1 - mask.flip(1).long().argmax(1)
    tokens[torch.arange(3), last] = 1
    return tokens * mask, mask
