"""bfcl-eval: the beginning of a Python file; the question is for the next lines."""

from collections.abc import Iterator
from functools import partial

from benchmark.budgets.tasks.scores import edit_similarity
from benchmark.budgets.tasks.task import Material, Question

_SHORTEST_LINE = 24
_LINES_BEFORE = 30


def next_lines(material: Material, lengths: Iterator[int]) -> Iterator[Question]:
    """Yield code that breaks off before a line that is worth guessing."""
    archive = material.texts()
    files = [archive.text(name).splitlines() for name in archive.names(suffix='.py')]
    places = [
        (lines, index)
        for lines in files
        for index in range(_LINES_BEFORE, len(lines))
        if len(lines[index].strip()) >= _SHORTEST_LINE
    ]
    for tokens in lengths:
        lines, index = material.random.choice(places)
        start, length = index, 0
        while start > 0 and length < tokens:
            start -= 1
            length += material.count_tokens(lines[start] + '\n')
        code = '\n'.join(lines[start:index])
        yield Question(
            f'```python\n{code}\n```\nWrite the next line of this code, and nothing else.',
            partial(first_line_like, lines[index]),
        )


def first_line_like(expected: str, answer: str) -> float:
    """Return how like the expected line an answer's first line of code is."""
    code = [line for line in answer.splitlines() if line.strip() and '```' not in line]
    return edit_similarity(expected, code[0]) if code else 0.0
