"""Finds out whether the engine computes a model right: its logits against the model's own.

A list of architectures would be out of date with the next release of transformers, so each model
is tried when it is loaded. The reference is the model's own eager attention over the whole
sequence, without a cache.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig
from transformers.masking_utils import eager_mask

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import Engine, Prefilled
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading.weights_check import damaged_tensor
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.generic_step import GenericStep

TOLERANCES = {torch.float32: 2e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
"""Largest |ours - theirs| / |theirs - mean of theirs| over a position's logits. Rounding gives
1e-5 and 0.01 to 0.03; an attention that leaves something out gives 0.2 and more."""
ROUNDED_TOLERANCES = {'int8': 0.2, 'int4': 0.7}
"""The same where the step's weights were rounded: that alone gives up to a third of this."""
SHORT_TOKENS, LONG_TOKENS = 5, 136
STEPS = 4
LARGEST_WINDOW = 1024
"""The long prompt exceeds a sliding window of up to so many tokens [tokens]."""

_MASKED = 'timebill_masked'
_NEVER = Interrupt(Deadline(float('inf')))
_kept: dict[int, torch.Tensor] = {}
"""While the reference of an evicted cache runs: positions that stay, by layer."""


@dataclass(frozen=True)
class Verdict:
    """How a model is served.

    Arguments:
        attention: the attn_implementation under which the engine computes it right; '': none.
        step: name of the decoding step that computes it right.
        evicts: it does so after an eviction too.
        reason: why it is not served, or not by the fastest step, or not evicted; a clause.
    """

    attention: str
    step: str
    evicts: bool
    reason: str = ''


def self_check(engine: Engine) -> Verdict:
    """Return how the engine may serve its model.

    Our attention with the fastest step is tried first, then with transformers' step, then the
    model's own eager attention with our cache. What is compared is in _difference().
    """
    model = engine.target.model
    if name := damaged_tensor(model):
        return Verdict('', '', False, f'its tensor {name} holds values that are not numbers')
    chosen = model.config._attn_implementation
    candidates: list[tuple[str, DecodingStep]] = [(chosen, engine.step)]
    if not isinstance(engine.step, GenericStep):
        candidates.append((chosen, GenericStep(model)))
    if chosen != 'eager':
        candidates.append(('eager', GenericStep(model)))
    reasons = []
    for name, step in candidates:
        with _attention(model, name):
            reason = _why_wrong(lambda step=step: _check_logits(engine, step))  # type: ignore[misc]
            if reason:
                reasons.append(reason)
                continue
            if name == 'eager':
                why_not = 'its attention is not one that this engine computes'
            else:
                why_not = _why_wrong(lambda step=step: _check_eviction(engine, step))  # type: ignore[misc]
        return Verdict(name, step.name, not why_not, why_not or '; '.join(reasons))
    return Verdict('', '', False, _kind_of_layers(model) or reasons[0])


def use_attention(model: Any, name: str) -> None:
    """Let a model's modules use an attn_implementation from now on.

    transformers' own set_attn_implementation() passes over classes with an attention of their own,
    though their masks depend on it too.
    """
    for module in model.modules():
        if isinstance(config := getattr(module, 'config', None), PreTrainedConfig):
            config._attn_implementation = name


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    before = model.config._attn_implementation
    use_attention(model, name)
    try:
        yield
    finally:
        use_attention(model, before)


