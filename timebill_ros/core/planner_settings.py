"""What an operator chooses about planning."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.settings import Settings

EvictionPolicy = Literal['timebill', 'expected', 'fixed', 'off']
"""timebill: alpha*, the smallest ratio whose worst case fits; expected: the largest
(1 - alpha) * P(in time); fixed: a given ratio; off: evict nothing."""


@dataclass(frozen=True)
class PlannerSettings(Settings):
    """How much of each prompt's cache is evicted.

    Arguments:
        min_kept_tokens: no policy keeps fewer. The node's is that of the scorer which the worker
            has loaded. A prompt that is not longer is never evicted.
    """

    eviction_policy: EvictionPolicy = parameter(
        'timebill',
        "How much of the prompt the node evicts from the cache. 'timebill': as little as the time "
        "budget allows in the worst case; more answers are completed. 'expected': the "
        'eviction ratio alpha with the largest (1 - alpha) * P(in time); more of the prompt stays '
        "when budgets are tight. 'fixed': `fixed_eviction_ratio`. 'off': nothing.",
        choices=get_args(EvictionPolicy),
    )
    max_eviction_ratio: float = parameter(
        0.95,
        "Largest share of the prompt that policies 'timebill' and 'expected' evict (alpha_max).",
        bounds=(0.0, 0.99),
    )
    fixed_eviction_ratio: float = parameter(
        0.5,
        "Share of the prompt that policy 'fixed' evicts (alpha).",
        bounds=(0.0, 0.99),
    )
    pessimistic_factor: float = parameter(
        5.0,
        'In the worst case, an answer is this many times longer than predicted (k). Policy '
        "'timebill' plans for the worst case, policy 'expected' for the predicted length.",
        bounds=(1.0, 100.0),
    )
    min_kept_tokens: int = 96

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.min_kept_tokens >= 1, f'min_kept_tokens is {self.min_kept_tokens}'

    @property
    def for_partial_answers(self) -> 'PlannerSettings':
        """The settings for a query whose text so far is its answer when time is up.

        Policy expected then evicts nothing. Of an answer that takes t, the share T / t is there;
        and by eviction t never falls faster than what is kept, so (1 - alpha) * T / t is largest
        at alpha = 0.
        """
        if self.eviction_policy != 'expected':
            return self
        return replace(self, eviction_policy='off')
