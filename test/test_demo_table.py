"""The table of the demo."""

from timebill_ros.demo_table import table
from timebill_ros.msg import Bill, DeadlineMiss, Response


def test_the_table_has_a_column_for_each_reply_with_its_outcome_and_bill() -> None:
    bill = Bill(time_budget=2.5, predicted_prefill_time=0.5, prefill_time=0.25)
    answer = Response(query_id='one', finish_reason=Response.EOS, bill=bill)
    miss = DeadlineMiss(query_id='two', reason=DeadlineMiss.INFEASIBLE)
    names, outcomes, budgets, *rows = (
        line.split('  ') for line in table([answer, miss]).split('\n')
    )
    assert [cell.strip() for cell in names if cell] == ['one', 'two']
    assert [cell.strip() for cell in outcomes if cell][1:] == ['answer: EOS', 'miss: INFEASIBLE']
    assert [cell.strip() for cell in budgets if cell][1:] == ['2.50', '0.00']
    prefill = next(row for row in rows if row[0].startswith('prefill'))
    assert [cell.strip() for cell in prefill if cell][1:] == ['0.500 / 0.250', '- / 0.000']
