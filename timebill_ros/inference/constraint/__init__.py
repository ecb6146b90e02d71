"""What an answer may look like: compiled constraints, allowed tokens, closings, choices."""
