"""Finds out whether the engine computes a model right: its logits against the model's own.

A list of architectures would be out of date with the next release of transformers, so each model
is tried when it is loaded. The reference is the model's own eager attention over the whole
sequence, without a cache.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading.weights_check import damaged_tensor
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.reference_attention import attention, eager_attention
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.generic_step import GenericStep

TOLERANCES = {torch.float32: 2e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
"""Largest |ours - theirs| / |theirs - mean of theirs| over a position's logits. Rounding gives
1e-5 in fp32, and in bf16 0.03 (SmolLM2 135M) to 0.2 (Qwen2.5 0.5B); an attention that leaves
something out gives 0.3 and more."""
ROUNDING_FACTOR, LARGEST_TOLERANCE = 2.0, 0.5
"""In 16 bits as much is allowed as so many times what transformers' own eager and sdpa attention
differ by, up to this."""
SHORT_TOKENS, LONG_TOKENS = 5, 136
STEPS = 4
LARGEST_WINDOW = 1024
"""The long prompt exceeds a sliding window of up to so many tokens [tokens]."""

_OWN_ATTENTION = 'has an attention of its own, which does not tell what may be evicted'
_NEVER = Interrupt(Deadline(float('inf')))


@dataclass(frozen=True)
class Verdict:
    """How a model is served.

    Arguments:
        attention: the attn_implementation under which the engine computes it right; '': none.
        step: name of the decoding step that computes it right.
        evicts: it does so after an eviction too.
        reason: why it is not served, or not by the fastest step, or not evicted: what is to be
            read behind the name of the class.
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
        return Verdict('', '', False, f'got {name} from its files with values that are no numbers')
    chosen = model.config._attn_implementation
    candidates: list[tuple[str, DecodingStep]] = [(chosen, engine.step)]
    if not isinstance(engine.step, GenericStep):
        candidates.append((chosen, GenericStep(model)))
    if chosen != 'eager':
        candidates.append(('eager', GenericStep(model)))
    reasons = []
    for name, step in candidates:
        tried = Engine(engine.target, engine.settings, engine.scorer, step)
        with attention(model, name):
            reason = _why_wrong(
                lambda tried=tried: _check_logits(tried),  # type: ignore[misc]
                'has layers that do not run on a plain cache of keys and values',
            )
            if reason:
                reasons.append(reason)
                continue
            if name == 'eager':
                why_not = '; '.join(reasons) or _OWN_ATTENTION
            else:
                why_not = _why_wrong(
                    lambda tried=tried: _check_eviction(tried),  # type: ignore[misc]
                    'has a cache of another kind than eviction can choose from',
                )
        return Verdict(name, step.name, not why_not, why_not or '; '.join(reasons))
    return Verdict('', '', False, _kind_of_layers(model) or reasons[-1])


def _why_wrong(check: Callable[[], str], failure: str) -> str:
    """Return what a check finds; if it fails, what this says of the model, with the error.

    Raises:
        MemoryError, RuntimeError: there is too little memory. This says nothing of the model, and
            must not be kept as its verdict.
    """
    try:
        return check()
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever it is: this way of computing the model does not work
        if 'allocate memory' in str(error):  # torch's on a CPU has no class of its own
            raise
        logging.debug('the self-check failed', exc_info=True)
        first = str(error).strip().partition('\n')[0][:200].rstrip('.')
        return f'{failure} ({type(error).__name__}: {first})'


