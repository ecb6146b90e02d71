"""The monitor's picture: what a Watch knows, as text of at least 80 columns."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from timebill_ros.monitor.watch import Status, Watch, WatchedReply

_STYLES = ('green', 'yellow', 'red', 'dim')
_NOT_KNOWN = '-'
_ASKER_WIDTH, _ID_WIDTH = 9, 6
"""Of 80 columns, the other cells of a reply need 64."""


def view(watch: Watch, trouble: str) -> RenderableType:
    """Return the whole picture.

    Arguments:
        watch: what is known of the node.
        trouble: a sentence, if the node is not there or is silent; else ''.
    """
    parts: list[RenderableType] = [_title(watch)]
    if trouble:
        parts.append(Text(trouble, style='bold red'))
    if watch.is_heard:
        parts.append(_statuses(watch))
    parts.append(_bills(watch))
    return Group(*parts)


def _title(watch: Watch) -> Text:
    engine = watch.status('inference').values
    facts = [engine.get(key, '') for key in ('model', 'device', 'step')]
    title = Text('timebill monitor  ', style='bold')
    title.append(watch.node, style='bold cyan')
    title.append('  ' + ', '.join(fact for fact in facts if fact), style='dim')
    return title


def _statuses(watch: Watch) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow='fold')
    for name, facts in (
        ('inference', _inference(watch)),
        ('deadlines', _deadlines(watch)),
        ('estimate', _estimate(watch)),
        ('link', _link(watch)),
    ):
        status = watch.status(name)
        if name in watch.statuses:
            table.add_row(_name(name, status), Text(status.message))
            table.add_row('', Text(facts, style='dim'))
    misses = ', '.join(f'{reason} {count}' for reason, count in watch.misses().items())
    table.add_row('misses', Text(misses or 'none since the node was started'))
    return table


def _name(name: str, status: Status) -> Text:
    return Text(name, style=_STYLES[min(status.level, 3)])


def _inference(watch: Watch) -> str:
    values = watch.status('inference').values
    return (
        f'worker process {values.get("worker_memory_mb", _NOT_KNOWN)} MB, restarts '
        f'{values.get("restarts", _NOT_KNOWN)}; prefix cache '
        f'{values.get("prefix_cache_prompts", _NOT_KNOWN)} prompts, '
        f'{values.get("prefix_cache_mb", _NOT_KNOWN)} MB'
    )


def _deadlines(watch: Watch) -> str:
    values = watch.status('deadlines').values
    times = '/'.join(values.get(f'processing_time_p{n}_ms', _NOT_KNOWN) for n in (50, 95, 99))
    return (
        f'waiting {values.get("queue_length", _NOT_KNOWN)}, miss rate '
        f'{values.get("miss_rate", _NOT_KNOWN)}, answered {values.get("answered", _NOT_KNOWN)}; '
        f'p50/p95/p99 {times} ms'
    )


def _estimate(watch: Watch) -> str:
    values = watch.status('estimate').values
    reading = values.get('reading_drift_factor') or _NOT_KNOWN
    return (
        f'error {values.get("estimate_error") or _NOT_KNOWN}, drift read/write '
        f'{reading}/{values.get("drift_factor") or _NOT_KNOWN}, worst-case margin (delta) '
        f'{values.get("worst_case_margin") or _NOT_KNOWN}'
    )


def _link(watch: Watch) -> str:
    values = watch.status('link').values
    return f'{values.get("policy", "")} {values.get("origin", "")}'


def _bills(watch: Watch) -> RenderableType:
    if not watch.replies:
        sentence = 'No reply since the monitor was started. Each reply becomes a line here.'
        return Text(sentence, style='dim')
    table = Table(box=None, padding=(0, 1, 0, 0), header_style='bold')
    table.add_column('query', no_wrap=True)
    table.add_column('outcome', no_wrap=True)
    for heading in ('prefill', 'decode', 'total', 'alpha', 'budget', 'slack'):
        table.add_column(heading, justify='right', no_wrap=True)
    for reply in watch.replies:
        table.add_row(*_row(reply))
    explained = Text('prefill, decode, total: predicted/measured [s]; newest reply first')
    explained.stylize('dim')
    return Group(table, explained)


def _row(reply: WatchedReply) -> tuple[str | Text, ...]:
    bill = reply.bill
    style = 'green' if reply.is_answer and not reply.is_late else 'red'
    return (
        Text(_name_of(reply.query)),
        Text('late' if reply.is_late else reply.outcome, style=style),
        _both(bill.predicted_prefill_time, bill.prefill_time),
        _both(bill.predicted_decode_time, bill.decode_time),
        _both(bill.predicted_total_time, bill.total_time),
        f'{bill.eviction_ratio:.2f}',
        _seconds(bill.time_budget),
        _seconds(bill.slack),
    )


def _name_of(query: str) -> str:
    """Return the ends of an asker's name and of an id: they tell queries apart."""
    asker, _, query_id = query.partition(' ')
    return f'{_end_of(asker, _ASKER_WIDTH)} {_end_of(query_id, _ID_WIDTH)}'


def _end_of(text: str, width: int) -> str:
    return text if len(text) <= width else f'…{text[1 - width :]}'


def _both(predicted_s: float, measured_s: float) -> str:
    if not predicted_s and not measured_s:
        return _NOT_KNOWN
    return f'{_seconds(predicted_s) if predicted_s else _NOT_KNOWN}/{_seconds(measured_s)}'


def _seconds(value: float) -> str:
    """Return seconds in four characters, where that is possible."""
    if abs(value) < 10:
        return f'{value:.2f}'
    return f'{value:.1f}' if abs(value) < 100 else f'{value:.0f}'
