"""How many tokens a model can be served with."""

import logging
from typing import Any

_UNKNOWN_CONTEXT = 2048


def context_length(source: str, config: Any) -> int:
    """Return how many tokens a prompt and its response may have."""
    names = ('max_position_embeddings', 'max_seq_len', 'n_positions', 'seq_length')
    lengths = [value for name in names if isinstance(value := getattr(config, name, None), int)]
    if not lengths:
        logging.warning(
            'model %r does not say its context length: %d is taken', source, _UNKNOWN_CONTEXT
        )
    length = lengths[0] if lengths else _UNKNOWN_CONTEXT
    original = _longrope_original(config)
    if original and original < length:
        logging.warning(
            'model %r is served up to %d of its %d tokens: past that, its longrope scaling '
            'changes what has been read',
            source,
            original,
            length,
        )
        return original
    return length


def _longrope_original(config: Any) -> int:
    """Return up to what length a model's rotary factors are those of short prompts; 0: always.

    Past it other factors hold for the whole prompt, also for the chunks that have been read.
    """
    rope = getattr(config, 'rope_parameters', None) or {}
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        short, long = parameters.get('short_factor'), parameters.get('long_factor')
        if parameters.get('rope_type') == 'longrope' and short != long:
            original = parameters.get('original_max_position_embeddings')
            return int(original or getattr(config, 'original_max_position_embeddings', None) or 0)
    return 0
