"""The engine on a GPU: whether it computes right, and what it costs."""
