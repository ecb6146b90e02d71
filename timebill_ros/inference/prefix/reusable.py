"""Whether a prompt's keys and values are those of another prompt that begins alike."""

from typing import Any

_BY_LENGTH = ('dynamic', 'longrope')
"""Kinds of rotary embedding that turn a token's key by the length of the whole prompt."""


def why_not_reused(config: Any) -> str:
    """Return why a model's prompts cannot share what was read, as a clause; '' if they can.

    Every layer's cache holds all tokens, also that of a layer with a sliding window. So any
    beginning can be shared, unless a key depends on what comes behind it.

    Arguments:
        config: the model's, of transformers.
    """
    text_config = config.get_text_config(decoder=True)
    parameters = getattr(text_config, 'rope_parameters', None) or {}
    kinds = {parameters.get('rope_type')} | {
        kind.get('rope_type') for kind in parameters.values() if isinstance(kind, dict)
    }
    for kind in _BY_LENGTH:
        if kind in kinds:
            return f"the model's rotary embedding ({kind!r}) depends on the prompt's length"
    return ''
