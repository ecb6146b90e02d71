"""The folder of the last JSON and PNG of each benchmark."""

from pathlib import Path

RESULTS = Path(__file__).parents[1] / 'results'
