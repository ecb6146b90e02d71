from benchmark.deadlines.asker import Record, Reply
from benchmark.deadlines.summary import distribution, summarise

MS = 10**6


def reply(outcome, stamp_ms, received_ms):
    return Reply(outcome, stamp_ms * MS, stamp_ms * MS, received_ms * MS, received_ms * MS)


def record(*replies, batch_size=1, group='any'):
    return Record('id', group, batch_size, 0, 1000 * MS, list(replies))


def test_counts_replies_against_queries_sent():
    once, twice, never = (
        record(reply('ANSWERED', 1, 2)),
        record(reply('ANSWERED', 1, 2), reply('KILLED', 3, 4)),
        record(),
    )
    summary = summarise([once, twice, never])
    counts = [summary[key] for key in ('queries', 'replies', 'duplicates', 'missing', 'late')]
    assert counts == [3, 3, 1, 1, 0]


def test_late_is_received_after_the_deadline_published_late_is_stamped_after_it():
    on_its_way = record(reply('KILLED', 999, 1001))
    published = record(reply('KILLED', 1001, 1002))
    summary = summarise([on_its_way, published])
    assert (summary['late'], summary['published_late']) == (2, 1)


def test_expired_is_never_late():
    assert summarise([record(reply('EXPIRED', 2000, 2001))])['late'] == 0


def test_kill_earliness_is_negative_after_the_deadline():
    summary = summarise([record(reply('KILLED', 980, 1005))])
    assert summary['kill_earliness_ms']['max'] == 20.0
    assert summary['kill_earliness_receipt_ms']['max'] == -5.0


def test_refusals_in_bursts_and_by_token_count_are_told_apart():
    summary = summarise(
        [
            record(reply('QUEUE_FULL', 1, 2)),
            record(reply('QUEUE_FULL', 1, 30), batch_size=100),
            record(reply('INVALID_QUERY', 1, 60), group='too many tokens'),
        ]
    )
    assert summary['refusal_ms']['max'] == 2.0
    assert summary['burst_refusal_ms']['max'] == 30.0
    assert summary['token_count_refusal_ms']['max'] == 60.0


def test_nothing_measured_is_none_not_zero():
    assert distribution([]) == {'n': 0, 'min': None, 'p50': None, 'p99': None, 'max': None}
