"""The lengths of answers that `make bench-planned_lengths` has recorded."""

import json

from benchmark.predictor.length_stream import AskedQuestion
from benchmark.report.results_folder import RESULTS

LIMIT = 1024
"""max_new_tokens of that benchmark."""


def recorded_lengths() -> list[AskedQuestion]:
    """Return them as questions of one asker."""
    queries = json.loads((RESULTS / 'planned_lengths.json').read_text())['queries']
    # The arm that knows the length allows as many tokens.
    lengths = [
        int(row['worst_case_tokens']) for rows in queries for row in rows if row['arm'] == 'oracle'
    ]
    return [AskedQuestion('robot', length, LIMIT, length < LIMIT) for length in lengths]
