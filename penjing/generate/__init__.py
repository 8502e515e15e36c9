"""Tokens in, tokens out: decoding knows no strings. Text comes in and goes out in `text/`."""
