"""A query under load, and its outcome."""

from dataclasses import dataclass

from benchmark.deadlines.asker import Record, Reply
from benchmark.deadlines.contract import violations
from benchmark.deadlines.load.plan import Arm, Arrival, Block
from timebill_ros.core.outcome import FinishReason


@dataclass(frozen=True)
class LoadResult:
    """One query of one arm.

    Arguments:
        place: the query's place in its block.
    """

    arm: Arm
    block: Block
    place: int
    record: Record

    @property
    def arrival(self) -> Arrival:
        """The query as it was planned."""
        return self.block.arrivals[self.place]

    @property
    def reply(self) -> Reply | None:
        """The first terminal reply; None: nothing came."""
        return self.record.replies[0] if self.record.replies else None

    @property
    def outcome(self) -> str:
        """'ANSWERED', 'PARTIAL' (cut off by its deadline), a miss's reason, or 'MISSING'."""
        if self.reply is None:
            return 'MISSING'
        if self.reply.finish_reason == FinishReason.DEADLINE:
            return 'PARTIAL'
        return self.reply.outcome

    @property
    def is_on_time(self) -> bool:
        """Whether there is a whole answer that was received before the deadline."""
        reply = self.reply
        return (
            reply is not None
            and self.outcome == 'ANSWERED'
            and reply.deadline_met
            and reply.received_ns <= self.record.deadline_ns
        )

    @property
    def is_late_answer(self) -> bool:
        """Whether there is an answer that says that it is late."""
        return self.outcome == 'ANSWERED' and not (self.reply and self.reply.deadline_met)

    @property
    def violations(self) -> list[str]:
        """How the deadline contract was broken."""
        return violations(self.record, may_be_late=self.block.strategy == 'SKIP_NEXT')
