"""The table of what has been collected."""

import pytest

from timebill_ros.training.length_file import LengthRecord
from timebill_ros.training.length_summary import expected_time_s, summary
from timebill_ros.training.prompt import Kind, Prompt


def record(
    kind: Kind, source: str, tokens: int, reason: str = 'EOS', seconds: float = 1.0
) -> LengthRecord:
    return LengthRecord(f'{kind}{tokens}', source, kind, 10, tokens, reason, 0.0, seconds)


def prompts(**counts: int) -> list[Prompt]:
    return [
        Prompt(f'{kind} {number}', 'a', Kind[kind])
        for kind, count in counts.items()
        for number in range(count)
    ]


def test_the_whole_set_is_expected_by_the_mean_of_each_kind() -> None:
    records = [
        record(Kind.SHORT_ANSWER, 'a', 5, seconds=1.0),
        record(Kind.SHORT_ANSWER, 'a', 7, seconds=3.0),
        record(Kind.LONG_CONTEXT, 'b', 9, seconds=11.0),
    ]
    assert expected_time_s(records, prompts(SHORT_ANSWER=10, LONG_CONTEXT=3)) == 53.0
    # Of a kind that has not come yet, the mean of all is expected.
    assert expected_time_s(records, prompts(REASONING=2)) == pytest.approx(10.0)


def test_the_table_has_a_row_a_source_below_its_kind() -> None:
    table = summary(
        [
            record(Kind.SHORT_ANSWER, 'quiz', 10),
            record(Kind.SHORT_ANSWER, 'quiz', 30, 'LENGTH'),
            record(Kind.OPEN_ENDED, 'essays', 500, 'REPETITION'),
        ],
        prompts(SHORT_ANSWER=2),
    ).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in table}
    assert rows['quiz'] == ['2', '10', '20', '28', '50%', '50%', '0%', '1.00']
    assert rows['essays'] == ['1', '10', '500', '500', '0%', '0%', '100%', '1.00']
    assert rows['all'][0] == '3'
    assert [line.split()[0] for line in table].index('quiz') == 1 + [
        line.split()[0] for line in table
    ].index('short-answer')


def test_with_nothing_collected_it_says_so() -> None:
    assert 'nothing' in summary([], prompts(REASONING=1))
