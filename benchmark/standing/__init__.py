"""The benchmark of questions about a standing context."""
