"""What a planner gets for its question, and the future that brings it."""

import threading
from dataclasses import dataclass

from rclpy.executors import Executor
from rclpy.task import Future

from timebill_ros.client.constant_names import constant_name
from timebill_ros.msg import DeadlineMiss, Response


@dataclass(frozen=True)
class Reply:
    """The one terminal reply to a question.

    Arguments:
        message: as it came, with the bill and all else.
        is_local: no node said so: the client made this miss itself, because no reply came.
    """

    message: Response | DeadlineMiss
    is_local: bool = False

    @property
    def answered(self) -> bool:
        """Whether there is an answer, whole or (overrun policy PARTIAL) as far as time allowed."""
        return isinstance(self.message, Response)

    @property
    def text(self) -> str:
        """The answer; '' for a miss."""
        return str(self.message.text) if self.answered else ''

    @property
    def in_time(self) -> bool:
        """Whether there is an answer, published before the deadline."""
        return self.answered and bool(self.message.deadline_met)

    @property
    def reason(self) -> str:
        """Why there is no answer: the name of a constant of DeadlineMiss; '' for an answer."""
        return '' if self.answered else constant_name(DeadlineMiss, self.message.reason)

    @property
    def detail(self) -> str:
        """The miss, as a sentence for a person; '' for an answer."""
        return '' if self.answered else str(self.message.detail)

    @property
    def minimum_time_budget(self) -> float:
        """The smallest budget that would have done [s], as estimated by the node; 0: not known."""
        if self.answered:
            return 0.0
        duration = self.message.minimum_time_budget
        return float(duration.sec + duration.nanosec * 1e-9)


class ReplyFuture(Future):
    """A future of a Reply, which always comes.

    Arguments:
        query_id: the id that the query has on the topics.
        executor: runs the done callbacks, until it is shut down; None: the thread that brings the
            reply does.
    """

    def __init__(self, query_id: str, executor: Executor | None) -> None:
        super().__init__(executor=executor)
        self.query_id = query_id
        self._is_set = threading.Event()

    def set_result(self, result: Reply) -> None:
        """Bring the reply."""
        try:
            super().set_result(result)
        finally:
            self._is_set.set()

    def wait(self) -> Reply:
        """Block until the reply is there, and return it.

        Not in a callback of a single-threaded executor: nothing would be received meanwhile, and
        what returns after the deadline is a miss.
        """
        self._is_set.wait()
        reply: Reply = self.result()
        return reply