def _kind_of_layers(model: Any) -> str:
    """Say what is unusual about a model that cannot be served; '' if it is not known."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, 'layer_types', None) or ()) | set(
        getattr(config, 'layers_block_type', None) or ()
    )
    unusual = sorted(kind for kind in kinds if 'attention' not in kind or 'linear' in kind)
    if unusual:
        return (
            f'has layers of the kind {" and ".join(map(repr, unusual))}, which keep a state that '
            'is not a cache of keys and values'
        )
    return ''


def _check_logits(engine: Engine) -> str:
    """Return what is wrong with a short prompt, a prompt of two chunks and steps after each."""
    long = _long_tokens(engine)
    middle = round(0.6 * long)
    for tokens, chunks in ((SHORT_TOKENS, None), (long, [(0, middle), (middle, long)])):
        ids = _random_ids(engine, tokens + STEPS)
        prefilled = engine.prefill(ids[:tokens], STEPS, _NEVER, chunks)
        if reason := _difference(engine, ids, _logits(prefilled, engine.step, ids[tokens:]), {}):
            return f'computes what this engine does not: after {tokens} tokens {reason}'
    return ''


def _check_eviction(engine: Engine) -> str:
    """Return what is wrong with steps after an eviction."""
    fewest = engine.scorer.min_kept_tokens
    tokens = max(_long_tokens(engine), fewest + 40)
    if tokens + STEPS > engine.target.context_length:
        return ''  # no prompt is long enough for an eviction
    ids = _random_ids(engine, tokens + STEPS)
    prefilled = engine.prefill(ids[:tokens], STEPS, _NEVER)
    kept = {
        layer: positions.new_zeros(len(positions), tokens, dtype=torch.bool).scatter_(
            1, positions, True
        )
        for layer, positions in engine.evict(prefilled, fewest + 8).items()
    }
    if not kept:
        return 'has no layer that attends to the whole prompt'
    ours = _logits(prefilled, engine.step, ids[tokens:])
    reason = _difference(engine, ids, ours, kept)
    return f'is not what it was after an eviction: {reason}' if reason else ''


def _logits(prefilled: Prefilled, step: DecodingStep, newer: list[int]) -> torch.Tensor:
    """Return the prefill's and some steps' logits, (1 + steps, vocabulary)."""
    found = [prefilled.logits.float()]
    with step.answering(prefilled.cache, len(prefilled.prompt_ids), len(newer)) as answering:
        for token in newer:
            logits = answering.logits(torch.tensor(token, device=prefilled.prompt_ids.device))
            found.append(logits.float().clone())
    return torch.stack(found)


def _difference(
    engine: Engine, ids: list[int], ours: torch.Tensor, kept: Mapping[int, torch.Tensor]
) -> str:
    """Return how far our logits are from the model's own, as a clause; '' if near enough.

    In fp32 the worst position counts. In 16 bits the median does: rounding alone may send a token
    to another expert.

    Arguments:
        ours: of the last positions.
        kept: as for eager_attention().
    """
    target = engine.target
    with eager_attention(target.model, kept), torch.inference_mode():
        output = target.model(input_ids=torch.tensor([ids], device=target.device), use_cache=False)
    theirs = output.logits[0, -len(ours) :].float()
    if not torch.isfinite(theirs).all():
        if target.dtype == torch.float16:
            return (
                'the logits are no numbers in float16, whose largest is 65504: set dtype to '
                "'float32' or 'bfloat16'"
            )
        return 'the logits are not numbers, so that its weights are damaged'
    spread = (theirs - theirs.mean(-1, keepdim=True)).norm(dim=-1).clamp_min(1e-6)
    errors = (ours - theirs).norm(dim=-1) / spread
    error = float(errors.max() if target.dtype == torch.float32 else errors.median())
    tolerance = TOLERANCES[target.dtype]
    if target.dtype != torch.float32 and not error < tolerance:
        rounding = _rounding(engine, ids, theirs, spread)
        tolerance = max(tolerance, min(ROUNDING_FACTOR * rounding, LARGEST_TOLERANCE))
    if error < tolerance:  # not a number is not
        return ''
    return f'the logits differ by {error:.2g} from its own'


def _rounding(engine: Engine, ids: list[int], eager: torch.Tensor, spread: torch.Tensor) -> float:
    """Return how far transformers' own sdpa attention is from its eager one, by rounding alone."""
    model = engine.target.model
    if not model._supports_sdpa:
        return 0.0
    with attention(model, 'sdpa'), torch.inference_mode():
        output = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
    errors = (output.logits[0, -len(eager) :].float() - eager).norm(dim=-1) / spread
    return float(errors.median())


def _long_tokens(engine: Engine) -> int:
    config = engine.target.model.config.get_text_config()
    window = getattr(config, 'sliding_window', None) or 0
    wanted = LONG_TOKENS + (window if window <= LARGEST_WINDOW else 0)
    return max(min(wanted, engine.target.context_length - STEPS), 2)


def _random_ids(engine: Engine, tokens: int) -> list[int]:
    """Return ids of ordinary tokens: control tokens may mean images to a model."""
    tokenizer = engine.target.tokenizer
    vocabulary = int(engine.target.model.get_input_embeddings().num_embeddings)
    special = set() if tokenizer is None else set(tokenizer.added_tokens_decoder)
    if tokenizer is not None:
        vocabulary = min(vocabulary, len(tokenizer))
    generator = torch.Generator().manual_seed(tokens)
    candidates = torch.randint(3, vocabulary, (2 * tokens,), generator=generator).tolist()
    return ([token for token in candidates if token not in special] or candidates)[:tokens]
