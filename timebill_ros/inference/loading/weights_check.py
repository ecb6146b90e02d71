"""Refuses a model whose files are not those of its configuration: what is missing is random."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch

_NAMED = 3
_HARMLESS = re.compile(r'(inv_freq|masked_bias|attn\.bias|position_ids|embed_positions.*)$')
"""Buffers that older releases saved."""
_PLAIN_TEXT = 'the robot'


def check_names(model: Any, loading_info: Mapping[str, Any]) -> None:
    """Check what from_pretrained() tells of the tensors that it read.

    Arguments:
        loading_info: as of output_loading_info=True. Tied weights are not missing in it.

    Raises:
        ValueError: a clause that names the first tensors that are wrong, and how many.
    """
    missing, unexpected = loading_info['missing_keys'], loading_info['unexpected_keys']
    if missing:
        found = f'; its files have {named(unexpected)} instead' if unexpected else ''
        raise ValueError(f'its files lack {named(missing)}{found}')
    if mismatched := sorted(loading_info['mismatched_keys']):
        name, in_file, wanted = mismatched[0][:3]
        raise ValueError(
            f'{_count(mismatched)} of another size than config.json says, first {name}: '
            f'{tuple(in_file)}, not {tuple(wanted)}'
        )
    if ignored := [name for name in unexpected if _is_part_of(model, name)]:
        raise ValueError(f'config.json leaves out {named(ignored)} of its files')
    if errors := loading_info.get('error_msgs'):
        raise ValueError(str(next(iter(errors))).strip().partition('\n')[0])


def check_tokenizer(model: Any, tokenizer: Any) -> None:
    """Check that each token has an embedding, and that plain text has tokens.

    Raises:
        ValueError: a clause.
    """
    # transformers makes a tokenizer without words where it finds no file with them.
    found = set(tokenizer(_PLAIN_TEXT, add_special_tokens=False)['input_ids'])
    if not found - {tokenizer.unk_token_id}:
        raise ValueError(f'its tokenizer knows no words: {_PLAIN_TEXT!r} has no tokens')
    rows = int(model.get_input_embeddings().num_embeddings)
    if len(tokenizer) > rows:
        raise ValueError(
            f'its tokenizer has {len(tokenizer)} tokens, its weights only {rows}: they belong to '
            'different models'
        )


def damaged_tensor(model: Any) -> str:
    """Return the name of the first tensor with a value that is not finite; '' if there is none."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return str(name)
    return ''


def named(names: Collection[str]) -> str:
    """Return how many tensors these are, and the first names: '3 tensors (a, b, ...)'."""
    first = sorted(names, key=_natural)[:_NAMED]
    more = ', ...' if len(names) > _NAMED else ''
    return f'{_count(names)} ({", ".join(first)}{more})'


def _is_part_of(model: Any, name: str) -> bool:
    """Whether a tensor that the model has no place for belongs to a module that it has.

    Others (an image encoder, layers for speculative decoding) may be left out.
    """
    if _HARMLESS.search(name):
        return False
    modules = dict(model.named_modules())
    parent = name.rpartition('.')[0]
    if parent in modules and parent:
        return True
    for match in re.finditer(r'\.\d+(?=\.)', name):
        # A layer more than the model has.
        if isinstance(modules.get(name[: match.start()]), torch.nn.ModuleList):
            return name[: match.end()] not in modules
    return False


def _count(names: Collection[Any]) -> str:
    return f'{len(names)} tensor{"s" if len(names) > 1 else ""}'


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', name)]
