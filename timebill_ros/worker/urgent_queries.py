"""Inside the worker: answers what is more urgent than the query that runs."""

import contextvars
from collections.abc import Callable

from timebill_ros.inference.give_way import Left
from timebill_ros.inference.step.torch_threads import torch_threads
from timebill_ros.worker.protocol import Run


class UrgentQueries:
    """Called between two steps of a generation, on the thread that owns the model.

    Arguments:
        next_run: returns what the node has sent to be answered first; None: nothing.
        answer: answers it.
        threads: of the inference.
    """

    def __init__(
        self, next_run: Callable[[], Run | None], answer: Callable[[Run], None], threads: int
    ) -> None:
        self._next_run = next_run
        self._answer = answer
        self._threads = threads
        self._left: list[Left] = []

    @property
    def is_alone(self) -> bool:
        """Whether no generation is left for the one that runs."""
        return not self._left

    def __call__(self, left: Left) -> int:
        """Answer what is more urgent than a generation; return how many queries there were.

        Those that were left before it, and are dropped by now, lose their caches here.
        """
        for earlier in self._left:
            earlier.free_if_dropped()
        answered = 0
        while (run := self._next_run()) is not None:
            self._left.append(left)
            try:
                with torch_threads(self._threads):
                    # An empty context: what is recorded of the prompt that waits is its own.
                    contextvars.Context().run(self._answer, run)
            finally:
                self._left.pop()
            answered += 1
        return answered
