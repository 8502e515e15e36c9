"""Toys of causal language modelling."""

from toys import TEXTS

FAMILIES = ("llama", "lstm")
OPTIONS = EFFECTS = {}
RECORDS = [{"text": text} for text in TEXTS]