def _why_wrong(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # whatever it is: this way of computing the model does not work
        logging.debug('the self-check failed', exc_info=True)
        first = str(error).strip().partition('\n')[0][:200].rstrip('.')
        return f'{type(error).__name__}: {first}' if first else type(error).__name__


def _kind_of_layers(model: Any) -> str:
    """Say what is unusual about a model that cannot be served; '' if it is not known."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, 'layer_types', None) or ()) | set(
        getattr(config, 'layers_block_type', None) or ()
    )
    unusual = sorted(kind for kind in kinds if 'attention' not in kind or 'linear' in kind)
    if unusual:
        return (
            f'layers of the kind {", ".join(map(repr, unusual))} keep a state that is not a cache '
            'of keys and values'
        )
    return ''


def _check_logits(engine: Engine, step: DecodingStep) -> str:
    """Return what is wrong with a short prompt, a prompt of two chunks and steps after each."""
    long = _long_tokens(engine)
    middle = round(0.6 * long)
    for tokens, chunks in ((SHORT_TOKENS, None), (long, [(0, middle), (middle, long)])):
        ids = _random_ids(engine, tokens + STEPS)
        prefilled = engine.prefill(ids[:tokens], STEPS, _NEVER, chunks)
        if reason := _difference(engine, ids, _logits(prefilled, step, ids[tokens:])):
            return f'after {tokens} tokens {reason}'
    return ''


def _check_eviction(engine: Engine, step: DecodingStep) -> str:
    """Return what is wrong with steps after an eviction."""
    fewest = engine.scorer.min_kept_tokens
    tokens = max(_long_tokens(engine), fewest + 40)
    if tokens + STEPS > engine.target.context_length:
        return ''  # no prompt is long enough for an eviction
    ids = _random_ids(engine, tokens + STEPS)
    prefilled = engine.prefill(ids[:tokens], STEPS, _NEVER)
    kept, evict = {}, prefilled.cache.evict

    def spy(choose: Callable[[int, torch.Tensor], torch.Tensor]) -> None:
        def noted(layer: int, keys: torch.Tensor) -> torch.Tensor:
            positions = choose(layer, keys)
            kept[layer] = torch.zeros(keys.shape[:2], dtype=torch.bool, device=keys.device)
            kept[layer].scatter_(1, positions, True)
            return positions

        evict(noted)

    prefilled.cache.evict = spy  # type: ignore[method-assign]
    engine.evict(prefilled, fewest + 8)
    if not kept:
        return 'none of its layers attends to the whole prompt'
    ours = _logits(prefilled, step, ids[tokens:])
    _kept.update(kept)
    try:
        reason = _difference(engine, ids, ours, _MASKED)
    finally:
        _kept.clear()
    return f'after an eviction {reason}' if reason else ''


def _logits(prefilled: Prefilled, step: DecodingStep, newer: list[int]) -> torch.Tensor:
    """Return the prefill's and some steps' logits, (1 + steps, vocabulary)."""
    found = [prefilled.logits.float()]
    with step.answering(prefilled.cache, len(prefilled.prompt_ids), len(newer)) as answering:
        for token in newer:
            logits = answering.logits(torch.tensor(token, device=prefilled.prompt_ids.device))
            found.append(logits.float().clone())
    return torch.stack(found)


def _difference(engine: Engine, ids: list[int], ours: torch.Tensor, name: str = 'eager') -> str:
    """Return how far our logits are from the model's own, as a clause; '' if near enough.

    In fp32 the worst position counts. In 16 bits the median does: rounding alone may send a token
    to another expert.
    """
    target = engine.target
    with _attention(target.model, name), torch.inference_mode():
        output = target.model(input_ids=torch.tensor([ids], device=target.device), use_cache=False)
    theirs = output.logits[0, -len(ours) :].float()
    if not torch.isfinite(theirs).all():
        return 'its logits are not numbers: its weights are damaged'
    spread = (theirs - theirs.mean(-1, keepdim=True)).norm(dim=-1).clamp_min(1e-6)
    errors = (ours - theirs).norm(dim=-1) / spread
    error = float(errors.max() if target.dtype == torch.float32 else errors.median())
    tolerance = TOLERANCES[target.dtype]
    if target.is_rounded:
        tolerance = max(tolerance, ROUNDED_TOLERANCES[target.quantization])
    if error < tolerance:  # not a number is not
        return ''
    return f"the logits differ by {error:.2g} from those of the model's own attention"


def _long_tokens(engine: Engine) -> int:
    config = engine.target.model.config.get_text_config()
    window = getattr(config, 'sliding_window', None) or 0
    wanted = LONG_TOKENS + (window if window <= LARGEST_WINDOW else 0)
    return max(min(wanted, engine.target.context_length - STEPS), 2)


def _random_ids(engine: Engine, tokens: int) -> list[int]:
    """Return ids of ordinary tokens: control tokens may mean images to a model."""
    tokenizer = engine.target.tokenizer
    vocabulary = int(engine.target.model.get_input_embeddings().weight.shape[0])
    special = set() if tokenizer is None else set(tokenizer.added_tokens_decoder)
    if tokenizer is not None:
        vocabulary = min(vocabulary, len(tokenizer))
    generator = torch.Generator().manual_seed(tokens)
    candidates = torch.randint(3, vocabulary, (2 * tokens,), generator=generator).tolist()
    return ([token for token in candidates if token not in special] or candidates)[:tokens]


def _attend_masked(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> Any:
    """Run the model's own eager attention, evicted tokens hidden from those after the prompt."""
    own = sys.modules[type(module).__module__].eager_attention_forward  # type: ignore[attr-defined]
    kept = _kept.get(module.layer_idx)  # type: ignore[arg-type]
    if kept is not None:
        prompt, length, heads = kept.shape[1], query.shape[2], query.shape[1]
        hidden = query.new_zeros(1, heads, length, length)
        evicted = ~kept.repeat_interleave(heads // kept.shape[0], 0)
        hidden[:, :, prompt:, :prompt].masked_fill_(
            evicted[None, :, None], torch.finfo(query.dtype).min
        )
        attention_mask = hidden if attention_mask is None else attention_mask + hidden
    return own(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(_MASKED, _attend_masked)
AttentionMaskInterface.register(_MASKED, eager_mask)
