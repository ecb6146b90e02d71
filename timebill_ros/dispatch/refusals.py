"""Queries that are refused at their arrival, for what they are or for want of a place."""

from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.core.query import Query
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.pending_queries import PendingQueries


def expired(query: Query, reserve_s: float) -> Miss | None:
    """Return the miss of a query that came too late; None if it did not."""
    left_s = query.deadline.remaining_s()
    if left_s > reserve_s:
        return None
    age_s = query.deadline.clock() - query.asked_at_s
    return Miss(
        MissReason.EXPIRED,
        f'{left_s:.3f} s were left at arrival, {age_s:.3f} s after the stamp; publish_reserve is '
        f'{reserve_s:.3f} s. If the asker is on another machine: are the clocks synchronised, is '
        'use_sim_time the same?',
    )


def too_long(query: Query, prompt_tokens: int, context_length: int) -> Miss | None:
    """Return the miss of a query whose prompt leaves no room for an answer; else None."""
    if prompt_tokens < context_length:
        return None
    fields = [name for name in ('prompt', 'context', 'history') if getattr(query, name)]
    what = f'{" and ".join(fields)} {"have" if len(fields) > 1 else "has"}'
    return Miss(
        MissReason.INVALID_QUERY,
        f'{what} {prompt_tokens} tokens with the chat template, but the model has a context '
        f'of {context_length}, and the answer needs at least one',
    )


def duplicate(query: Query, pending: PendingQueries) -> Miss | None:
    """Return the miss of a query whose id is in use; None if it is not."""
    if query.key not in pending:
        return None
    return Miss(
        MissReason.DUPLICATE_ID,
        f'id {query.key.id!r} of asker {query.key.asker!r} is still being served',
    )


def queue_full(query: Query, pending: PendingQueries, settings: DispatchSettings) -> Miss | None:
    """Return the miss of a query for which there is no place; None if there is one.

    With keep_latest, an asker's older queries make room for it, once they are tokenised: a flood
    of queries that are not is bounded too.
    """
    waiting, bound = len(pending.queue), settings.max_queue_length
    if settings.keep_latest:
        older = pending.of(query.key.asker, '')
        waiting -= sum(entry.is_waiting and entry.is_tokenised for entry in older)
    if waiting < bound:
        return None
    return Miss(MissReason.QUEUE_FULL, f'{waiting} queries wait, max_queue_length is {bound}')
