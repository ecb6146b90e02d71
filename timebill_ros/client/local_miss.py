"""The miss that the client makes itself, because no reply comes from a node."""

import time
from collections.abc import Callable

from builtin_interfaces.msg import Time

from timebill_ros.client.pending_question import PendingQuestion
from timebill_ros.client.reply import Reply
from timebill_ros.msg import DeadlineMiss


def local_miss(pending: PendingQuestion, reason: int, detail: str, stamp: Time) -> Reply:
    """Return a reply that says that a question is not answered.

    Arguments:
        pending: the question.
        reason: a constant of DeadlineMiss.
        detail: a sentence for a person.
        stamp: now, by the asker's clock.
    """
    query = pending.query
    message = DeadlineMiss(
        asker=query.asker,
        query_id=query.id,
        query_stamp=query.header.stamp,
        reason=reason,
        detail=detail,
    )
    message.header.stamp = stamp
    message.bill.time_budget = query.time_budget.sec + query.time_budget.nanosec * 1e-9
    message.bill.slack = pending.deadline_s - time.monotonic()
    return Reply(message, is_local=True)


def why_cancelled_here(pending: PendingQuestion) -> str:
    """Return why a question that is withdrawn ends without the node."""
    if not pending.is_sent:
        return 'cancelled before it was sent'
    return 'cancelled; the node has no service to withdraw it, and may go on with it'


def why_given_up(pending: PendingQuestion, why_not_ready: Callable[[], str]) -> tuple[int, str]:
    """Return the reason, a constant of DeadlineMiss, and the detail if no reply has come in time.

    Arguments:
        why_not_ready: tells why a question could not be sent.
    """
    if not pending.is_sent:
        return DeadlineMiss.NOT_READY, f'not sent: {why_not_ready()}'
    late_s = time.monotonic() - pending.deadline_s
    detail = f'no reply by {late_s:.3f} s after the deadline: the node may be gone'
    return DeadlineMiss.KILLED, detail
