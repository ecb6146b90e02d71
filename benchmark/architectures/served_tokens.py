"""Compares what the engine writes with what transformers' generate() writes."""

import math
from typing import Any

import torch

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference import engine as engine_module
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt

NEW_TOKENS = 8
CHUNK_TOKENS = 48
PROMPT_TOKENS = (1, 2, 17, 48, 60, 96, 131)
"""From one token to three chunks."""
TIE = 1e-3
"""Two tokens whose logits differ by less, relative to their spread, are as good."""

_NEVER = Interrupt(Deadline(math.inf))


def first_difference(engine: Engine, reference: Any) -> str:
    """Return where the engine's greedy answers differ from generate()'s; '' if nowhere.

    Prompts are read in chunks, and, where the model allows it, their caches are evicted at ratio
    0 too: each entry is moved, none is lost.

    Arguments:
        reference: the same model, with its own attention.
    """
    engine = Engine(
        engine.target, DecodingSettings(stop_at_repetition=False), engine.scorer, engine.step
    )
    chunks = engine_module.PREFILL_CHUNKS
    engine_module.PREFILL_CHUNKS = ((CHUNK_TOKENS, CHUNK_TOKENS), (1 << 62, CHUNK_TOKENS))
    try:
        for tokens in PROMPT_TOKENS:
            ids = torch.randint(
                3, 250, (tokens,), generator=torch.Generator().manual_seed(tokens)
            ).tolist()
            theirs, logits = _generated(reference, ids)
            for evicts in (False, True) if engine.target.evicts else (False,):
                ours = _answered(engine, ids, evicts)
                if (place := _differ(ours, theirs, logits)) is not None:
                    how = ' after moving the cache' if evicts else ''
                    return f'{tokens} prompt tokens, token {place}{how}'
    finally:
        engine_module.PREFILL_CHUNKS = chunks
    return ''


def _answered(engine: Engine, ids: list[int], evicts: bool) -> list[int]:
    prefilled = engine.prefill(ids, NEW_TOKENS, _NEVER)
    if evicts:
        with torch.inference_mode():
            prefilled.cache.evict(
                lambda _, keys, __: torch.arange(keys.shape[1]).expand(keys.shape[0], -1)
            )
    return [token for token, _ in engine.decode(prefilled, NEW_TOKENS, _NEVER)]


def _generated(reference: Any, ids: list[int]) -> tuple[list[int], torch.Tensor]:
    output = reference.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=NEW_TOKENS,
        output_logits=True,
        return_dict_in_generate=True,
    )
    tokens, logits = output.sequences[0, len(ids) :].tolist(), torch.cat(output.logits)
    whole = _whole_logits(reference, ids + tokens[:-1])[-NEW_TOKENS:]
    if (whole - logits).norm() < TIE * (whole - whole.mean()).norm():
        return tokens, logits
    # transformers' own cache is wrong for this class (Moshi's windows): without one, then.
    rows: list[torch.Tensor] = []
    while len(rows) < NEW_TOKENS:
        rows.append(_whole_logits(reference, ids)[-1])
        ids = [*ids, int(rows[-1].argmax())]
    return ids[-NEW_TOKENS:], torch.stack(rows)


def _whole_logits(reference: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return reference(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def _differ(ours: list[int], theirs: list[int], logits: torch.Tensor) -> int | None:
    for place, (mine, other, row) in enumerate(zip(ours, theirs, logits, strict=False)):
        if mine != other:
            # After a tie the answers go different ways, both right.
            is_tie = row[other] - row[mine] < TIE * (row - row.mean()).norm()
            return None if is_tie else place
    return None
