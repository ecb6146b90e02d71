"""Plans a query: chooses its eviction ratio. Pure: no clock, no language model."""

import math
from dataclasses import dataclass, field

from timebill_ros.core.answer_worth import PRIOR, AnswerWorth
from timebill_ros.core.closed_loop import ClosedLoop
from timebill_ros.core.expected_eviction import expected_kept_tokens
from timebill_ros.core.plan import Plan
from timebill_ros.core.planner_settings import ROUNDING, PlannerSettings
from timebill_ros.core.remaining_lengths import RemainingLengths
from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.worst_case_eviction import kept_tokens_to_fit


@dataclass(frozen=True)
class BudgetPlanner:
    """Chooses how much of the KV cache to evict.

    Without a time model, only policy fixed evicts anything, and predicted times are 0.

    Arguments:
        settings: the planner's parameters.
        time_model: corrected for drift; None: not fitted yet.
        worth: of an answer after an eviction.
    """

    settings: PlannerSettings = field(default_factory=PlannerSettings)
    time_model: TimeModel | None = None
    worth: AnswerWorth = PRIOR

    def plan(
        self,
        prompt_tokens: int,
        max_new_tokens: int,
        *,
        cached_tokens: int = 0,
        predicted_response_tokens: int | None = None,
        remaining_s: float = math.inf,
        predictor_time_s: float = 0.0,
    ) -> Plan:
        """Plan a query before its prefill.

        Arguments:
            prompt_tokens: N_x, length of the prompt with the chat template applied.
            max_new_tokens: N_max, upper bound of the answer's length.
            cached_tokens: prompt tokens that are in the cache and need not be read.
            predicted_response_tokens: N_hat, clipped to 1..N_max; None: N_max.
            remaining_s: T, the time left when the prefill starts, without the reserve; may be
                negative or infinite [s].
            predictor_time_s: time of the length predictor that the prefill does not hide [s].

        Raises:
            ValueError: a length is < 1, or a time is not a number.
        """
        prefill_s = 0.0
        if (model := self.time_model) is not None:
            prefill_s = (1.0 + model.delta) * model.t_prefill(prompt_tokens, cached_tokens)
        return self._plan(
            prompt_tokens,
            max_new_tokens,
            cached_tokens,
            predicted_response_tokens,
            prefill_s,
            remaining_s - predictor_time_s,
        )

    def plan_after_prefill(
        self,
        prompt_tokens: int,
        max_new_tokens: int,
        *,
        prefill_time_s: float,
        cached_tokens: int = 0,
        predicted_response_tokens: int | None = None,
        remaining_s: float = math.inf,
        loop: ClosedLoop | None = None,
    ) -> Plan:
        """Plan a query again after its prefill: only eviction and decoding must still fit.

        Arguments:
            prompt_tokens: as for plan.
            max_new_tokens: as for plan.
            predicted_response_tokens: as for plan.
            prefill_time_s: measured time of the prefill, a part of worst_case_time_s [s].
            cached_tokens: as for plan.
            remaining_s: the time left now, without the reserve [s].
            loop: of closed_loop().

        Raises:
            ValueError: a length is < 1, or a time is not a number.
        """
        return self._plan(
            prompt_tokens,
            max_new_tokens,
            cached_tokens,
            predicted_response_tokens,
            prefill_time_s,
            prefill_time_s + remaining_s,
            loop,
        )

    def closed_loop(self, prompt_tokens: int, lengths: RemainingLengths) -> ClosedLoop | None:
        """Return what decides while an answer is written; None: the policy is another one."""
        model = self.time_model
        if model is None or self.settings.eviction_policy != 'closed_loop':
            return None
        fewest = self.settings.fewest_kept(prompt_tokens)
        return ClosedLoop(model, prompt_tokens, fewest, lengths, self.worth)

    def prefill_time_s(self, prompt_tokens: int, cached_tokens: int = 0) -> float:
        """Return the predicted time of a prefill; infinite without a time model [s]."""
        model = self.time_model
        return math.inf if model is None else model.t_prefill(prompt_tokens, cached_tokens)

    def is_feasible(
        self,
        prompt_tokens: int,
        remaining_s: float,
        *,
        cached_tokens: int = 0,
        predictor_time_s: float = 0.0,
    ) -> bool:
        """Tell whether the shortest answer fits the time left; if not, refuse the query.

        The shortest answer is one token. It comes from the prefill, without eviction or decoding
        steps. The mean time counts, not the worst case. Without a time model, the answer is yes
        as long as any time is left.

        Arguments:
            prompt_tokens: N_x.
            remaining_s: the time left, without the reserve [s].
            cached_tokens: as for plan.
            predictor_time_s: time of the length predictor that the prefill does not hide [s].
        """
        return remaining_s >= self._shortest_s(prompt_tokens, cached_tokens) + predictor_time_s

    def minimum_time_budget_s(
        self,
        prompt_tokens: int,
        *,
        cached_tokens: int = 0,
        predictor_time_s: float = 0.0,
        overhead_s: float = 0.0,
    ) -> float:
        """Return the smallest budget with which is_feasible admits a query, in whole ms [s].

        Arguments:
            prompt_tokens: as for is_feasible.
            cached_tokens: as for is_feasible.
            predictor_time_s: as for is_feasible.
            overhead_s: the part of the budget that is_feasible does not see: the reserve, and an
                allowance for transport and waiting [s].
        """
        shortest_s = self._shortest_s(prompt_tokens, cached_tokens) + predictor_time_s + overhead_s
        return math.floor(shortest_s * 1000.0 + 1.0) / 1000.0

    def _shortest_s(self, prompt_tokens: int, cached_tokens: int) -> float:
        model = self.time_model
        return 0.0 if model is None else model.t_prefill(prompt_tokens, cached_tokens)

    def _plan(
        self,
        prompt_tokens: int,
        max_new_tokens: int,
        cached_tokens: int,
        predicted_response_tokens: int | None,
        prefill_s: float,
        total_s: float,
        loop: ClosedLoop | None = None,
    ) -> Plan:
        """Plan for a prefill of prefill_s, and total_s from its start to the deadline."""
        for name, tokens in (('prompt_tokens', prompt_tokens), ('max_new_tokens', max_new_tokens)):
            if tokens < 1:
                raise ValueError(f'{name} must be >= 1, got {tokens}')
        if math.isnan(total_s):
            raise ValueError(f'remaining_s must be a number, got {total_s}')

        time_model = self.time_model
        if time_model is None:
            kept = self._kept_by_policy(prompt_tokens)
            return Plan(kept, max_new_tokens, eviction_ratio=1.0 - kept / prompt_tokens)

        expected = max_new_tokens
        if predicted_response_tokens is not None:
            expected = min(max(1, predicted_response_tokens), max_new_tokens)
        longest = self._worst_case_tokens(expected, max_new_tokens)
        most_steps = time_model.worst_case_tokens(longest)
        policy = self.settings.eviction_policy
        if policy == 'timebill':
            found = kept_tokens_to_fit(
                time_model,
                prompt_tokens,
                self.settings.fewest_kept(prompt_tokens),
                most_steps,
                prefill_s,
                total_s,
            )
        elif policy == 'expected':
            found = expected_kept_tokens(
                time_model,
                prompt_tokens,
                self.settings.fewest_kept(prompt_tokens),
                expected,
                total_s - prefill_s,
            )
        elif loop is not None:
            found = loop.kept_tokens(0, 0.0, total_s - prefill_s)
        else:
            found = self._kept_by_policy(prompt_tokens)
        worst = time_model.worst_case(most_steps)
        kept = self._quickest(worst, prompt_tokens, most_steps) if found is None else found
        worst_s = worst.t_after_prefill(prompt_tokens, kept, most_steps)
        if loop is not None and kept == prompt_tokens:  # it may still be evicted
            worst_s += worst.t_eviction(prompt_tokens)
        return Plan(
            kept_tokens=kept,
            max_new_tokens=max_new_tokens,
            eviction_ratio=1.0 - kept / prompt_tokens,
            predicted_response_tokens=expected,
            worst_case_response_tokens=longest,
            predicted_prefill_time_s=time_model.t_prefill(prompt_tokens, cached_tokens),
            predicted_eviction_time_s=(
                time_model.t_eviction(prompt_tokens) if kept < prompt_tokens else 0.0
            ),
            predicted_decode_time_s=time_model.t_decode(kept, expected),
            worst_case_time_s=prefill_s + worst_s,
        )

    def _worst_case_tokens(self, expected: int, max_new_tokens: int) -> int:
        """Return N_W = min(k * N_hat, N_max), rounded up."""
        longest = min(self.settings.pessimistic_factor * expected, max_new_tokens)
        return math.ceil(longest - ROUNDING)

    def _kept_by_policy(self, prompt_tokens: int) -> int:
        """Return the kept tokens that do not depend on the budget: fixed, off, no time model."""
        if self.settings.eviction_policy != 'fixed':
            return prompt_tokens
        kept = math.floor((1.0 - self.settings.fixed_eviction_ratio) * prompt_tokens + ROUNDING)
        return max(kept, min(self.settings.min_kept_tokens, prompt_tokens))

    def _quickest(self, time_model: TimeModel, prompt_tokens: int, response_tokens: int) -> int:
        """Return the kept tokens that take the least time: eviction costs time too."""
        fewest = self.settings.fewest_kept(prompt_tokens)
        most_s, least_s = (
            time_model.t_after_prefill(prompt_tokens, kept, response_tokens)
            for kept in (prompt_tokens, fewest)
        )
        return fewest if least_s < most_s else prompt_tokens
