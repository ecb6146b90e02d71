"""Tables for the screen and for Markdown. Cells are texts; the first row is the head."""

from collections.abc import Iterable, Sequence

from tabulate import tabulate

Rows = Iterable[Sequence[str]]


def screen_table(rows: Rows) -> str:
    """Return a table of columns: the first to the left, the others to the right."""
    head, *body = rows
    alignment = ('left', *['right'] * (len(head) - 1))
    return tabulate(
        body, head, 'plain', disable_numparse=True, colalign=alignment if body else None
    )


def markdown_table(rows: Rows) -> str:
    """Return a table for a Markdown page."""
    head, *body = rows
    return tabulate(body, head, 'github', disable_numparse=True)
