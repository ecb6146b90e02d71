"""Replays generations as the worker sees them: each is predicted, then learned from.

The rule, written before it was tested: at least 99 % of whole generations, of known length, stay
within t_wcet, as recorded and with the second half 1.5 times as slow. And t_wcet / measured is
smaller (median) than with one factor and one margin, at the same coverage. For this, both bounds
are multiplied by what makes 99 % of the generations stay within them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.bill import Bill
from timebill_ros.core.time_model import BOUND_SHARE, TimeModel
from timebill_ros.core.worst_case_margin import FEW_STEPS, MeasuredGeneration

Array = NDArray[np.float64]
Self = TypeVar('Self', bound='Follower')

SLOWER = 1.5


class Follower(Protocol):
    """Corrects a time model from bills."""

    @property
    def model(self) -> TimeModel:
        """The time model to plan with."""
        ...

    def observed(self: Self, bill: Bill) -> Self:
        """Return the correction after one more bill."""
        ...


@dataclass(frozen=True)
class Followed:
    """Measured over predicted times, of each generation in the order measured.

    Arguments:
        whole, prefill, decode: over the mean time. Of decodings, only those of 16 steps or more.
        bounded: the whole over t_wcet.
        bounded_after_prefill: eviction and decoding over their worst case; as for decode.
        last: the model after the last one.
    """

    whole: Array
    prefill: Array
    decode: Array
    bounded: Array
    bounded_after_prefill: Array
    last: TimeModel

    @property
    def tightness(self) -> float:
        """The median of t_wcet / measured."""
        return float(np.median(1.0 / self.bounded))

    @property
    def tightness_at_bound_share(self) -> float:
        """The same, if all bounds are multiplied by what lets them hold for 99 %."""
        return self.tightness * float(np.quantile(self.bounded, BOUND_SHARE, method='higher'))


def follow(follower: Follower, generations: Sequence[MeasuredGeneration]) -> Followed:
    """Replay generations in their order."""
    rows, longer = [], []
    for g in generations:
        model, lengths = follower.model, (g.prompt_tokens, g.kept_tokens, g.response_tokens)
        worst = model.worst_case(g.response_tokens)
        rest_s = g.eviction_s + g.decode_s
        whole_s = g.prefill_s + rest_s
        rows.append(
            (
                whole_s / model.t_e2e(*lengths),
                g.prefill_s / model.t_prefill(g.prompt_tokens),
                whole_s / worst.t_e2e(*lengths),
            )
        )
        if g.response_tokens > FEW_STEPS:
            decode_s = model.t_decode(g.kept_tokens, g.response_tokens)
            longer.append((g.decode_s / decode_s, rest_s / worst.t_after_prefill(*lengths)))
        follower = follower.observed(_bill(g))
    whole, prefill, bounded = np.array(rows).T
    decode, after_prefill = np.array(longer).reshape(-1, 2).T
    return Followed(whole, prefill, decode, bounded, after_prefill, follower.model)


@dataclass(frozen=True)
class NotFollowed:
    """Keeps the time model as it was fitted."""

    model: TimeModel

    def observed(self, bill: Bill) -> 'NotFollowed':
        """Learn nothing."""
        return self


def slower_in_the_middle(
    generations: Sequence[MeasuredGeneration],
) -> list[MeasuredGeneration]:
    """Return the generations with the second half 1.5 times as slow."""
    half = len(generations) // 2
    slow = [
        replace(
            g,
            prefill_s=SLOWER * g.prefill_s,
            eviction_s=SLOWER * g.eviction_s,
            decode_s=SLOWER * g.decode_s,
        )
        for g in generations[half:]
    ]
    return [*generations[:half], *slow]


def _bill(g: MeasuredGeneration) -> Bill:
    return Bill(
        prompt_tokens=g.prompt_tokens,
        kept_tokens=g.kept_tokens,
        response_tokens=g.response_tokens,
        prefill_time=g.prefill_s,
        eviction_time=g.eviction_s,
        decode_time=g.decode_s,
    )
