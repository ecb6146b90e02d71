"""How long the own model may need for a query that a remote engine may answer first."""

from collections.abc import Sequence

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.dispatch.admission import Admission
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.pending_query import PendingQuery

_ALMOST_SURE = 0.9


def own_time_s(
    admission: Admission,
    entry: PendingQuery,
    waiting: Sequence[PendingQuery],
    running: Sequence[PendingQuery],
    settings: DispatchSettings,
    planner: BudgetPlanner,
    now_s: float,
) -> float:
    """Return within what time a query is completed almost surely, behind all others [s].

    0.0: there is no time model.

    Arguments:
        admission: has learned the lengths of answers.
        waiting, running, settings, planner, now_s: as for Admission.refused().
    """
    completion = admission.completion_by(planner)
    turn = completion.free_at(admission.begun(running, settings, now_s), now_s)
    for other in waiting:
        if other is entry:
            continue
        turn = completion.after(admission.waiting_job(other, settings), turn)
    job = admission.waiting_job(entry, settings)
    return completion.in_time_from_s(job, turn, _ALMOST_SURE) - now_s
