"""Corrects the time model from bills: a robot's clocks and temperature change."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from timebill_ros.core.answer_noise import AnswerNoise, Residual
from timebill_ros.core.bill import Bill
from timebill_ros.core.running_factor import NO_CHANGE, Ratio, RunningFactor
from timebill_ros.core.time_model import BOUND_SHARE, TimeModel
from timebill_ros.core.worst_case_margin import (
    LARGEST_DELTA,
    LEAST_SPREADS,
    MeasuredGeneration,
    margins_of,
    residuals,
    upper_quantile,
)

USUAL_FACTOR = (0.8, 1.25)
SPREADS_STEP = 0.5
"""A bill above the worst case raises the margins by so many standard deviations; others lower
them, so that they stay if 1 - BOUND_SHARE of the bills are above."""
RESIDUALS, FEW_RESIDUALS = 400, 200
"""Recent ones that tell the noise, one or two a bill; from how many on they bound the margins."""
BOUNDING_SHARE = 0.9999
"""So large a quantile that it binds only where the margins are far above what bills show: after a
profile that a busy machine has made."""


@dataclass(frozen=True)
class Drift:
    """The correction so far: two factors on the fitted times, and the worst-case margins.

    One factor is of reading (the prefill), one of writing (steps and evictions). The margins are
    `bound_spreads` standard deviations of the noise that the bills show. This number follows
    their quantile by adaptive conformal inference (Gibbs and Candes, 2021). So in the long run,
    1 - BOUND_SHARE of bills exceed the worst case, for any distribution, as long as the margins
    are within their bounds.

    A bill above the worst case may be the first of a slower machine. So the next worst case is as
    if the machine were that slow, until a bill is within the margins again; that of a short answer
    is longer still.

    Arguments:
        fitted: the time model as profiled.
        bound_spreads: standard deviations from the mean to the worst case.
        noise: of answers; the profile's is the prior.
        reading, writing: the factors.
        residuals: of the last bills, of whole times and of those after the prefill.
        surprise: measured / predicted time of the last bill, if it was beyond the margins; else 1.
    """

    fitted: TimeModel
    bound_spreads: float
    noise: AnswerNoise
    reading: RunningFactor = NO_CHANGE
    writing: RunningFactor = NO_CHANGE
    residuals: tuple[Residual, ...] = ()
    surprise: float = 1.0

    @classmethod
    def of(cls, fitted: TimeModel) -> 'Drift':
        """Return the state before the first bill."""
        return cls(fitted, fitted.bound_spreads, _noise(fitted))

    @property
    def out_of_range(self) -> bool:
        """Whether the machine differs too much from its profile: a factor not in 0.8..1.25."""
        low, high = USUAL_FACTOR
        return not all(low <= each.value <= high for each in (self.reading, self.writing))

    @cached_property
    def model(self) -> TimeModel:
        """The time model to plan with."""
        model = self._calm
        if self.surprise == 1.0:
            return model
        delta = min(self.surprise * (1.0 + model.delta) - 1.0, self._largest_delta)
        spreads = model.bound_spreads * math.log1p(delta) / math.log1p(model.delta)
        step_delta = model.step_delta * spreads / model.bound_spreads
        # More deviations of about the same noise: it is the worst case that changes.
        return replace(model, delta=delta, step_delta=step_delta, bound_spreads=spreads)

    @cached_property
    def _calm(self) -> TimeModel:
        """The model without a surprise."""
        scaled = self.fitted.scaled(self.reading.value, self.writing.value)
        if not self.residuals:
            return scaled
        return margins_of(scaled, self.noise, self.bound_spreads)

    @property
    def _largest_delta(self) -> float:
        return max(LARGEST_DELTA, self.fitted.delta)

    def ratio(self, bill: Bill) -> float | None:
        """Return measured / predicted total time of a bill, predicted by the present model.

        The prediction is for the actual length of the answer. The bill's own prediction is for
        N_hat, so its error is the length predictor's. None: the bill has no complete prefill.

        Of a prompt that was partly cached, only the time after the prefill tells the machine's
        speed: short reads are mostly fixed costs. None: its answer is too short for that.
        """
        found = self._residuals(bill)
        if not found or (bill.cached_tokens and len(found) < 2):
            return None
        return 1.0 + found[1 if bill.cached_tokens else 0].error

    def observed(self, bill: Bill) -> 'Drift':
        """Return the correction after one more bill; unchanged if the bill has no information."""
        found = self._residuals(bill)
        if not found:
            return self
        model, calm = self.model, self._calm
        seen = (*self.residuals, *found)[-RESIDUALS:]
        missed = any(residual.error > _margin(model, residual) for residual in found)
        beyond = [each.error for each in found if each.error > _margin(calm, each)]
        reading, writing = self._ratios(bill)
        noise = self.noise.learned(_noise(self.fitted), seen)
        spreads = self.bound_spreads + SPREADS_STEP * (float(missed) - (1.0 - BOUND_SHARE))
        if len(seen) >= FEW_RESIDUALS:
            spreads = min(spreads, upper_quantile(noise.scores(seen), BOUNDING_SHARE))
        return Drift(
            self.fitted,
            min(max(spreads, LEAST_SPREADS), self._largest_delta / noise.common),
            noise,
            self.reading.observed(reading) if reading else self.reading,
            self.writing.observed(writing) if writing else self.writing,
            seen,
            1.0 + max(beyond, default=0.0),
        )

    def _residuals(self, bill: Bill) -> tuple[Residual, ...]:
        """Return how far the whole time was from its prediction, and that after the prefill."""
        measured_s = bill.prefill_time + bill.eviction_time + bill.decode_time
        if bill.kept_tokens < 1 or bill.response_tokens < 1:
            return ()
        predicted_s = self._calm.t_e2e(
            bill.prompt_tokens, bill.kept_tokens, bill.response_tokens, bill.cached_tokens
        )
        if not (measured_s > 0.0 and predicted_s > 0.0 and math.isfinite(measured_s)):
            return ()
        generation = MeasuredGeneration(
            bill.prompt_tokens,
            bill.kept_tokens,
            bill.response_tokens,
            bill.prefill_time,
            bill.eviction_time,
            bill.decode_time,
            bill.cached_tokens,
        )
        return tuple(residuals(self._calm, generation))

    def _ratios(self, bill: Bill) -> tuple[Ratio | None, Ratio | None]:
        """Return measured / predicted time of reading and of writing.

        If one of them tells nothing of a bill, it is taken to have changed as the other one.
        """
        reading = writing = None
        steps = bill.response_tokens - 1
        read_s = self._calm.t_prefill(bill.prompt_tokens)
        written_s = self._calm.t_decode(bill.kept_tokens, bill.response_tokens)
        if not bill.cached_tokens and bill.prefill_time > 0.0 and read_s > 0.0:
            reading = Ratio(math.log(bill.prefill_time / read_s))
        if bill.decode_time > 0.0 and written_s > 0.0:
            noise = self.noise
            weight = (max(noise.common, 1e-3) / max(noise.spread(1.0, steps), 1e-3)) ** 2
            writing = Ratio(math.log(bill.decode_time / written_s), weight)
        return reading or writing, writing or reading


def _noise(fitted: TimeModel) -> AnswerNoise:
    """Return the noise that the margins of a profile come from."""
    return AnswerNoise(
        fitted.delta / fitted.bound_spreads, fitted.step_delta / fitted.bound_spreads
    )


def _margin(model: TimeModel, residual: Residual) -> float:
    """Return the relative worst-case margin of a time."""
    decode = model.decode_margin(residual.steps)
    return model.delta + residual.share * (decode - model.delta)
