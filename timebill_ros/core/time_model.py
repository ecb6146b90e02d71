"""The time of a generation as a function of its lengths."""

import math
from dataclasses import dataclass, fields, replace
from statistics import NormalDist

from timebill_ros.core.speculation import most_lost_steps

BOUND_SHARE = 0.99
"""Share of answers that the worst case is to bound."""
BOUND_SPREADS = NormalDist().inv_cdf(BOUND_SHARE)
"""Distance of the worst case from the mean, in standard deviations, if noise is normal."""


@dataclass(frozen=True)
class TimeModel:
    """Coefficients and formulas of one model on one machine (arXiv 2512.21859).

    All coefficients are finite and non-negative. So no predicted time is negative, and none falls
    if a length grows, also outside the profiled lengths.

    Arguments:
        a, b, c: prefill, a*N_x^2 + b*N_x + c [s].
        p, q: one decoding step, p*N_kv + q [s]; N_kv is the cache's length before the step.
        e1, e0: eviction, e1*N_x + e0 [s], if anything is evicted. Not in the paper.
        delta: the worst-case margin over the mean: all parts of an answer may take (1 + delta)
            times as long. Not in the paper, nor are the two below.
        step_delta: what a single step needs besides. It averages out over n steps: decoding may
            take (1 + sqrt(delta^2 + step_delta^2 / n)) times as long.
        bound_spreads: the worst case is so many standard deviations of the time above the mean.
        d: prefill behind N_c tokens that are in the cache already: a and b cost nothing for them,
            but to attend to them takes d*N_c more [s]. Not in the paper.
        speculates: tokens are guessed. In the worst case, wrong guesses take time.

    Raises:
        ValueError: a coefficient is negative or not finite.
    """

    a: float
    b: float
    c: float
    p: float
    q: float
    e1: float = 0.0
    e0: float = 0.0
    delta: float = 0.0
    d: float = 0.0
    speculates: bool = False
    step_delta: float = 0.0
    bound_spreads: float = BOUND_SPREADS

    def __post_init__(self) -> None:
        for coefficient in fields(self):
            value = getattr(self, coefficient.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f'{coefficient.name} must be finite and >= 0, got {value}')
        if self.bound_spreads == 0.0:
            raise ValueError('bound_spreads must be > 0, got 0.0')

    def t_prefill(self, prompt_tokens: int, cached_tokens: int = 0) -> float:
        """Return the mean time of the prefill [s].

        Arguments:
            prompt_tokens: N_x.
            cached_tokens: so many of them, from the first on, are in the cache already.
        """
        new_tokens = prompt_tokens - cached_tokens
        new_s = (self.a * (prompt_tokens + cached_tokens) + self.b) * new_tokens
        return new_s + self.d * cached_tokens + self.c

    def t_step(self, kv_tokens: int) -> float:
        """Return the mean time of one decoding step [s], with N_kv tokens in the cache."""
        return self.p * kv_tokens + self.q

    def t_eviction(self, prompt_tokens: int) -> float:
        """Return the mean time of eviction [s] for N_x prompt tokens, at any eviction ratio."""
        return self.e1 * prompt_tokens + self.e0

    def t_decode(self, kept_tokens: int, response_tokens: int) -> float:
        """Return the mean time of all response tokens after the first [s].

        The first token comes from the prefill. Step i = 1..N-1 finds kept_tokens + i - 1 tokens in
        the cache; the sum over the steps is in closed form.

        Arguments:
            kept_tokens: prompt tokens in the cache, (1 - alpha) * N_x.
            response_tokens: N; 1 or less costs nothing.
        """
        steps = max(0, response_tokens - 1)
        return steps * (self.p * (kept_tokens + (steps - 1) / 2) + self.q)

    def t_after_prefill(
        self,
        prompt_tokens: int,
        kept_tokens: int,
        response_tokens: int,
    ) -> float:
        """Return the mean time of eviction, if anything is evicted, and decoding [s]."""
        evicts = kept_tokens < prompt_tokens
        eviction_s = self.t_eviction(prompt_tokens) if evicts else 0.0
        return eviction_s + self.t_decode(kept_tokens, response_tokens)

    def t_e2e(
        self, prompt_tokens: int, kept_tokens: int, response_tokens: int, cached_tokens: int = 0
    ) -> float:
        """Return the mean time of prefill, eviction and decoding [s].

        Arguments:
            prompt_tokens: N_x.
            kept_tokens: prompt tokens left in the cache; N_x: nothing is evicted.
            response_tokens: N.
            cached_tokens: as for t_prefill.
        """
        return self.t_prefill(prompt_tokens, cached_tokens) + self.t_after_prefill(
            prompt_tokens, kept_tokens, response_tokens
        )

    def t_wcet(self, prompt_tokens: int, kept_tokens: int, response_tokens: int) -> float:
        """Return the bound on the time of prefill, eviction and decoding [s].

        Arguments:
            prompt_tokens, kept_tokens: as for t_e2e.
            response_tokens: N_W.
        """
        most_tokens = self.worst_case_tokens(response_tokens)
        return self.worst_case(most_tokens).t_e2e(prompt_tokens, kept_tokens, most_tokens)

    def worst_case(self, response_tokens: int) -> 'TimeModel':
        """Return a model of the longest times of an answer of so many tokens."""
        margin = self.decode_margin(max(0, response_tokens - 1))
        return self.scaled(1.0 + self.delta, 1.0 + margin, 1.0 + self.delta)

    def decode_margin(self, steps: float) -> float:
        """Return the worst-case margin of so many decoding steps; of none, that of a prefill."""
        return math.hypot(self.delta, self.step_delta / math.sqrt(steps)) if steps else self.delta

    def spread(self, steps: float = math.inf) -> float:
        """Return the standard deviation of the logarithm of a time.

        Arguments:
            steps: decoding steps that it consists of; infinite: what whole answers have in common.
        """
        return math.log1p(self.decode_margin(steps)) / self.bound_spreads

    def worst_case_tokens(self, response_tokens: int) -> int:
        """Return how many tokens without any wrong guess take as long as so many at worst."""
        if not self.speculates or response_tokens <= 2:  # nothing is guessed of the last token
            return response_tokens
        return response_tokens + math.ceil(most_lost_steps(response_tokens))

    @property
    def step_spread(self) -> float:
        """What a single step adds to spread(): averages out over steps."""
        return self.step_delta / self.bound_spreads

    def scaled(
        self, reading: float, writing: float | None = None, eviction: float | None = None
    ) -> 'TimeModel':
        """Return a model with all times multiplied by factors. Margins are ratios and stay.

        Arguments:
            reading: of the prefill.
            writing: of decoding steps; None: as reading.
            eviction: of evictions; None: as writing.
        """
        writing = reading if writing is None else writing
        eviction = writing if eviction is None else eviction
        return replace(
            self,
            a=self.a * reading,
            b=self.b * reading,
            c=self.c * reading,
            p=self.p * writing,
            q=self.q * writing,
            e1=self.e1 * eviction,
            e0=self.e0 * eviction,
            d=self.d * reading,
        )

    def leverage(self, prompt_tokens: int, eviction_ratio_max: float) -> float:
        """Return the share of a step's time that the greatest eviction saves, in [0, 1)."""
        cache_s = self.p * prompt_tokens
        step_s = cache_s + self.q
        return eviction_ratio_max * cache_s / step_s if step_s > 0.0 else 0.0
