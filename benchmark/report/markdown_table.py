"""Rows as a Markdown table."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first row is its head."""
    head, *body = rows
    lines = [head, ['---'] * len(head), *body]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
