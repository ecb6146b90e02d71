"""A query's whole way between the dispatcher and the worker's messages."""

import pytest

from support.fake_desk import Desk
from support.fake_worker_client import FakeWorkerClient
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Closing, Constraint, ConstraintKind
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.outcome import (
    Answer,
    Confidence,
    FinishReason,
    Miss,
    MissReason,
    OverrunPolicy,
)
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.learned_lengths import LearnedLengths
from timebill_ros.node.worker_backend import WorkerBackend
from timebill_ros.worker.progress import (
    Cached,
    Faulted,
    Finished,
    Planned,
    Progress,
    Rejected,
    Text,
    Tokenised,
)
from timebill_ros.worker.protocol import (
    Drop,
    Load,
    Run,
    Submit,
)


class Connected:
    """A dispatcher with the worker as its backend; the worker's client is a fake."""

    def __init__(self) -> None:
        self.desk = Desk()
        FakeWorkerClient.made = []
        self.worker = FakeWorkerClient(Load(ModelSettings()), None)  # type: ignore[arg-type]
        self.backend = WorkerBackend(self.worker, self.desk.dispatcher)  # type: ignore[arg-type]
        self.desk.dispatcher.open(self.backend, 100, BudgetPlanner())

    def tell(self, *messages: Progress) -> None:
        for message in messages:
            self.backend.tell(message)


@pytest.fixture
def connected():
    connected = Connected()
    yield connected
    connected.desk.dispatcher.shut_down()


def test_a_query_is_submitted_run_and_answered(connected: Connected) -> None:
    connected.desk.submit('q')
    connected.tell(Tokenised(0, 12))
    assert connected.worker.sent == [
        Submit(0, '?', ''),
        Run(0, 10, 1009.98, 1009.98, PlannerSettings()),
    ]
    connected.desk.submit('waits')
    connected.tell(Tokenised(1, 12, cached_tokens=4), Cached(1, 8))
    connected.desk.dispatcher.cancel('a', 'waits', 'asked')
    ((_, _, bill, _),) = connected.desk.replies.outcomes
    assert bill.cached_tokens == 8
    connected.desk.replies.outcomes.clear()
    connected.tell(Planned(0, Bill(prompt_tokens=12, kept_tokens=12)), Text(0, 'Yes.', 2))
    connected.tell(Finished(0, FinishReason.EOS, Bill(response_tokens=2, total_time=1.5)))
    ((_, outcome, bill, _),) = connected.desk.replies.outcomes
    assert outcome == Answer('Yes.', FinishReason.EOS)
    assert (bill.response_tokens, bill.total_time) == (2, 1.5)


def test_what_is_learned_of_an_answer_comes_with_the_next_query(connected: Connected) -> None:
    predicted = tuple(1.0 / 33 for _ in range(33))
    planner = BudgetPlanner(PlannerSettings(eviction_policy='closed_loop'))
    connected.desk.dispatcher.change_planner(planner)
    connected.desk.submit('q')
    connected.tell(Tokenised(0, 12), Planned(0, Bill(prompt_tokens=12), predicted))
    connected.tell(Finished(0, FinishReason.EOS, Bill(response_tokens=2)))
    connected.desk.submit('next')
    connected.tell(Tokenised(1, 12))
    expected = LearnedLengths()
    expected.observe(Habit('a'), AnswerLength(2, True), 10, predicted)
    run = connected.worker.sent[-1]
    assert isinstance(run, Run)
    assert run.lengths == expected.of(Habit('a'))
    assert run.lengths is not None


def test_a_query_at_its_last_moment_is_dropped_and_the_worker_killed_if_need_be(
    connected: Connected,
) -> None:
    connected.desk.submit('q', 1.0)
    connected.tell(Tokenised(0, 12), Planned(0, Bill(prompt_tokens=12)), Text(0, 'Y', 1))
    connected.desk.pass_time(1.0)
    assert '1 tokens so far' in connected.desk.outcome('q').detail
    assert connected.worker.sent[-1] == Drop(0)
    connected.desk.pass_time(0.2)
    assert 'abort_grace' in connected.worker.killed[0]


def test_thinking_is_told(connected: Connected) -> None:
    connected.desk.submit('q', 1.0)
    connected.tell(Tokenised(0, 12), Planned(0, Bill(prompt_tokens=12)), Text(0, '', 2, 2))
    connected.desk.pass_time(1.0)
    assert 'still thinking (2 tokens so far)' in connected.desk.outcome('q').detail


def test_a_constraint_and_what_closes_its_answer_pass(connected: Connected) -> None:
    constraint = Constraint(ConstraintKind.JSON_SCHEMA, '{}')
    connected.desk.submit('q', policy=OverrunPolicy.PARTIAL, constraint=constraint)
    connected.tell(Tokenised(0, 12, max_response_tokens=4), Planned(0, Bill(prompt_tokens=12)))
    assert connected.worker.sent == [
        Submit(0, '?', '', constraint),
        Run(0, 4, 1009.98, 1009.98, PlannerSettings(eviction_policy='off')),  # it is PARTIAL
    ]
    connected.tell(Text(0, '{"a', 2, closing=Closing(1, '}')), Finished(0, None, Bill()))
    assert connected.desk.outcome('q') == Answer('{}', FinishReason.CLOSED, closing='}')


def test_a_choice_and_how_sure_it_is_pass(connected: Connected) -> None:
    constraint = Constraint(ConstraintKind.CHOICES, choices=('a', 'b'))
    connected.desk.submit('q', constraint=constraint)
    connected.tell(Tokenised(0, 12), Finished(0, FinishReason.EOS, Bill(), 1, (0.25, 0.75), 0.5))
    sure = Confidence(1, (0.25, 0.75), 0.5)
    assert connected.desk.outcome('q') == Answer('b', FinishReason.EOS, confidence=sure)


def test_what_the_worker_rejects_is_an_invalid_query(connected: Connected) -> None:
    connected.desk.submit('q')
    connected.tell(Rejected(0, 'constraint: no such type'))
    miss = Miss(MissReason.INVALID_QUERY, 'constraint: no such type')
    assert connected.desk.outcome('q') == miss


def test_a_fault_is_an_engine_fault_with_its_detail(connected: Connected) -> None:
    connected.desk.submit('q')
    connected.tell(Tokenised(0, 12), Faulted(0, 'out of memory'))
    miss = connected.desk.outcome('q')
    assert (miss.reason, miss.detail) == (MissReason.ENGINE_FAULT, 'out of memory')
