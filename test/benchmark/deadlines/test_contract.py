from benchmark.deadlines.asker import Result
from benchmark.deadlines.contract import count_violations, is_result_late, violations
from support.benchmark_records import MS, record, reply


def test_one_reply_in_time_keeps_the_contract():
    for outcome in ('ANSWERED', 'KILLED', 'QUEUE_FULL'):
        assert violations(record(reply(outcome, 975))) == []


def test_no_reply_and_two_replies_break_it():
    assert violations(record()) == ['missing']
    assert violations(record(reply('ANSWERED', 1), reply('KILLED', 2))) == ['duplicate']


def test_lateness_is_told_apart_by_where_it_arose():
    assert violations(record(reply('KILLED', 1001))) == ['published late']
    assert violations(record(reply('KILLED', 999, 1001))) == ['received late']
    assert violations(record(reply('KILLED', 1001)), may_be_late=True) == ['published late']


def test_expired_is_never_late():
    assert violations(record(reply('EXPIRED', 2000))) == []


def test_a_late_answer_must_say_so_and_only_skip_next_may_give_one():
    says_so = record(reply('ANSWERED', 1500, deadline_met=False))
    assert violations(says_so, may_be_late=True) == []
    assert violations(says_so) == ['late under KILL or PARTIAL']
    assert violations(record(reply('ANSWERED', 1500)), may_be_late=True) == ['published late']


def test_an_answer_in_time_must_not_say_that_it_is_late():
    early = record(reply('ANSWERED', 500, deadline_met=False))
    assert violations(early, may_be_late=True) == ['said to be late, but in time']


def test_chunks_rise_are_all_there_and_come_before_the_reply():
    def with_chunks(**chunks):
        return record(reply('ANSWERED', 500, chunk_count=2), **chunks)

    assert violations(with_chunks(chunks=2, last_chunk_ns=499_000_000)) == []
    assert violations(with_chunks(chunks=1)) == ['chunks']
    assert violations(with_chunks(chunks=2, chunks_rise=False)) == ['chunks']
    after = with_chunks(chunks=2, last_chunk_ns=501_000_000)
    assert violations(after) == ['chunk after the reply']


def test_violations_are_counted_by_kind():
    assert count_violations([['missing'], [], ['chunks', 'missing']]) == {
        'missing': 2,
        'chunks': 1,
    }


def goal(outcome, *results, **more):
    return record(reply(outcome, 900), as_goal=True, results=list(results), **more)


def test_a_goal_has_one_result_with_the_outcome_of_its_reply():
    def result(outcome='ANSWERED', status=4, received_ms=950):
        return Result(status, outcome, received_ms * MS, 'decode')

    assert violations(goal('ANSWERED', result())) == []
    assert violations(goal('KILLED', result('KILLED', 6))) == []
    assert violations(goal('CANCELLED', result('CANCELLED', 5))) == []
    assert violations(goal('ANSWERED')) == ['0 results']
    assert violations(goal('ANSWERED', result(), result())) == ['2 results']
    assert violations(goal('ANSWERED', result('KILLED', 6))) == ['another result than the reply']
    assert violations(goal('KILLED', result('KILLED', 4))) == ['status']
    assert violations(goal('ANSWERED', result(received_ms=1001))) == ['late result']
    assert violations(goal('EXPIRED', result('EXPIRED', 6, 1001))) == []
    assert not is_result_late(goal('ANSWERED', result()))
    assert is_result_late(goal('ANSWERED', result(received_ms=1001)))
    assert not is_result_late(goal('EXPIRED', result('EXPIRED', 6, 1001)))
