"""Texts of others, short enough for a line that a person reads."""


def shortened(text: str, most: int) -> str:
    """Return a text on one line, with its middle left out if it is too long.

    Arguments:
        most: greatest number of characters; at least 20.
    """
    line = ' '.join(text.split())
    if len(line) <= most:
        return line
    half = (most - 5) // 2
    return f'{line[:half]} ... {line[-half:]}'
