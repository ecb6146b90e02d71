"""The model: loading, attention, cache, decoding. torch and transformers."""
