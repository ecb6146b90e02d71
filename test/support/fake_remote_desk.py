"""A desk with a fake remote engine beside the fake backend."""

from typing import Any

from support.fake_backend import Finished, Text, Tokenised
from support.fake_desk import Desk
from support.fake_remote_engine import FakeRemoteEngine
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.outcome import NOT_KNOWN, FinishReason
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel

# 1 s to read a prompt, and 0.1 s a token: an answer of at most 10 tokens takes 2 s.
MODEL = TimeModel(a=0.0, b=0.0, c=1.0, p=0.0, q=0.1, delta=0.01)


class FakeRemoteDesk(Desk):
    """A desk with a remote engine."""

    def __init__(self, requests_per_hour: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        self.dispatcher.open(self.backend, 100, BudgetPlanner(PlannerSettings(), MODEL))
        self.engine = FakeRemoteEngine()
        self.remote = self.dispatcher.remote
        self.remote.use(self.engine, requests_per_hour)

    def answer(self, *pieces: str, reason: FinishReason = FinishReason.EOS) -> None:
        """Have the engine answer what it was asked last."""
        number = self.engine.asked[-1]
        for count, piece in enumerate(pieces, 1):
            self.remote.on_text(number, piece, count)
        bill = Bill(prompt_tokens=5, response_tokens=len(pieces))
        self.remote.on_finished(number, reason, bill, NOT_KNOWN)

    def fault(self, detail: str = 'a fault', is_link: bool = True) -> None:
        self.remote.on_faulted(self.engine.asked[-1], detail, is_link)

    def bill(self, query_id: str) -> Bill:
        return next(reply[2] for reply in self.replies.outcomes if reply[0] == query_id)

    def answer_here(self, text: str) -> None:
        """Have the own model answer what was submitted to it last."""
        number = self.backend.submitted()[-1]
        self.say(Tokenised(number, 10))
        assert self.backend.runs()[-1] == number
        self.say(Text(number, text, 1), Finished(number, FinishReason.EOS, Bill(total_time=1.0)))
