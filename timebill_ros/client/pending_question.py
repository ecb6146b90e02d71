"""A question that has no reply yet, as its client knows it."""

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.task import Future

from timebill_ros.client.reply import ReplyFuture
from timebill_ros.msg import Query

GRACE_S = 1.0
"""No reply so long after the deadline: there is nobody to send one."""
LATE_GRACE_S = 60.0
"""The same for a query with the overrun policy SKIP_NEXT, which may be answered late."""


@dataclass
class PendingQuestion:
    """A question without a reply; times on the monotonic clock."""

    query: Query
    future: ReplyFuture
    on_chunk: Callable[[str], None] | None
    deadline_s: float
    is_sent: bool = False
    withdrawal: Future | None = None
    """The last request to cancel it."""

    @property
    def due_s(self) -> float:
        """When a reply is no longer waited for; to what was never sent, none can come."""
        if not self.is_sent:
            return self.deadline_s
        is_late_allowed = self.query.overrun_policy == Query.SKIP_NEXT
        return self.deadline_s + (LATE_GRACE_S if is_late_allowed else GRACE_S)

    @property
    def is_withdrawal_in_vain(self) -> bool:
        """Whether the node was asked to cancel it, and did not find it."""
        if self.withdrawal is None or not self.withdrawal.done():
            return False
        response = self.withdrawal.result()
        return response is not None and not response.success
