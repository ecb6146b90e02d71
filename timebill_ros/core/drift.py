"""Corrects the time model from bills: a robot's clocks and temperature change."""

import math
from dataclasses import dataclass, replace
from statistics import median

from timebill_ros.core.bill import Bill
from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.worst_case_margin import FEW_STEPS, LARGEST_DELTA, upper_quantile

WINDOW = 15
"""Recent bills whose median ratio is the factor: 8 alike move it, 7 outliers do not."""
FACTOR_BOUND = 4.0
"""The factor stays in 1/4..4."""
USUAL_FACTOR = (0.8, 1.25)
MISS_SHARE = 0.01
"""Share of bills that may exceed the worst case."""
DELTA_STEP = 0.05
"""A bill above the worst case raises delta by 99 % of this; one within lowers it by 1 %."""
RESIDUALS, FEW_RESIDUALS = 200, 100
"""Recent bills by which delta is bounded, and from how many of them on."""
BOUNDING_SHARE = 0.9999
"""So large a quantile that it binds only where delta is far above what bills show: after a profile
that a busy machine has made. At 99 % it would bind always, and 2 % of bills would exceed it; on
three recordings of 1,090 to 3,332 answers, 1.0 to 1.2 % do."""


@dataclass(frozen=True)
class Drift:
    """The correction so far: a factor on every fitted time, and the worst-case margin (delta).

    The factor is the median of measured/predicted over a sliding window. The window starts full
    of ones. Delta follows the 99 % quantile of the remaining error, by adaptive conformal
    inference (Gibbs and Candes, 2021). In the long run, 1 % of bills exceed the worst case, for
    any distribution, as long as delta is within its bounds. One outlier raises delta by one step
    at most. This method alone lowers delta too slowly, by 0.05 in a hundred bills. So the last
    bills bound it too.

    Arguments:
        fitted: the time model as profiled.
        delta: the present worst-case margin, in 0..1, or 0..fitted delta if that is larger.
        log_ratios: log(measured / predicted) of the window's bills, newest last.
        residuals: measured / predicted - 1 of the last bills, RESIDUALS at most. Each is the
            larger of two: of the whole, and of the part after the prefill. Delta bounds both.
    """

    fitted: TimeModel
    delta: float
    log_ratios: tuple[float, ...] = (0.0,) * WINDOW
    residuals: tuple[float, ...] = ()

    @classmethod
    def of(cls, fitted: TimeModel) -> 'Drift':
        """Return the state before the first bill."""
        return cls(fitted, fitted.delta)

    @property
    def factor(self) -> float:
        """Factor on every fitted time, in 1/4..4."""
        bound = math.log(FACTOR_BOUND)
        return math.exp(min(max(median(self.log_ratios), -bound), bound))

    @property
    def out_of_range(self) -> bool:
        """Whether the machine differs too much from its profile: factor not in 0.8..1.25."""
        low, high = USUAL_FACTOR
        return not low <= self.factor <= high

    @property
    def model(self) -> TimeModel:
        """The time model to plan with."""
        return replace(self.fitted.scaled(self.factor), delta=self.delta)

    def ratio(self, bill: Bill) -> float | None:
        """Return measured / predicted total time of a bill, predicted by the present model.

        The prediction is for the actual length of the answer. The bill's own prediction is for
        N_hat, so its error is the length predictor's. None: the bill has no complete prefill.

        Of a prompt that was partly cached, only the time after the prefill tells the machine's
        speed: short reads are mostly fixed costs. None: its answer is too short for that.
        """
        if bill.cached_tokens:
            return self.ratio_after_prefill(bill) or None
        return self._whole_ratio(bill)

    def _whole_ratio(self, bill: Bill) -> float | None:
        if bill.kept_tokens < 1 or bill.response_tokens < 1:
            return None
        measured_s = bill.prefill_time + bill.eviction_time + bill.decode_time
        predicted_s = self.model.t_e2e(
            bill.prompt_tokens, bill.kept_tokens, bill.response_tokens, bill.cached_tokens
        )
        if not (measured_s > 0.0 and predicted_s > 0.0 and math.isfinite(measured_s)):
            return None
        return measured_s / predicted_s

    def ratio_after_prefill(self, bill: Bill) -> float:
        """Return this ratio for eviction and decoding; 0.0 if the answer is too short."""
        predicted_s = self.model.t_after_prefill(
            bill.prompt_tokens, bill.kept_tokens, bill.response_tokens
        )
        if bill.response_tokens <= FEW_STEPS or predicted_s <= 0.0:
            return 0.0
        return (bill.eviction_time + bill.decode_time) / predicted_s

    def observed(self, bill: Bill) -> 'Drift':
        """Return the correction after one more bill; unchanged if the bill has no information."""
        whole, ratio = self._whole_ratio(bill), self.ratio(bill)
        if whole is None:
            return self
        residual = max(whole, self.ratio_after_prefill(bill)) - 1.0
        missed = residual > self.delta
        delta = self.delta + DELTA_STEP * (float(missed) - MISS_SHARE)
        residuals = (*self.residuals, residual)[-RESIDUALS:]
        bounds = [max(LARGEST_DELTA, self.fitted.delta)]
        if len(residuals) >= FEW_RESIDUALS:
            bounds.append(upper_quantile(residuals, BOUNDING_SHARE))
        delta = max(min(delta, *bounds), 0.0)
        log_ratios = self.log_ratios
        if ratio is not None:
            log_ratios = (*log_ratios[1:], math.log(ratio * self.factor))
        return Drift(self.fitted, delta, log_ratios, residuals)
