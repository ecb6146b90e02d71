"""Between ROS messages and the core's dataclasses. The one place that knows both."""

import dataclasses
from dataclasses import dataclass

from builtin_interfaces.msg import Duration, Time
from std_msgs.msg import Header

import timebill_ros.msg as msg
from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Constraint
from timebill_ros.core.deadline import Clock, Deadline
from timebill_ros.core.outcome import Answer, Miss, MissReason, Outcome, OverrunPolicy
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.core.turn import Role, Turn
from timebill_ros.node.constraint_check import checked_constraint
from timebill_ros.node.query_settings import QuerySettings
from timebill_ros.node.settings import NodeSettings

MAX_NAME_BYTES = 256
"""Of `asker` and `id`: the node repeats them in replies and in the log, and keeps some."""


class RefusedError(ValueError):
    """A query that cannot be served, with the miss that says why."""

    def __init__(self, reason: MissReason, detail: str) -> None:
        super().__init__(detail)
        self.miss = Miss(reason, detail)


@dataclass(frozen=True)
class Arrival:
    """When a query arrived.

    Arguments:
        ros_time_s: by the node's ROS clock [s]; 0 while a simulation's clock has not begun.
        clock: the monotonic clock.
    """

    ros_time_s: float
    clock: Clock


def origin_of(message: msg.Query, assigned_id: str, goal: str = '') -> Origin:
    """Return what replies echo; a query without an id gets the assigned one.

    Arguments:
        goal: of the action; empty: the message came by the topic.
    """
    key, stamp = QueryKey(message.asker, message.id or assigned_id), message.header.stamp
    return Origin(key, stamp.sec, stamp.nanosec, goal)


def query_of(
    message: msg.Query, origin: Origin, settings: NodeSettings, arrival: Arrival
) -> Query:
    """Check a message and fix its deadline.

    Raises:
        RefusedError: INVALID_QUERY, with the field, its value and the bound; EXPIRED for a
            negative budget.
    """
    if complaint := complaint_about_names(asker=message.asker, id=message.id):
        raise _invalid(complaint)
    _check_text(message, settings.queries)
    constraint = _constraint(message)
    overrun_policy = _overrun_policy(message, settings.queries)
    remote_policy = _remote_policy(message, settings.remote.remote_policy)
    asked_ago_s, budget_s = _budget(message, settings, arrival)
    now_s = arrival.clock()
    return Query(
        origin=origin,
        prompt=message.prompt,
        system_prompt=message.system_prompt or settings.queries.system_prompt,
        max_new_tokens=message.max_new_tokens or settings.queries.max_new_tokens,
        overrun_policy=overrun_policy,
        asked_at_s=now_s - asked_ago_s,
        deadline=Deadline(now_s - asked_ago_s + budget_s, arrival.clock),
        constraint=constraint,
        context=message.context,
        history=_history(message),
        remote_policy=remote_policy,
    )


def complaint_about_names(**names: str) -> str:
    """Return what is wrong with names that replies repeat, by field; empty: nothing."""
    for field, name in names.items():
        size = len(name.encode('utf-8', 'surrogatepass'))
        if size > MAX_NAME_BYTES:
            return f'{field} must be at most {MAX_NAME_BYTES} bytes, got {size}'
    return ''


def _check_text(message: msg.Query, settings: QuerySettings) -> None:
    if not message.prompt.strip():
        raise _invalid('prompt must not be empty')
    for name in ('prompt', 'system_prompt', 'context', 'history'):
        value = getattr(message, name)
        texts = [value] if isinstance(value, str) else [turn.text for turn in value]
        size = sum(len(text.encode('utf-8', 'surrogatepass')) for text in texts)
        if size > settings.max_prompt_bytes:
            raise _invalid(
                f'{name} must be at most {settings.max_prompt_bytes} bytes (max_prompt_bytes), '
                f'got {size}'
            )


def _history(message: msg.Query) -> tuple[Turn, ...]:
    turns = []
    for place, turn in enumerate(message.history):
        if turn.role not in tuple(Role):
            known = ', '.join(f'{role.name} ({role.value})' for role in Role)
            raise _invalid(f'history[{place}].role must be one of {known}, got {turn.role}')
        if not turn.text.strip():
            raise _invalid(f'history[{place}].text must not be empty')
        turns.append(Turn(Role(turn.role), turn.text))
    return tuple(turns)


def _constraint(message: msg.Query) -> Constraint | None:
    try:
        return checked_constraint(
            message.constraint_kind, message.constraint, message.choices, message.fill_missing
        )
    except ValueError as error:
        raise _invalid(str(error)) from None


