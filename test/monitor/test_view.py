"""The monitor's picture, as text of 80 columns."""

import io

from rich.console import Console

import timebill_ros.msg as msg
from support.told_statuses import told
from timebill_ros.monitor.view import view
from timebill_ros.monitor.watch import Watch


def drawn(watch: Watch, trouble: str = '', width: int = 80) -> str:
    """Return the picture as a terminal of this width shows it."""
    out = io.StringIO()
    Console(file=out, width=width).print(view(watch, trouble))
    return out.getvalue()


def watched() -> Watch:
    watch = Watch('/timebill')
    watch.on_diagnostics(told(), 0.0)
    bill = msg.Bill(
        time_budget=2.0,
        slack=0.61,
        eviction_ratio=0.25,
        predicted_prefill_time=0.4,
        prefill_time=0.5,
        predicted_decode_time=0.81,
        decode_time=0.72,
        predicted_total_time=1.21,
        total_time=1.22,
    )
    for outcome, is_met in ((msg.Response.REPETITION, True), (msg.Response.EOS, False)):
        watch.on_response(
            msg.Response(
                asker='/robot/with/a/long/name',
                query_id='0123456789-0123456789',
                finish_reason=outcome,
                deadline_met=is_met,
                bill=bill,
            )
        )
    watch.on_miss(
        msg.DeadlineMiss(
            asker='[bold]',
            reason=msg.DeadlineMiss.INVALID_QUERY,
            bill=msg.Bill(time_budget=600.0, slack=-599.5),
        )
    )
    return watch


def test_predicted_stands_beside_measured_with_alpha_budget_and_slack() -> None:
    line = next(line for line in drawn(watched()).splitlines() if 'REPETITION' in line)
    assert line.split('REPETITION')[1].split() == [
        '0.40/0.50',
        '0.81/0.72',
        '1.21/1.22',
        '0.25',
        '2.00',
        '0.61',
    ]


def test_what_the_node_tells_is_there() -> None:
    text = ' '.join(drawn(watched()).split())
    for fact in (
        'misses KILLED 7, OVERLOADED 5',
        'waiting 6, miss rate 0.120, answered 4711',
        'prefix cache 3 prompts, 12.3 MB',
        'drift read/write 1.100/1.250',
        '(delta) 0.370',
        'prefer https://workstation:8000',
    ):
        assert fact in text


def test_nothing_is_wider_than_80_columns_and_no_number_is_cut() -> None:
    text = drawn(watched())
    assert max(map(len, text.splitlines())) <= 80
    assert 'INVALID_QUERY' in text and '-600' in text
    cut = [cell for line in text.splitlines() for cell in line.split() if cell.endswith('…')]
    assert cut == []


def test_of_long_names_the_ends_are_shown() -> None:
    assert '…ong/name …56789 ' in drawn(watched())


def test_an_answer_after_its_deadline_is_told() -> None:
    text = drawn(watched())
    assert text.count(' late ') == 1 and 'EOS' not in text


def test_an_askers_name_is_no_markup() -> None:
    assert '[bold]' in drawn(watched())


def test_without_a_node_only_the_trouble_and_no_statuses_are_shown() -> None:
    text = drawn(Watch('/timebill'), 'No node is there.')
    assert 'No node is there.' in text
    assert 'inference' not in text and 'misses' not in text
