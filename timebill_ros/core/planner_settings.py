"""What an operator chooses about planning."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.settings import Settings

EvictionPolicy = Literal['timebill', 'expected', 'closed_loop', 'fixed', 'off']
"""timebill: alpha*, the smallest ratio whose worst case fits; expected: the largest
(1 - alpha) * P(in time); closed_loop: the largest expected worth, decided again and again while
the answer is written; fixed: a given ratio; off: evict nothing."""
ROUNDING = 1e-9
"""So that (1 - 0.95) * 1000, a little more than 50 in floating point, counts as 50."""


@dataclass(frozen=True)
class PlannerSettings(Settings):
    """How much of each prompt's cache is evicted.

    Arguments:
        min_kept_tokens: no policy keeps fewer. The node's is that of the scorer which the worker
            has loaded. A prompt that is not longer is never evicted.
    """

    eviction_policy: EvictionPolicy = parameter(
        'closed_loop',
        "How much of the prompt the node evicts from the cache. 'closed_loop': nothing at first; "
        'while the answer is written, the node evicts as soon as the time that is left makes it '
        "worth it. 'timebill': the rule of the paper, as little as the time budget allows in the "
        "worst case; more answers are completed, and worth less. 'expected': the "
        'eviction ratio alpha with the largest (1 - alpha) * P(in time), decided once. '
        "'fixed': `fixed_eviction_ratio`. 'off': nothing.",
        choices=get_args(EvictionPolicy),
    )
    max_eviction_ratio: float = parameter(
        0.95,
        "Largest share of the prompt that policies 'timebill', 'expected' and 'closed_loop' evict "
        '(alpha_max).',
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

        The policies that plan for the largest worth then evict nothing. Of an answer that takes
        t, the share T / t is there; and by eviction t never falls faster than what is kept, so
        (1 - alpha) * T / t is largest at alpha = 0.
        """
        return replace(self, eviction_policy='off') if self.is_learning else self

    @property
    def is_learning(self) -> bool:
        """Whether the policy plans by what was learned of lengths. The paper's rule does not."""
        return self.eviction_policy in ('expected', 'closed_loop')

    def fewest_kept(self, prompt_tokens: int) -> int:
        """Return the fewest tokens that a policy may keep of a prompt, but fixed."""
        return max(
            math.ceil((1.0 - self.max_eviction_ratio) * prompt_tokens - ROUNDING),
            min(self.min_kept_tokens, prompt_tokens),
        )
