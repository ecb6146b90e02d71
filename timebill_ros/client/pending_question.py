"""A question that has no reply yet, as the client sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.task import Future

from timebill_ros.client.answer_form import FREE_TEXT, AnswerForm
from timebill_ros.client.reply import ReplyFuture
from timebill_ros.msg import Query

GRACE_S = 1.0
"""If no reply has come this long after the deadline, no node is there to send one."""
LATE_GRACE_S = 60.0
"""The same under the overrun policy SKIP_NEXT, which allows a late answer."""


@dataclass
class PendingQuestion:
    """A question without a reply; times on the monotonic clock."""

    query: Query
    future: ReplyFuture
    on_chunk: Callable[[str], None] | None
    deadline_s: float
    form: AnswerForm = FREE_TEXT
    is_sent: bool = False
    withdrawal: Future | None = None
    """The last request to cancel the question."""
    heard: str = ''
    """The pieces of the answer that on_chunk was called with."""

    def hear(self, piece: str) -> None:
        """Pass on a piece of the answer."""
        if self.on_chunk is not None:
            self.heard += piece
            self.on_chunk(piece)

    def hear_rest(self, text: str) -> None:
        """Pass on what is left of an answer, whose last pieces DDS may deliver after it."""
        if text.startswith(self.heard) and text != self.heard:
            self.hear(text[len(self.heard) :])

    @property
    def due_s(self) -> float:
        """When to stop waiting for a reply. A question that was never sent gets none."""
        if not self.is_sent:
            return self.deadline_s
        is_late_allowed = self.query.overrun_policy == Query.SKIP_NEXT
        return self.deadline_s + (LATE_GRACE_S if is_late_allowed else GRACE_S)

    @property
    def is_withdrawal_in_vain(self) -> bool:
        """Whether the node was asked to cancel the question, and did not find it."""
        if self.withdrawal is None or not self.withdrawal.done():
            return False
        response = self.withdrawal.result()
        return response is not None and not response.success
