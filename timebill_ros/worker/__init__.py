"""The process boundary between the node and the model."""
