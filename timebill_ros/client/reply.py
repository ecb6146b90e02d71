"""The reply to a query, and its future."""

import threading
from dataclasses import dataclass
from typing import Any

from rclpy.executors import Executor
from rclpy.task import Future

from timebill_ros.client.answer_form import FREE_TEXT, AnswerForm
from timebill_ros.client.constant_names import constant_name
from timebill_ros.msg import DeadlineMiss, Response


@dataclass(frozen=True)
class Reply:
    """The one terminal reply to a query.

    Arguments:
        message: the whole message, with the bill.
        is_local: the client made this miss itself, because no reply came from a node.
        form: of the answer, as it was asked for.
    """

    message: Response | DeadlineMiss
    is_local: bool = False
    form: AnswerForm = FREE_TEXT

    @property
    def answered(self) -> bool:
        """Whether there is an answer; free text may be incomplete (overrun policy PARTIAL)."""
        return isinstance(self.message, Response)

    @property
    def text(self) -> str:
        """The answer; '' for a miss."""
        return str(self.message.text) if self.answered else ''

    @property
    def parsed(self) -> Any:
        """The answer to a question with `json_schema`: an object, or the dataclass's instance.

        None for a miss, and for an answer to another question.

        Raises:
            ValueError: the answer does not have the form that was asked for.
        """
        return self.form.parsed(self.text) if self.answered else None

    @property
    def choice(self) -> int:
        """Index of the answer in the question's `choices`; -1 for a miss, and without choices."""
        return int(self.message.choice) if self.answered else -1

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
        """The smallest sufficient time budget [s], as the node estimates; 0: not known."""
        if self.answered:
            return 0.0
        duration = self.message.minimum_time_budget
        return float(duration.sec + duration.nanosec * 1e-9)


class ReplyFuture(Future):
    """A future of a Reply. It always resolves.

    Arguments:
        query_id: the id of the query on the topics.
        executor: runs the done callbacks, until it is shut down. None: the thread that receives
            the reply runs them.
    """

    def __init__(self, query_id: str, executor: Executor | None) -> None:
        super().__init__(executor=executor)
        self.query_id = query_id
        self._is_set = threading.Event()

    def set_result(self, result: Reply) -> None:
        """Set the reply, and wake the threads in wait()."""
        try:
            super().set_result(result)
        finally:
            self._is_set.set()

    def wait(self) -> Reply:
        """Block until the reply is there, and return it.

        Do not call this in a callback of a single-threaded executor. Nothing is received while
        the callback blocks, so the result is a miss after the deadline.
        """
        self._is_set.wait()
        reply: Reply = self.result()
        return reply
