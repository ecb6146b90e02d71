"""Fills the bill of one generation while it runs. No other place in the worker does."""

import time
from dataclasses import replace
from typing import Literal

from timebill_ros.core.bill import Bill
from timebill_ros.core.deadline import Clock
from timebill_ros.core.plan import Plan
from timebill_ros.inference.give_way import GiveWay

_Item = Literal['prefill_time', 'predictor_time', 'eviction_time', 'decode_time']


class BillRecorder:
    """Times the steps of a generation: prefill, prediction, eviction, decoding.

    The prefill begins when the recorder is made. Call a method when a step ends: the next step
    begins then.

    Arguments:
        prompt_tokens: N_x.
        give_way: knows for how long the generation was left for others. That counts for no item.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        prompt_tokens: int,
        give_way: GiveWay | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._give_way = give_way or GiveWay()
        self._monotonic_s = clock
        self._bill = Bill(prompt_tokens=prompt_tokens)
        self._item: _Item = 'prefill_time'
        self._start_s = self._item_start_s = self._clock()
        self._evicted_at: int | None = None
        self.response_tokens = 0

    def begun(self, cached_tokens: int) -> int:
        """Take how many tokens of the prompt need not be read, and return it."""
        self._bill = replace(self._bill, cached_tokens=cached_tokens)
        return cached_tokens

    def prefilled(self) -> float:
        """End the prefill; return its time [s]."""
        self._next('predictor_time')
        return self._bill.prefill_time

    def predicted(self) -> None:
        """End the wait for the length predictor."""
        self._next('decode_time')

    def planned(self, plan: Plan) -> Bill:
        """Take a plan, and return the bill so far.

        The time of planning counts for the next step: the eviction if there is one, else decoding.
        """
        self._bill = self._bill.with_plan(plan)
        if plan.kept_tokens < self._bill.prompt_tokens:
            self._item = 'eviction_time'
        return self._bill

    def evicting(self, kept_tokens: int) -> None:
        """Begin an eviction in the middle of the answer.

        Arguments:
            kept_tokens: prompt tokens that stay.
        """
        self._next('eviction_time')
        self._evicted_at = self.response_tokens
        ratio = 1.0 - kept_tokens / self._bill.prompt_tokens
        self._bill = replace(self._bill, kept_tokens=kept_tokens, eviction_ratio=ratio)

    def evicted(self) -> None:
        """End the eviction."""
        self._next('decode_time')

    @property
    def decode_s(self) -> float:
        """The time of decoding so far, while it goes on [s]."""
        return self._bill.decode_time + self._clock() - self._item_start_s

    @property
    def mean_kept_tokens(self) -> int:
        """Prompt tokens in the cache, on average over the steps: those that time was spent on."""
        bill, steps = self._bill, self.response_tokens - 1
        if self._evicted_at is None or steps < 1:
            return bill.kept_tokens
        whole = max(self._evicted_at - 1, 0)
        mean = (whole * bill.prompt_tokens + (steps - whole) * bill.kept_tokens) / steps
        return min(round(mean), bill.prompt_tokens - 1)

    def decoded(self) -> int:
        """Count a token; return how many there are."""
        self.response_tokens += 1
        return self.response_tokens

    def ended(
        self,
        thinking_tokens: int = 0,
        forced_tokens: int = 0,
        passes: int = 0,
        constraint_time_s: float = 0.0,
    ) -> Bill:
        """Return the whole bill of a generation that is complete or was cut off.

        If a step was cut off, the time since its start counts for this step.

        Arguments:
            thinking_tokens: so many of the generated tokens are thinking.
            forced_tokens: so many were left no choice by a constraint.
            passes: through the model.
            constraint_time_s: spent on the constraint [s].
        """
        self._next('decode_time')
        return replace(
            self._bill,
            response_tokens=self.response_tokens,
            thinking_tokens=thinking_tokens,
            forced_tokens=forced_tokens,
            passes=passes,
            constraint_time=constraint_time_s,
            total_time=self._clock() - self._start_s,
            preemptions=self._give_way.preemptions,
            preempted_time=self._give_way.preempted_s,
        )

    def _clock(self) -> float:
        """Return the time, as if the generation had never been left [s]."""
        return self._monotonic_s() - self._give_way.preempted_s

    def _next(self, item: _Item) -> None:
        """Bill the time of the item that ends now, and begin another item."""
        now_s = self._clock()
        before_s: float = getattr(self._bill, self._item)
        times: dict[str, float] = {self._item: before_s + now_s - self._item_start_s}
        self._bill = replace(self._bill, **times)  # type: ignore[arg-type]
        self._item, self._item_start_s = item, now_s
