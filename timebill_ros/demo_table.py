"""The replies of the demo as a table: predicted beside measured times."""

from typing import Any

import timebill_ros.msg as msg
from timebill_ros.client.constant_names import constant_name


def table(replies: list[Any]) -> str:
    """Return outcomes and bills as a table, with one column for each question."""
    rows = [
        ('time budget [s]', lambda bill: f'{bill.time_budget:.2f}'),
        ('prompt / kept [tokens]', lambda bill: f'{bill.prompt_tokens} / {bill.kept_tokens}'),
        ('eviction ratio', lambda bill: f'{bill.eviction_ratio:.2f}'),
        ('response [tokens]', lambda bill: f'{bill.response_tokens}'),
        ('queue [s]', lambda bill: f'{bill.queue_time:.3f}'),
        *(_predicted_and_measured(item) for item in ('prefill', 'eviction', 'decode', 'total')),
        ('worst case [s]', lambda bill: _known(bill.worst_case_time)),
        ('slack [s]', lambda bill: f'{bill.slack:.3f}'),
    ]
    lines = [_line('', [reply.query_id for reply in replies])]
    lines.append(_line('outcome', [outcome(reply) for reply in replies]))
    for label, cell in rows:
        lines.append(_line(label, [cell(reply.bill) for reply in replies]))
    return '\n'.join(lines)


def outcome(reply: Any) -> str:
    """Return whether a reply is an answer or a miss, and why."""
    if isinstance(reply, msg.Response):
        return f'answer: {constant_name(msg.Response, reply.finish_reason)}'
    return f'miss: {constant_name(msg.DeadlineMiss, reply.reason)}'


def _predicted_and_measured(item: str) -> tuple[str, Any]:
    return (
        f'{item}, predicted / measured [s]',
        lambda bill: (
            f'{_known(getattr(bill, f"predicted_{item}_time"))}'
            f' / {getattr(bill, f"{item}_time"):.3f}'
        ),
    )


def _known(seconds: float) -> str:
    return f'{seconds:.3f}' if seconds else '-'


def _line(label: str, cells: list[str]) -> str:
    return f'{label:36}' + ''.join(f'{cell:>20}' for cell in cells)
