"""A clock of its own for each answer: the fitted model, with noise and drift inside the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.time_model import TimeModel

FITTED = TimeModel(
    a=4.19e-8,
    b=1.302e-4,
    c=0.0108,
    p=1.508e-6,
    q=3.477e-3,
    e1=1.63e-6,
    e0=0.87e-3,
    delta=0.284,
    d=3.14e-6,
)
"""Of the built-in model on two cores with AMX: steps as in results/budgets.json; the prefill as
its kernels are now; evictions 0.40, 0.52 and 0.64 of a step at 512, 1,024 and 2,048 tokens, as
measured in turns with steps. A constant, so that a run does not depend on its machine."""
COMMON_SPREAD, PREFILL_SPREAD = 0.08, 0.05
"""Of the logarithm: what an answer's steps have in common, and what its prefill has besides."""
DRIFT_SPREAD = 0.01
"""Of the logarithm, a step: an answer's speed walks at random."""
STEP_SPREAD, SLOW_SHARE, SLOW_FACTOR = 0.15, 0.01, 5.0
"""Of single steps; and how many of them a neighbour makes slower, and how much."""
LOOK_S = 200e-6
"""What a decision of the closed loop costs [s]."""


@dataclass(frozen=True)
class SimulatedClock:
    """How long one answer takes.

    Arguments:
        model: mean times.
        prompt_tokens: N_x.
        prefill_factor: measured over predicted.
        factors: of each step, from the first on.
        seed: of the noise.
    """

    model: TimeModel
    prompt_tokens: int
    prefill_factor: float
    factors: NDArray[np.float64]
    seed: int = 0

    @classmethod
    def of(cls, model: TimeModel, prompt_tokens: int, longest: int, seed: int) -> 'SimulatedClock':
        """Return the clock of an answer of at most `longest` tokens."""
        random = np.random.default_rng(seed)
        common = random.normal(0.0, COMMON_SPREAD)
        drift = np.cumsum(random.normal(0.0, DRIFT_SPREAD, longest))
        noise = random.normal(-(STEP_SPREAD**2) / 2, STEP_SPREAD, longest)
        slow = np.where(random.random(longest) < SLOW_SHARE, SLOW_FACTOR, 1.0)
        prefill = float(np.exp(common + random.normal(0.0, PREFILL_SPREAD)))
        return cls(model, prompt_tokens, prefill, np.exp(common + drift + noise) * slow, seed)

    def again(self, number: int) -> 'SimulatedClock':
        """Return another clock of the same answer, one for each number."""
        seed = self.seed + 1 + number
        return SimulatedClock.of(self.model, self.prompt_tokens, len(self.factors), seed)

    def prefill_s(self, cached_tokens: int) -> float:
        """Return the time of the prefill [s]."""
        return self.prefill_factor * self.model.t_prefill(self.prompt_tokens, cached_tokens)

    def step_s(self, written: int, kept: int) -> float:
        """Return the time of the token behind so many; the first comes from the prefill [s]."""
        if written == 0:
            return 0.0
        return float(self.factors[written - 1]) * self.model.t_step(kept + written - 1)

    def eviction_s(self, written: int) -> float:
        """Return the time of an eviction behind so many tokens [s]."""
        factor = float(self.factors[max(written - 1, 0)])
        return factor * self.model.t_eviction(self.prompt_tokens)

    def times_s(
        self, tokens: int, evict_at: int, kept: int, steps: Sequence[float] | None = None
    ) -> NDArray[np.float64]:
        """Return when each token of an answer is there, from the end of the prefill [s].

        Arguments:
            evict_at: behind so many tokens.
            kept: prompt tokens that stay then; all: nothing is evicted.
            steps: that each token takes; None: one each.
        """
        times_s, now_s = [], 0.0
        for written in range(tokens):
            if written == evict_at and kept < self.prompt_tokens:
                now_s += self.eviction_s(written)
            in_cache = kept if written >= evict_at else self.prompt_tokens
            now_s += self.step_s(written, in_cache) * (1.0 if steps is None else steps[written])
            times_s.append(now_s)
        return np.array(times_s)
