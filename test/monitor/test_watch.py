"""What the monitor makes of a node's messages."""

import timebill_ros.msg as msg
from support.told_statuses import told
from timebill_ros.monitor.watch import KEPT_REPLIES, SILENT_AFTER_S, Watch


def test_replies_are_kept_newest_first_and_not_without_end() -> None:
    watch = Watch('/timebill')
    for number in range(KEPT_REPLIES + 3):
        watch.on_miss(
            msg.DeadlineMiss(asker='a', query_id=str(number), reason=msg.DeadlineMiss.KILLED)
        )
    watch.on_response(
        msg.Response(asker='b', query_id='x', finish_reason=msg.Response.EOS, deadline_met=True)
    )
    assert len(watch.replies) == KEPT_REPLIES
    assert (watch.replies[0].query, watch.replies[0].outcome) == ('b x', 'EOS')
    assert (watch.replies[1].query, watch.replies[1].outcome) == (
        f'a {KEPT_REPLIES + 2}',
        'KILLED',
    )


def test_an_answer_after_its_deadline_is_late() -> None:
    watch = Watch('/timebill')
    watch.on_response(msg.Response(finish_reason=msg.Response.EOS, deadline_met=False))
    assert (watch.replies[0].is_answer, watch.replies[0].is_late) == (True, True)


def test_only_the_watched_node_is_heard() -> None:
    watch = Watch('/robot1/timebill')
    watch.on_diagnostics(told('/timebill'), 0.0)
    watch.on_diagnostics(told('/robot1/timebill_2'), 0.0)
    assert not watch.is_heard
    watch.on_diagnostics(told('/robot1/timebill'), 0.0)
    assert watch.is_heard
    assert watch.status('deadlines').values['queue_length'] == '6'


def test_misses_are_counted_by_reason_without_zeros() -> None:
    watch = Watch('/timebill')
    watch.on_diagnostics(told(), 0.0)
    assert watch.misses() == {'KILLED': 7, 'OVERLOADED': 5}


def test_levels_are_those_of_the_statuses() -> None:
    watch = Watch('/timebill')
    watch.on_diagnostics(told(), 0.0)
    assert {name: status.level for name, status in watch.statuses.items()} == {
        'inference': 0,
        'deadlines': 1,
        'estimate': 0,
        'link': 1,
    }


def test_a_link_that_is_switched_off_is_forgotten() -> None:
    watch = Watch('/timebill')
    watch.on_diagnostics(told(), 0.0)
    watch.on_diagnostics(told(has_link=False), 1.0)
    assert 'link' not in watch.statuses


def test_a_node_is_silent_when_its_statuses_stop() -> None:
    watch = Watch('/timebill')
    assert watch.silent_for_s(100.0) == 0.0
    watch.on_diagnostics(told(), 100.0)
    assert watch.silent_for_s(100.0 + SILENT_AFTER_S) == 0.0
    assert watch.silent_for_s(110.0) == 10.0
