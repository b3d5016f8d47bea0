"""Faster variants of a model: quantized, compared with the original, and stored beside it."""
