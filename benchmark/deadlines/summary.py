"""Compares replies with the queries sent, and measures their distance to the deadline."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from benchmark.deadlines.asker import Record, Reply

REFUSALS = ('QUEUE_FULL', 'EXPIRED', 'INVALID_QUERY')
_MOST_LISTED = 50


def summarise(records: list[Record]) -> dict[str, object]:
    """Return the figures of one condition; times in milliseconds.

    Late is a reply that the asker's callback had after the deadline. EXPIRED is exempt: its
    deadline has passed, or all but passed, when the query arrives. Of the late ones, those count
    as published late that the node stamped or wrote after the deadline; the rest were on their way
    or waited in the asker's process.
    """
    late = [
        (record, reply)
        for record, reply in _replies(records)
        if reply.received_ns > record.deadline_ns and reply.outcome != 'EXPIRED'
    ]
    return {
        'queries': len(records),
        'replies': sum(len(record.replies) for record in records),
        'duplicates': sum(max(0, len(record.replies) - 1) for record in records),
        'missing': sum(not record.replies for record in records),
        'late': len(late),
        'published_late': sum(
            max(reply.stamp_ns, reply.source_ns) > record.deadline_ns for record, reply in late
        ),
        'outcomes': dict(Counter(reply.outcome for _, reply in _replies(records)).most_common()),
        'kill_earliness_ms': distribution(kill_earliness_ms(records, 'stamp_ns')),
        'kill_earliness_source_ms': distribution(kill_earliness_ms(records, 'source_ns')),
        'kill_earliness_receipt_ms': distribution(kill_earliness_ms(records, 'received_ns')),
        'refusal_ms': distribution(refusal_ms(records, REFUSALS)),
        'refusal_by_reason_ms': {
            reason: distribution(refusal_ms(records, (reason,))) for reason in REFUSALS
        },
        'burst_refusal_ms': distribution(refusal_ms(records, REFUSALS, in_bursts=True)),
        'token_count_refusal_ms': distribution(_token_count_refusal_ms(records)),
        'late_replies': [_told(record, reply) for record, reply in late[:_MOST_LISTED]],
        'missing_replies': [
            {'id': record.id, 'group': record.group, 'batch_size': record.batch_size}
            for record in records
            if not record.replies
        ][:_MOST_LISTED],
    }


def kill_earliness_ms(records: list[Record], when: str) -> list[float]:
    """Return how long before its deadline each KILLED was; negative: after it.

    Arguments:
        when: the field of Reply that says when.
    """
    return [
        (record.deadline_ns - getattr(reply, when)) * 1e-6
        for record, reply in _replies(records)
        if reply.outcome == 'KILLED'
    ]


def refusal_ms(
    records: list[Record], reasons: Iterable[str], in_bursts: bool = False
) -> list[float]:
    """Return the time from sending to receipt of refusals that the node makes at arrival.

    Arguments:
        in_bursts: those of queries that were published together with others, else the others.
    """
    return [
        (reply.received_ns - record.sent_ns) * 1e-6
        for record, reply in _replies(records)
        if reply.outcome in reasons
        and (record.batch_size > 1) == in_bursts
        and record.group != 'too many tokens'
    ]


def distribution(values: list[float]) -> dict[str, float | int | None]:
    """Return the sample size, minimum, median, 99th percentile and maximum."""
    if not values:
        return {'n': 0, 'min': None, 'p50': None, 'p99': None, 'max': None}
    low, p50, p99, high = np.percentile(values, (0, 50, 99, 100))
    return {
        'n': len(values),
        'min': round(float(low), 3),
        'p50': round(float(p50), 3),
        'p99': round(float(p99), 3),
        'max': round(float(high), 3),
    }


def _token_count_refusal_ms(records: list[Record]) -> list[float]:
    return [
        (reply.received_ns - record.sent_ns) * 1e-6
        for record, reply in _replies(records)
        if record.group == 'too many tokens' and reply.outcome == 'INVALID_QUERY'
    ]


def _replies(records: list[Record]) -> list[tuple[Record, Reply]]:
    return [(record, reply) for record in records for reply in record.replies]


def _told(record: Record, reply: Reply) -> dict[str, object]:
    return {
        'id': record.id,
        'group': record.group,
        'batch_size': record.batch_size,
        'outcome': reply.outcome,
        'detail': reply.detail,
        **{
            f'{name}_after_deadline_ms': round((time_ns - record.deadline_ns) * 1e-6, 3)
            for name, time_ns in (
                ('sent', record.sent_ns),
                ('stamp', reply.stamp_ns),
                ('source', reply.source_ns),
                ('arrival', reply.arrived_ns),
                ('receipt', reply.received_ns),
            )
        },
    }
