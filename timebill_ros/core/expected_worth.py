"""The expected worth of an answer, by when and how much of its prompt is evicted.

This is not in the paper. The paper decides once, after the prefill, for the worst case. Here the
choice is a switch point and a ratio, for the lengths that are still possible and the time that is
really left. To evict later is always possible, so to evict now must be worth more than that.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.answer_pace import AnswerPace
from timebill_ros.core.answer_worth import AnswerWorth
from timebill_ros.core.time_model import TimeModel

Array = NDArray[np.float64]

TINY_S = 1e-12


@dataclass(frozen=True)
class AnswerState:
    """An answer whose prompt is whole in the cache.

    Arguments:
        prompt_tokens: N_x.
        written: tokens of the answer that are there.
        remaining_s: time left; may be negative or infinite [s].
        pace: of what is left to be written.
        lengths, probabilities: (lengths,), how long it becomes: each is longer than written.
        longest: no answer becomes longer, evicted or not.
        step_spread: standard deviation of the logarithm of a single step's time, which averages
            out over those that are left.
    """

    prompt_tokens: int
    written: int
    remaining_s: float
    pace: AnswerPace
    lengths: Array
    probabilities: Array
    longest: float = math.inf
    step_spread: float = 0.0


def worth_of_none(state: AnswerState, time_model: TimeModel) -> float:
    """Return the expected worth of an answer if nothing is ever evicted.

    1.0 is an answer that is surely in time.

    Arguments:
        time_model: mean times.
    """
    return float(state.probabilities @ _unevicted(state, time_model))


def expected_worth(
    state: AnswerState, time_model: TimeModel, worth: AnswerWorth, switches: Array, kept: Array
) -> Array:
    """Return the expected worth of each switch and choice, (switches, choices).

    1.0 is an unevicted answer that is surely in time.

    Arguments:
        time_model: mean times.
        worth: of an answer in time, and how much longer it becomes.
        switches: (switches,), lengths of the answer at which the prompt is evicted, not below
            what is written. An answer that ends before is not evicted.
        kept: (choices,), prompt tokens that stay.
    """
    prompt, lengths = float(state.prompt_tokens), state.lengths
    at, stays = switches[:, None, None], kept[None, :, None]
    ratios = 1.0 - stays / prompt
    left = np.maximum(lengths - at, 0.0)
    ends = np.minimum(at + left * worth.stretch(ratios), state.longest)
    before_s = _decode_s(time_model, prompt, at) - _decode_s(time_model, prompt, state.written)
    before_s = before_s + time_model.t_eviction(state.prompt_tokens)
    written_s = _decode_s(time_model, stays, at)
    after_s = _decode_s(time_model, stays, ends) - written_s
    # Of the time, only that behind the eviction is as unsure as the length.
    share_after = after_s / np.maximum(before_s + after_s, TINY_S)
    in_time = _in_time(state, before_s + after_s, ends, worth.spread(ratios) * share_after)
    if math.isfinite(state.longest):
        longest_s = before_s + _decode_s(time_model, stays, state.longest) - written_s
        in_time = np.maximum(in_time, _in_time(state, longest_s, state.longest))
    evicted = in_time * worth.worth(prompt, stays, left / lengths)
    outcome = np.where(lengths > at, evicted, _unevicted(state, time_model))
    return np.asarray(outcome @ state.probabilities)


def _unevicted(state: AnswerState, time_model: TimeModel) -> Array:
    prompt = float(state.prompt_tokens)
    whole_s = _decode_s(time_model, prompt, state.lengths)
    return _in_time(state, whole_s - _decode_s(time_model, prompt, state.written), state.lengths)


def _in_time(
    state: AnswerState, needed_s: Array, lengths: Array | float, length_spread: Array | float = 0.0
) -> Array:
    """Return P(in time)."""
    mean_s = state.pace.factor * needed_s
    if state.remaining_s <= 0.0:
        return np.where(mean_s <= state.remaining_s, 1.0, 0.0)
    steps_left = np.maximum(lengths - state.written, 1.0)
    pace_spread = np.hypot(state.pace.spread, state.step_spread / np.sqrt(steps_left))
    spread = np.hypot(pace_spread, length_spread)
    return normal_cdf(np.log(state.remaining_s / np.maximum(mean_s, TINY_S)) / spread)


def _decode_s(time_model: TimeModel, kept: Array | float, tokens: Array | float) -> Array:
    """Return TimeModel.t_decode() of arrays."""
    steps = np.maximum(0.0, np.asarray(tokens) - 1.0)
    return np.asarray(steps * (time_model.p * (kept + (steps - 1.0) / 2.0) + time_model.q))


def normal_cdf(deviations: Array) -> Array:
    """Return the distribution function of the standard normal distribution, to 2e-4.

    Numpy has none; a logistic curve of a cubic is close (Bowling et al., 2009).
    """
    bounded = np.clip(deviations, -9.0, 9.0)
    return np.asarray(1.0 / (1.0 + np.exp(-bounded * (1.5976 + 0.07056 * bounded**2))))
