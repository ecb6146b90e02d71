"""Examples of askers: read them, and start your own from them."""
