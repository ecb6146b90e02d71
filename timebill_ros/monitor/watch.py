"""What the monitor knows of a node, from the messages that it has received."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from timebill_ros.client.constant_names import constant_name
from timebill_ros.msg import DeadlineMiss, Response

KEPT_REPLIES = 10
SILENT_AFTER_S = 3.5
"""A node publishes /diagnostics each second. After this time without one, it counts as silent."""


@dataclass(frozen=True)
class WatchedReply:
    """A reply that was received.

    Arguments:
        query: `asker id`.
        outcome: the finish reason of an answer, or the reason of a miss.
        is_answer: whether it is an answer.
        is_late: whether it is an answer after its deadline.
        bill: the message Bill.
    """

    query: str
    outcome: str
    is_answer: bool
    is_late: bool
    bill: Any


@dataclass(frozen=True)
class Status:
    """A status of the node on /diagnostics.

    Arguments:
        level: 0 (OK), 1 (WARN), 2 (ERROR) or 3 (STALE).
        message: a sentence for a person.
        values: by key.
    """

    level: int = 3
    message: str = ''
    values: Mapping[str, str] = field(default_factory=dict)


class Watch:
    """Collects the messages of one node.

    Arguments:
        node: the node's full name.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.statuses: dict[str, Status] = {}
        self._replies: deque[WatchedReply] = deque(maxlen=KEPT_REPLIES)
        self._heard_s: float | None = None

    @property
    def replies(self) -> Sequence[WatchedReply]:
        """The last replies, newest first."""
        return tuple(reversed(self._replies))

    @property
    def is_heard(self) -> bool:
        """Whether the node has told how it is."""
        return self._heard_s is not None

    def silent_for_s(self, now_s: float) -> float:
        """Return the time since the node has told how it is [s]; 0.0: it is not silent."""
        silent_s = 0.0 if self._heard_s is None else now_s - self._heard_s
        return silent_s if silent_s > SILENT_AFTER_S else 0.0

    def status(self, name: str) -> Status:
        """Return the last status of this name, such as 'deadlines'."""
        return self.statuses.get(name, Status())

    def misses(self) -> dict[str, int]:
        """Return the number of misses of each reason, since the node was started; not zeros."""
        counted = {
            key.removeprefix('missed_'): int(value)
            for key, value in self.status('deadlines').values.items()
            if key.startswith('missed_')
        }
        return {reason: count for reason, count in counted.items() if count}

    def on_response(self, message: Response) -> None:
        """Take an answer."""
        outcome = constant_name(Response, message.finish_reason)
        self._take(message, outcome, is_answer=True, is_late=not message.deadline_met)

    def on_miss(self, message: DeadlineMiss) -> None:
        """Take a miss."""
        outcome = constant_name(DeadlineMiss, message.reason)
        self._take(message, outcome, is_answer=False, is_late=False)

    def on_diagnostics(self, message: Any, now_s: float) -> None:
        """Take what this node says of itself.

        Arguments:
            message: a DiagnosticArray, of any node.
            now_s: the time of a monotonic clock [s].
        """
        told = {
            status.name.removeprefix(f'{self.node}: '): Status(
                # Without a C extension, a byte comes as bytes.
                status.level[0] if isinstance(status.level, bytes) else int(status.level),
                status.message,
                {pair.key: pair.value for pair in status.values},
            )
            for status in message.status
            if status.name.startswith(f'{self.node}: ')
        }
        if told:
            # The link's status disappears if the node's remote_policy is set to 'off'.
            self.statuses, self._heard_s = told, now_s

    def _take(self, message: Any, outcome: str, *, is_answer: bool, is_late: bool) -> None:
        query = f'{message.asker} {message.query_id}'.strip()
        self._replies.append(WatchedReply(query, outcome, is_answer, is_late, message.bill))