def _overrun_policy(message: msg.Query, settings: QuerySettings) -> OverrunPolicy:
    if message.overrun_policy == OverrunPolicy.DEFAULT:
        return OverrunPolicy[settings.overrun_policy.upper()]
    try:
        return OverrunPolicy(message.overrun_policy)
    except ValueError:
        known = ', '.join(f'{policy.name} ({policy.value})' for policy in OverrunPolicy)
        raise _invalid(
            f'overrun_policy must be one of {known}, got {message.overrun_policy}'
        ) from None


def _remote_policy(message: msg.Query, of_node: str) -> RemotePolicy:
    """Return whether a remote engine may answer. A query cannot allow what the node forbids."""
    if message.remote_policy == msg.Query.DEFAULT:
        return RemotePolicy[of_node.upper()]
    try:
        policy = RemotePolicy(message.remote_policy)
    except ValueError:
        named = (f'{policy.name} ({policy.value})' for policy in RemotePolicy)
        known = ', '.join([f'DEFAULT ({msg.Query.DEFAULT})', *named])
        raise _invalid(
            f'remote_policy must be one of {known}, got {message.remote_policy}'
        ) from None
    if of_node == 'off' and policy is not RemotePolicy.OFF:
        raise _invalid(
            "remote_policy must be OFF (1) or DEFAULT (0) while the node's parameter "
            f"remote_policy is 'off', got {policy.name} ({policy.value})"
        )
    return policy


def _budget(message: msg.Query, settings: NodeSettings, arrival: Arrival) -> tuple[float, float]:
    """Return how long ago the query was asked, and its budget from then on [s]."""
    stamp_s, deadline_s = _seconds(message.header.stamp), _seconds(message.deadline)
    budget_s = _seconds(message.time_budget)
    asked_ago_s = max(0.0, arrival.ros_time_s - stamp_s) if stamp_s != 0 else 0.0
    if budget_s < 0:
        raise RefusedError(MissReason.EXPIRED, f'time_budget is negative, {budget_s:.3f} s')
    bounds = {'time_budget': budget_s} if budget_s > 0 else {}
    if deadline_s != 0:
        if arrival.ros_time_s == 0:
            raise _invalid(
                f'deadline {deadline_s:.3f} s cannot be compared with ROS time, which is 0: '
                'use_sim_time is set, but nothing has been received on /clock'
            )
        bounds['deadline'] = deadline_s - arrival.ros_time_s + asked_ago_s
    bounds = bounds or {'default_time_budget': settings.queries.default_time_budget_s}
    field, budget_s = min(bounds.items(), key=lambda bound: bound[1])
    longest_s = settings.serving.max_time_budget_s
    if budget_s > longest_s:
        raise _invalid(
            f'{field} must be at most {longest_s:.3f} s (max_time_budget) from the stamp, got '
            f'{budget_s:.3f} s'
        )
    return asked_ago_s, budget_s


def _invalid(detail: str) -> RefusedError:
    return RefusedError(MissReason.INVALID_QUERY, detail)


def _seconds(time: Time | Duration) -> float:
    return float(time.sec + time.nanosec * 1e-9)


def chunk_message(origin: Origin, now: Time, sequence: int, text: str) -> msg.ResponseChunk:
    """Return a ResponseChunk, stamped now."""
    return msg.ResponseChunk(sequence=sequence, text=text, **_echo(origin, now))


def outcome_message(
    origin: Origin, now: Time, outcome: Outcome, bill: Bill, chunk_count: int
) -> msg.Response | msg.DeadlineMiss:
    """Return a Response or a DeadlineMiss, stamped now."""
    common = {
        **_echo(origin, now),
        'chunk_count': chunk_count,
        'bill': msg.Bill(**dataclasses.asdict(bill)),
    }
    if isinstance(outcome, Answer):
        return msg.Response(
            text=outcome.text,
            finish_reason=int(outcome.finish_reason),
            deadline_met=outcome.deadline_met,
            model_text_length=len(outcome.model_text.encode('utf-8', 'surrogatepass')),
            filled=list(outcome.filled),
            choice=outcome.confidence.choice,
            choice_probabilities=list(outcome.confidence.choice_probabilities),
            mean_token_probability=outcome.confidence.mean_token_probability,
            backend=outcome.backend,
            **common,
        )
    assert isinstance(outcome, Miss)
    seconds, nanoseconds = divmod(round(outcome.minimum_time_budget_s * 1e9), 10**9)
    return msg.DeadlineMiss(
        reason=int(outcome.reason),
        detail=outcome.detail,
        minimum_time_budget=Duration(sec=seconds, nanosec=nanoseconds),
        backend=outcome.backend,
        **common,
    )


def _echo(origin: Origin, now: Time) -> dict[str, object]:
    return {
        'header': Header(stamp=now),
        'asker': origin.key.asker,
        'query_id': origin.key.id,
        'query_stamp': Time(sec=origin.stamp_sec, nanosec=origin.stamp_nanosec),
    }
