"""One decoding step: compiled, as CUDA graphs, or through transformers."""
