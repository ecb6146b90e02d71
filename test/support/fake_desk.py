"""A dispatcher on a clock that stands still, with a fake backend and fake replies around it."""

import dataclasses
import threading
from typing import Any

from support.fake_backend import FakeBackend, Said, Tokenised
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Constraint
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.outcome import Miss, OverrunPolicy
from timebill_ros.core.query import Origin, Query, QueryKey
from timebill_ros.core.remote_policy import RemotePolicy
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.dispatch.dispatcher import Dispatcher

SETTINGS = DispatchSettings(
    max_queue_length=3, publish_reserve_s=0.02, chunk_rate=20.0, abort_grace_s=0.2
)


class FakeReplies:
    """Records what is published."""

    def __init__(self) -> None:
        self.chunks: list[tuple[str, int, str]] = []
        self.chunk_bills: list[Bill] = []
        self.outcomes: list[tuple[str, Any, Bill, int]] = []

    def publish_chunk(self, origin: Origin, sequence: int, text: str, bill: Bill) -> None:
        assert origin.key.id not in [outcome[0] for outcome in self.outcomes]
        self.chunks.append((origin.key.id, sequence, text))
        self.chunk_bills.append(bill)

    def publish_outcome(self, origin: Origin, outcome: Any, bill: Bill, chunk_count: int) -> None:
        self.outcomes.append((origin.key.id, outcome, bill, chunk_count))

    def ended(self) -> dict[str, Any]:
        return {
            query_id: outcome.reason if isinstance(outcome, Miss) else outcome.finish_reason
            for query_id, outcome, _, _ in self.outcomes
        }


class Desk:
    """A dispatcher with fakes around it."""

    def __init__(self, **settings: Any) -> None:
        self.now_s = 1000.0
        self.backend = FakeBackend()
        self.replies = FakeReplies()
        self.settings = dataclasses.replace(SETTINGS, **settings)
        self.dispatcher = Dispatcher(
            self.settings, self.replies, lambda: self.now_s, lambda: 'loading'
        )
        self.dispatcher.resume()
        self.dispatcher.open(self.backend, 100, BudgetPlanner())

    def submit(
        self,
        query_id: str,
        budget_s: float = 10.0,
        asker: str = 'a',
        policy: OverrunPolicy = OverrunPolicy.KILL,
        max_new_tokens: int = 10,
        prompt: str = '?',
        constraint: Constraint | None = None,
        remote_policy: RemotePolicy = RemotePolicy.OFF,
    ) -> None:
        self.dispatcher.submit(
            Query(
                origin=Origin(QueryKey(asker, query_id)),
                prompt=prompt,
                system_prompt='',
                max_new_tokens=max_new_tokens,
                overrun_policy=policy,
                asked_at_s=self.now_s,
                deadline=Deadline(self.now_s + budget_s, lambda: self.now_s),
                constraint=constraint,
                remote_policy=remote_policy,
            )
        )

    def ask(self, query_id: str, budget_s: float, tokens: int = 1, **fields: Any) -> int:
        """Submit a query and have it tokenised, if it is accepted so far; return its number."""
        before = len(self.backend.submitted())
        self.submit(query_id, budget_s, **{'prompt': 'word' * tokens, **fields})
        number = self.backend.submitted()[-1]
        if len(self.backend.submitted()) > before:
            self.say(Tokenised(number, tokens))
        return number

    def say(self, *said: Said) -> None:
        """Have the backend say things, one after the other."""
        for what in said:
            what.tell(self.dispatcher)

    def change(self, **settings: Any) -> None:
        self.settings = dataclasses.replace(self.settings, **settings)
        self.dispatcher.change_settings(self.settings)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, from one moment that the guard waits for to the next."""
        guard, end_s = self.dispatcher._guard, self.now_s + seconds
        while guard._heap and guard._heap[0][0] <= end_s:
            self.now_s = max(self.now_s, guard._heap[0][0])
            self._let_guard_look()
        self.now_s = end_s

    def _let_guard_look(self) -> None:
        """Wake the guard, whose thread sleeps in real time; wait until what is due is done."""
        looked = threading.Event()
        self.dispatcher._guard.at(self.now_s, looked.set)
        self.dispatcher._guard.at(0.0, lambda: None)
        assert looked.wait(5.0)

    def outcome(self, query_id: str) -> Any:
        """Return the one outcome of a query."""
        found = [reply[1] for reply in self.replies.outcomes if reply[0] == query_id]
        assert len(found) == 1, f'{len(found)} outcomes of {query_id}'
        return found[0]
