"""What the parts of a constraint cost: masks, forced tokens, closings, and the probability."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch

from timebill_ros.inference.constraint import guided
from timebill_ros.inference.constraint.grammar import Grammar
from timebill_ros.inference.constraint.guide import Guide
from timebill_ros.inference.constraint.stopwatch import Stopwatch
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.text_stream import TextStream


class TimedProbability(MeanProbability):
    """Times itself.

    Arguments:
        stopwatch: runs meanwhile.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__()
        self._stopwatch = stopwatch

    def see(self, logits: torch.Tensor) -> None:
        """See MeanProbability."""
        with self._stopwatch:
            super().see(logits)

    def chose(self, token: torch.Tensor | int) -> None:
        """See MeanProbability."""
        with self._stopwatch:
            super().chose(token)


class PartTimes:
    """The times of the parts of some guided answers.

    Arguments:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._guides: list[Guide] = []
        self._probability = Stopwatch(clock)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what is answered within it."""
        with (
            mock.patch.object(guided, 'Guide', self._guide),
            mock.patch.object(
                guided, 'MeanProbability', lambda: TimedProbability(self._probability)
            ),
        ):
            yield

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each part. All but the probability's are in constraint_time."""
        return {
            'mask': sum(guide.masks.total_s for guide in self._guides),
            'forced': sum(guide.forcing.total_s for guide in self._guides),
            'closing': sum(guide.closings.total_s for guide in self._guides),
            'probability': self._probability.total_s,
        }

    def _guide(self, grammar: Grammar, stream: TextStream) -> Guide:
        guide = Guide(grammar, stream, self._clock)
        self._guides.append(guide)
        return guide
