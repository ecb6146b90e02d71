"""A chat template from a file, in place of the model's own."""

from pathlib import Path

REMEDY = 'set chat_template to a file with one'
"""What to do about a model without a template that can be used."""


def read_chat_template(path: str) -> str:
    """Return the text of a Jinja chat template.

    Arguments:
        path: value of the parameter `chat_template`.

    Raises:
        ValueError: it cannot be read, is not UTF-8, or is empty; one sentence.
    """
    try:
        text = Path(path).expanduser().read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'chat_template {path!r} is not a text file in UTF-8: {error}') from error
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ of a user without a home
        reason = getattr(error, 'strerror', None) or error
        raise ValueError(f'chat_template {path!r} cannot be read: {reason}') from error
    if not text.strip():
        raise ValueError(f'chat_template {path!r} is empty')
    return text
