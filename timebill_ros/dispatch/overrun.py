"""What becomes of a query that has come to its last moment: the overrun policies.

KILL: it ends as KILLED. PARTIAL: its whole words so far are the answer, or, where it has a form,
what a closing makes of it; without any, KILLED.
SKIP_NEXT: if it runs, it runs on and will be late (see LateRun). One that still waits for its turn
ends as KILLED under each of them.

Only time is a matter of these policies. When the worker process dies, a query ends as
ENGINE_FAULT at once, also under PARTIAL: its asker has the time that is left for something else,
and no answer cut short by a fault passes for one that was cut by its deadline.
"""

import dataclasses

from timebill_ros.core.outcome import (
    Answer,
    FinishReason,
    Miss,
    MissReason,
    Outcome,
)
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.dispatch.form_check import why_not_of_form
from timebill_ros.dispatch.partial_answer import (
    closed_answer,
    partial_answer,
    why_not_closed,
)
from timebill_ros.dispatch.pending_query import PendingQuery


def planner_settings(entry: PendingQuery, settings: PlannerSettings) -> PlannerSettings:
    """Return how a query is planned, by what becomes of it if it is late."""
    return settings.for_partial_answers if entry.may_be_partial else settings


def outcome_at_last_moment(entry: PendingQuery, now_s: float) -> Outcome | None:
    """Return how a query ends at its last moment, or soon after; None: it runs on.

    An answer of the own model that was held for a remote one is the answer now.
    """
    if entry.held is not None and now_s < entry.query.deadline.at_s:
        return entry.held
    if entry.may_be_late and not entry.is_waiting:
        return None if entry.held is None else dataclasses.replace(entry.held, deadline_met=False)
    return cut_off(entry, now_s)


def cut_off(entry: PendingQuery, now_s: float) -> Outcome:
    """Return how a query ends when its generation has been, or is to be, stopped by time.

    No partial answer is late: on a machine so busy that the deadline has passed, it is KILLED.
    """
    detail = f'the time budget of {entry.query.time_budget_s:.3f} s ran out while {entry.doing}'
    if entry.may_be_partial and now_s < entry.query.deadline.at_s:
        answer = partial_answer(entry)
        if answer is not None:
            return _of_its_form(answer, entry)
        if (entry.text.text or entry.text.closing) and (why := why_not_closed(entry)):
            detail += f': {why}'
    return Miss(MissReason.KILLED, detail)


def finished(entry: PendingQuery, finish_reason: FinishReason | None, now_s: float) -> Outcome:
    """Return how a query ends that the backend has done with.

    Arguments:
        finish_reason: as the backend said it; None: it was stopped, by time.
        now_s: on the deadline's clock [s].
    """
    if finish_reason is None:
        return cut_off(entry, now_s)
    is_late = now_s >= entry.last_moment_s
    if is_late and not entry.may_be_late:
        return cut_off(entry, now_s)
    answer = _whole_answer(entry, finish_reason)
    if answer is not None:
        return _of_its_form(dataclasses.replace(answer, deadline_met=not is_late), entry)
    why = why_not_closed(entry)
    detail = f'the answer ended after {entry.max_new_tokens} tokens (max_new_tokens): {why}'
    return Miss(MissReason.KILLED, detail)


def _of_its_form(answer: Answer, entry: PendingQuery) -> Outcome:
    why = why_not_of_form(answer, entry.query.constraint)
    return Miss(MissReason.ENGINE_FAULT, why) if why else answer


def _whole_answer(entry: PendingQuery, finish_reason: FinishReason) -> Answer | None:
    """Return an answer that ended by itself; None: it has a form, and is not whole."""
    constraint, confidence = entry.query.constraint, entry.confidence
    if constraint is not None and confidence.choice >= 0:
        text = constraint.choices[confidence.choice]
        return Answer(text, finish_reason, confidence=confidence)
    if constraint is None or finish_reason is FinishReason.EOS:
        return Answer(entry.text.text, finish_reason, confidence=confidence)
    return closed_answer(entry, finish_reason)
