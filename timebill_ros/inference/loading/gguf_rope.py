"""The scaling of rotary positions that a GGUF file asks for, as transformers configures it.

transformers' own reader passes over it, and long prompts are then read wrong without an error.
"""

import math
from typing import Any

import numpy as np

from timebill_ros.inference.loading.gguf_file import GGUFFile

FACTORS = 'rope_freqs.weight'
LONG_FACTORS, SHORT_FACTORS = 'rope_factors_long.weight', 'rope_factors_short.weight'
_KNOWN_TO_TRANSFORMERS = ('gpt-oss', 'gemma4')
"""Architectures whose scaling its reader or its configuration has."""


def add_rope_scaling(config: Any, file: GGUFFile) -> None:
    """Put a file's scaling into the configuration that transformers made of it.

    Arguments:
        config: of the text model, changed in place.

    Raises:
        ValueError: the scaling is of a kind that is not known; a clause.
    """
    if file.architecture in _KNOWN_TO_TRANSFORMERS:
        return
    scaling = _scaling(file, int(config.max_position_embeddings))
    if scaling is None:
        return
    parameters = dict(config.rope_parameters)
    if 'full_attention' in parameters:  # one entry for each kind of layer: windows are not scaled
        parameters['full_attention'] = {**parameters['full_attention'], **scaling}
    else:
        parameters.update(scaling)
    config.rope_parameters = parameters


def _scaling(file: GGUFFile, context_length: int) -> dict[str, Any] | None:
    kind = file.own('rope.scaling.type')
    factor = file.own('rope.scaling.factor') or file.own('rope.scale_linear') or 1.0
    original = file.own('rope.scaling.original_context_length') or context_length
    attention = file.own('rope.scaling.attn_factor') or file.own('rope.scaling.yarn_attn_factor')
    tables = [name for name in (FACTORS, LONG_FACTORS, SHORT_FACTORS) if name in file.tensors]
    if kind in (None, 'none', 'longrope', 'su') and tables:
        return _by_tables(file, int(original), context_length, attention)
    if tables and not np.allclose(file.values(tables[0]), 1.0):
        raise ValueError(f'it has both rope scaling {kind!r} and {tables[0]}')
    if kind in (None, 'none', 'linear'):
        return None if factor == 1.0 else {'rope_type': 'linear', 'factor': float(factor)}
    if kind == 'yarn':
        return _yarn(file, float(factor), int(original), attention)
    raise ValueError(f'its rope scaling {kind!r} is not known')


def _by_tables(
    file: GGUFFile, original: int, context_length: int, attention: float | None
) -> dict[str, Any] | None:
    """Return a factor for each frequency; longrope is the kind that takes any (Llama 3, Phi 3)."""
    if FACTORS in file.tensors:
        long = short = file.values(FACTORS).tolist()
        original = context_length
    elif LONG_FACTORS in file.tensors and SHORT_FACTORS in file.tensors:
        long, short = file.values(LONG_FACTORS).tolist(), file.values(SHORT_FACTORS).tolist()
    else:
        raise ValueError('it has only one of its two tables of rope factors')
    if long == short and np.allclose(long, 1.0):
        return None
    return {
        'rope_type': 'longrope',
        'long_factor': long,
        'short_factor': short,
        'original_max_position_embeddings': original,
        'attention_factor': float(attention or 1.0),
    }


def _yarn(file: GGUFFile, factor: float, original: int, attention: float | None) -> dict[str, Any]:
    if file.own('rope.scaling.yarn_log_multiplier'):
        raise ValueError('its yarn scaling has a log multiplier, which is not known')
    if file.own('rope.scaling.yarn_ext_factor') not in (None, -1.0, 1.0):
        raise ValueError('its yarn scaling has an extrapolation factor, which is not known')
    scaling = {
        'rope_type': 'yarn',
        'factor': factor,
        'original_max_position_embeddings': original,
        # llama.cpp multiplies what the file says and what YaRN derives from the factor.
        'attention_factor': float(attention or 1.0) * (0.1 * math.log(factor) + 1.0),
    }
    for name in ('beta_fast', 'beta_slow'):
        if (value := file.own(f'rope.scaling.yarn_{name}')) is not None:
            scaling[name] = float(value)
    return scaling
