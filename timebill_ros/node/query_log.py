"""How queries end, in the log: enough to follow a fault, never a line a query by default."""

import threading
from collections import Counter

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import Answer, MissReason, Outcome
from timebill_ros.core.query import Origin
from timebill_ros.core.shortened import shortened
from timebill_ros.node.logger import Logger

_LONGEST_LINE = 300
_LONGEST_NAME = 256
"""Longer names are refused, and told nevertheless."""
_LATE = 'answered late'


class QueryLog:
    """Logs each query at DEBUG, and misses at WARN.

    The first miss of each reason is told in full. Further ones are counted, and told by
    summarise(). A reason that has not been seen for a whole period is told in full again.
    CANCELLED is left out: whoever cancels knows it.

    Arguments:
        logger: the node's.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._seen: set[str] = set()
        self._counts: Counter[str] = Counter()

    def ended(self, origin: Origin, outcome: Outcome, bill: Bill) -> None:
        """Log a query that has ended."""
        query_id, asker = (
            shortened(name, _LONGEST_NAME) for name in (origin.key.id, origin.key.asker)
        )
        what = f'query {query_id!r} of asker {asker!r}: {_told_of(outcome)}'
        self._logger.debug(
            f'{what}; {bill.prompt_tokens} tokens in, {bill.response_tokens} out; queue '
            f'{bill.queue_time:.3f} s, prefill {bill.prefill_time:.3f} s, eviction '
            f'{bill.eviction_time:.3f} s, decode {bill.decode_time:.3f} s, slack '
            f'{bill.slack:.3f} s'
        )
        kind = _kind_of(outcome)
        if kind and self._is_first(kind):
            self._logger.warning(
                f'{shortened(what, _LONGEST_LINE)} (further ones are counted, once a minute)'
            )

    def summarise(self) -> None:
        """Log how many misses there were since the last time, if any; call it once a minute."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._told, self._seen = self._seen, set()
        if counts:
            told = ', '.join(f'{count} {kind}' for kind, count in counts.most_common())
            self._logger.warning(f'in the last minute, queries were missed: {told}')

    def _is_first(self, kind: str) -> bool:
        with self._lock:
            is_first = kind not in self._told
            self._told.add(kind)
            self._seen.add(kind)
            if not is_first:
                self._counts[kind] += 1
            return is_first


def _told_of(outcome: Outcome) -> str:
    if isinstance(outcome, Answer):
        time = 'in time' if outcome.deadline_met else 'late'
        return f'answered {time} ({outcome.finish_reason.name})'
    return f'missed ({outcome.reason.name}: {outcome.detail})'


def _kind_of(outcome: Outcome) -> str:
    """Return what kind of miss an outcome is; '' if it is none to warn of."""
    if isinstance(outcome, Answer):
        return '' if outcome.deadline_met else _LATE
    return '' if outcome.reason is MissReason.CANCELLED else outcome.reason.name
