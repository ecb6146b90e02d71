"""The arms. Each chooses an eviction ratio for an item and a time budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from benchmark.budgets.alpha_grid import rounded_up
from benchmark.budgets.recorded_item import RecordedItem
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.plan import Plan
from timebill_ros.core.planner_settings import EvictionPolicy, PlannerSettings
from timebill_ros.core.time_model import TimeModel

TIMEBILL, VANILLA = 'timebill', 'vanilla'
FIXED = {'alpha_25': 0.25, 'alpha_50': 0.5, 'alpha_75': 0.75, 'alpha_95': 0.95}
NO_MARGIN = 'timebill_no_margin'
EXPECTED = 'expected'
FOUR_BIT = 'int4'
"""The paper's AWQ arm: the same target with 4-bit weights, nothing evicted. Needs a recording of
its own, so it is no Choose."""
ORACLE_LENGTH, ORACLE_TIME, ORACLE_SCORE = 'oracle_length', 'oracle_time', 'oracle_score'
Choose = Callable[[RecordedItem, float], float]
"""From an item and its budget [s] to alpha, one of those recorded."""


@dataclass(frozen=True)
class Planning:
    """What TimeBill plans with.

    Arguments:
        time_model: of the engine that was recorded, as profiled.
        settings: the node's.
        followed: the model as the node would have corrected it by then, by the item's key.
    """

    time_model: TimeModel
    settings: PlannerSettings
    followed: Mapping[str, TimeModel] = field(default_factory=dict)

    def model_for(self, item: RecordedItem) -> TimeModel:
        """Return what the node would have planned an item with."""
        return self.followed.get(item.unevicted.item, self.time_model)

    def without_margin(self) -> 'Planning':
        """Return the same with mean times for worst ones: no margins."""
        return replace(
            self,
            time_model=_mean(self.time_model),
            followed={key: _mean(model) for key, model in self.followed.items()},
        )

    def with_factor(self, pessimistic_factor: float) -> 'Planning':
        """Return the same with another k."""
        return replace(
            self, settings=replace(self.settings, pessimistic_factor=pessimistic_factor)
        )

    def with_policy(self, eviction_policy: EvictionPolicy) -> 'Planning':
        """Return the same with another way to choose the ratio."""
        return replace(self, settings=replace(self.settings, eviction_policy=eviction_policy))

    def plan(self, item: RecordedItem, budget_s: float, predicted_tokens: int) -> Plan:
        """Return the plan that the node makes when the prefill is over."""
        asked = item.unevicted
        return BudgetPlanner(self.settings, self.model_for(item)).plan_after_prefill(
            asked.prompt_tokens,
            asked.max_new_tokens,
            prefill_time_s=item.prefill_s,
            predicted_response_tokens=predicted_tokens,
            remaining_s=budget_s - item.prefill_s,
        )

    def alpha(self, item: RecordedItem, budget_s: float, predicted_tokens: int) -> float:
        """Return the plan's ratio, rounded up to the grid."""
        return rounded_up(
            self.plan(item, budget_s, predicted_tokens).kept_tokens,
            item.unevicted.prompt_tokens,
            self.settings.min_kept_tokens,
        )


def _mean(model: TimeModel) -> TimeModel:
    return replace(model, delta=0.0, step_delta=0.0)


def timebill(planning: Planning) -> Choose:
    """Return the arm of the paper: alpha* for k times the predicted length."""
    return lambda item, budget_s: planning.alpha(item, budget_s, item.unevicted.predicted_tokens)


def expected(planning: Planning, is_partial: bool = False) -> Choose:
    """Return policy expected: the largest (1 - alpha) * P(in time).

    Arguments:
        is_partial: a late answer is delivered as far as it is.
    """
    planning = planning.with_policy('expected')
    if is_partial:
        planning = replace(planning, settings=planning.settings.for_partial_answers)
    return timebill(planning)


def no_margin(planning: Planning) -> Choose:
    """Return TimeBill that takes mean times for worst ones, as the paper does: delta = 0."""
    return timebill(planning.without_margin())


def oracle_length(planning: Planning) -> Choose:
    """Return TimeBill that knows the unevicted answer's length, and takes it as it is."""
    exact = planning.with_factor(1.0)
    return lambda item, budget_s: exact.alpha(item, budget_s, item.unevicted.tokens)


def oracle_time(item: RecordedItem, budget_s: float) -> float:
    """Return the smallest recorded ratio whose answer is in fact in time, else the quickest."""
    fitting = [alpha for alpha in item.answers if item.total_s(alpha) <= budget_s]
    return min(fitting) if fitting else min(item.answers, key=item.total_s)


def oracle_score(item: RecordedItem, budget_s: float) -> float:
    """Return the ratio of the best answer that is in time: more than any choice can have."""
    fitting = [alpha for alpha in item.answers if item.total_s(alpha) <= budget_s]
    if not fitting:
        return oracle_time(item, budget_s)
    return max(
        fitting, key=lambda alpha: (item.graded(alpha, item.answers[alpha].tokens)[0], -alpha)
    )


def oracle_partial_score(item: RecordedItem, budget_s: float) -> float:
    """Return the ratio of which the best answer, perhaps cut off, is there in time."""
    return max(
        item.answers,
        key=lambda alpha: (item.graded_within(alpha, budget_s)[0], -alpha),
    )


def planned_arms(planning: Planning, is_partial: bool = False) -> dict[str, Choose]:
    """Return the arms that compute a ratio: what they ask for has to be recorded.

    Arguments:
        is_partial: as for expected.
    """
    return {
        TIMEBILL: timebill(planning),
        EXPECTED: expected(planning, is_partial),
        NO_MARGIN: no_margin(planning),
        ORACLE_LENGTH: oracle_length(planning),
    }


def all_arms(planning: Planning, is_partial: bool = False) -> Mapping[str, Choose]:
    """Return every arm by name.

    Arguments:
        is_partial: a late answer is delivered as far as it is.
    """
    return {
        VANILLA: fixed(0.0),
        **{name: fixed(alpha) for name, alpha in FIXED.items()},
        **planned_arms(planning, is_partial),
        ORACLE_TIME: oracle_time,
        ORACLE_SCORE: oracle_partial_score if is_partial else oracle_score,
    }


def fixed(alpha: float) -> Choose:
    """Return the arm that always takes one ratio."""
    return lambda item, budget_s: alpha
