"""The error of predicted times, and whether the worst case holds."""
