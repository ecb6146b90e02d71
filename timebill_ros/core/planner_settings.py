"""What an operator chooses about planning."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

EvictionPolicy = Literal['timebill', 'expected', 'fixed', 'off']
"""timebill: alpha*, the smallest ratio whose worst case fits; expected: the largest
(1 - alpha) * P(in time); fixed: a given ratio; off: evict nothing."""


@dataclass(frozen=True)
class PlannerSettings:
    """What an operator chooses.

    Arguments:
        pessimistic_factor: k in N_W = min(k * N_hat, N_max), >= 1: the length of the worst case,
            by which policy timebill chooses. Policy expected counts with N_hat.
        eviction_policy: see EvictionPolicy.
        max_eviction_ratio: alpha_max, the largest ratio that policies timebill and expected
            take, in [0, 1).
        fixed_eviction_ratio: the ratio of policy fixed, in [0, 1).
        min_kept_tokens: no policy keeps fewer; the observation window + 64. A prompt that is not
            longer is never evicted.

    Raises:
        ValueError: a value is out of its bounds.
    """

    pessimistic_factor: float = 5.0
    eviction_policy: EvictionPolicy = 'timebill'
    max_eviction_ratio: float = 0.95
    fixed_eviction_ratio: float = 0.5
    min_kept_tokens: int = 96

    def __post_init__(self) -> None:
        if not self.pessimistic_factor >= 1.0:
            raise ValueError(f'pessimistic_factor must be >= 1, got {self.pessimistic_factor}')
        if self.eviction_policy not in get_args(EvictionPolicy):
            raise ValueError(
                f'eviction_policy must be one of {get_args(EvictionPolicy)}, '
                f'got {self.eviction_policy!r}'
            )
        for name in ('max_eviction_ratio', 'fixed_eviction_ratio'):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f'{name} must be in [0, 1), got {getattr(self, name)}')
        if self.min_kept_tokens < 1:
            raise ValueError(f'min_kept_tokens must be >= 1, got {self.min_kept_tokens}')

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
