"""How the time model was followed before: one factor, and one relative margin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from timebill_ros.core.bill import Bill
from timebill_ros.core.time_model import BOUND_SHARE, BOUND_SPREADS, TimeModel
from timebill_ros.core.worst_case_margin import (
    DEFAULT_DELTA,
    FEW_GENERATIONS,
    FEW_STEPS,
    LARGEST_DELTA,
    MeasuredGeneration,
    residuals,
    upper_quantile,
)

WINDOW, FACTOR_BOUND = 15, 4.0
MISS_SHARE, DELTA_STEP = 0.01, 0.05
RESIDUALS, FEW_RESIDUALS, BOUNDING_SHARE = 200, 100, 0.9999


@dataclass(frozen=True)
class OneFactor:
    """One factor on all times, and delta, by the same bills.

    Arguments:
        fitted: the time model as profiled.
        delta: the present worst-case margin.
        log_ratios: log(measured / fitted) of the last bills, newest last.
        residuals: measured / predicted - 1 of the last bills, of the larger of two times: the
            whole, and that after the prefill.
    """

    fitted: TimeModel
    delta: float
    log_ratios: tuple[float, ...] = (0.0,) * WINDOW
    residuals: tuple[float, ...] = ()

    @classmethod
    def of(cls, fitted: TimeModel) -> 'OneFactor':
        """Return the state before the first bill."""
        return cls(fitted, fitted.delta)

    @property
    def factor(self) -> float:
        """Factor on every fitted time."""
        bound = math.log(FACTOR_BOUND)
        return math.exp(min(max(median(self.log_ratios), -bound), bound))

    @property
    def model(self) -> TimeModel:
        """The time model to plan with."""
        return replace(self.fitted.scaled(self.factor), delta=self.delta)

    def observed(self, bill: Bill) -> 'OneFactor':
        """Return the correction after one more complete bill."""
        model = self.model
        rest_s = bill.eviction_time + bill.decode_time
        lengths = (bill.prompt_tokens, bill.kept_tokens, bill.response_tokens)
        whole = (bill.prefill_time + rest_s) / model.t_e2e(*lengths)
        rest = rest_s / model.t_after_prefill(*lengths) if lengths[2] > FEW_STEPS else 0.0
        residual = max(whole, rest) - 1.0
        delta = self.delta + DELTA_STEP * (float(residual > self.delta) - MISS_SHARE)
        seen = (*self.residuals, residual)[-RESIDUALS:]
        bounds = [max(LARGEST_DELTA, self.fitted.delta)]
        if len(seen) >= FEW_RESIDUALS:
            bounds.append(upper_quantile(seen, BOUNDING_SHARE))
        log_ratios = (*self.log_ratios[1:], math.log(whole * self.factor))
        return OneFactor(self.fitted, max(min(delta, *bounds), 0.0), log_ratios, seen)


def with_delta(model: TimeModel, generations: Sequence[MeasuredGeneration]) -> TimeModel:
    """Return the model with the margin that was fitted before: 99 % of the relative errors."""
    found = [list(residuals(model, generation)) for generation in generations]
    parts = [[each[part].error for each in found if len(each) > part] for part in (0, 1)]
    deltas = [upper_quantile(errors, BOUND_SHARE) for errors in parts if errors]
    deltas.append(DEFAULT_DELTA if len(generations) < FEW_GENERATIONS else 0.0)
    delta = min(max(deltas), LARGEST_DELTA)
    return replace(model, delta=delta, step_delta=0.0, bound_spreads=BOUND_SPREADS)
