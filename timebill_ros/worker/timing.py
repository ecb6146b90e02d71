"""Inside the worker: the time model as it stands, and what the node is told of it."""

import logging
from collections.abc import Callable
from dataclasses import replace

from timebill_ros.core.bill import Bill
from timebill_ros.core.drift import Drift
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.measured_time_model import time_model
from timebill_ros.worker.measuring_progress import MeasuringProgress
from timebill_ros.worker.protocol import Estimate, FromWorker


class Timing:
    """Measures the time model, and corrects it by each answer.

    Arguments:
        engine: what is measured.
        profile_time_s: for so long; 0: it is not measured, and nothing is predicted [s].
        send: takes messages for the node.
    """

    def __init__(
        self, engine: Engine, profile_time_s: float, send: Callable[[FromWorker], None]
    ) -> None:
        self._engine = engine
        self._profile_time_s = profile_time_s
        self._send = send
        self._drift: Drift | None = None
        self.measure(anew=False)

    @property
    def model(self) -> TimeModel | None:
        """The time model with drift applied; None: there is none."""
        return self._drift.model if self._drift else None

    def measure(self, anew: bool) -> None:
        """Measure it, if need be or anew."""
        self._drift = None
        if self._profile_time_s == 0:
            return
        progress = MeasuringProgress(self._send)
        try:
            self._drift = Drift.of(time_model(self._engine, self._profile_time_s, progress, anew))
        except ValueError as error:
            logging.warning('nothing will be predicted: %s', error)

    def observe(self, bill: Bill) -> None:
        """Learn from what an answer has cost, and tell the node."""
        if self._drift is not None:
            # Passes take the time, and with a constraint there are more or fewer than tokens.
            bill = replace(bill, response_tokens=bill.passes + min(bill.response_tokens, 1))
            ratio = self._drift.ratio(bill)
            self._drift = self._drift.observed(bill)
            self.tell(0.0 if ratio is None else ratio - 1.0)

    def tell(self, error: float = 0.0) -> None:
        """Tell the node the estimate.

        Arguments:
            error: of the last answer, as Estimate has it.
        """
        drift = self._drift
        self._send(
            Estimate(None)
            if drift is None
            else Estimate(
                drift.model,
                drift.writing.value,
                drift.out_of_range,
                error,
                drift.reading.value,
            )
        )
