"""A backend without a model: it records what it is told, and the test says what it says."""

from dataclasses import dataclass

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.constraint import Closing, Constraint
from timebill_ros.core.outcome import NOT_KNOWN, Confidence, FinishReason
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.query import Query
from timebill_ros.dispatch.dispatcher import Dispatcher

# What it is told


@dataclass(frozen=True)
class Submit:
    number: int
    prompt: str
    system_prompt: str
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Run:
    number: int
    max_new_tokens: int
    last_moment_s: float
    stop_at_s: float
    planner: PlannerSettings
    lengths: AskerLengths | None = None


@dataclass(frozen=True)
class Drop:
    number: int


class FakeBackend:
    """Records what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[Submit | Run | Drop] = []
        self.killed: list[str] = []

    def submit(self, number: int, query: Query) -> None:
        self.told.append(Submit(number, query.prompt, query.system_prompt, query.constraint))

    def run(
        self,
        number: int,
        *,
        max_new_tokens: int,
        last_moment_s: float,
        stop_at_s: float,
        planner: PlannerSettings,
        lengths: AskerLengths | None,
    ) -> None:
        self.told.append(Run(number, max_new_tokens, last_moment_s, stop_at_s, planner, lengths))

    def drop(self, number: int) -> None:
        self.told.append(Drop(number))

    def kill(self, detail: str) -> None:
        self.killed.append(detail)

    def submitted(self) -> list[int]:
        return [told.number for told in self.told if isinstance(told, Submit)]

    def runs(self) -> list[int]:
        return [call.number for call in self.told if isinstance(call, Run)]


# What it says


@dataclass(frozen=True)
class Tokenised:
    number: int
    prompt_tokens: int
    max_response_tokens: int = 0
    cached_tokens: int = 0

    def tell(self, dispatcher: Dispatcher) -> None:
        dispatcher.own.on_tokenised(
            self.number, self.prompt_tokens, self.max_response_tokens, self.cached_tokens
        )


@dataclass(frozen=True)
class Cached:
    number: int
    cached_tokens: int

    def tell(self, dispatcher: Dispatcher) -> None:
        dispatcher.own.on_cached(self.number, self.cached_tokens)


@dataclass(frozen=True)
class Rejected:
    number: int
    detail: str

    def tell(self, dispatcher: Dispatcher) -> None:
        dispatcher.own.on_rejected(self.number, self.detail)


@dataclass(frozen=True)
class Planned:
    number: int
    bill: Bill
    predicted_lengths: tuple[float, ...] = ()

    def tell(self, dispatcher: Dispatcher) -> None:
        dispatcher.own.on_planned(self.number, self.bill, self.predicted_lengths)


@dataclass(frozen=True)
class Text:
    number: int
    text: str
    response_tokens: int
    thinking_tokens: int = 0
    closing: Closing | None = None

    def tell(self, dispatcher: Dispatcher) -> None:
        dispatcher.own.on_text(
            self.number, self.text, self.response_tokens, self.thinking_tokens, self.closing
        )


@dataclass(frozen=True)
class Finished:
    number: int
    finish_reason: FinishReason | None
    bill: Bill
    confidence: Confidence = NOT_KNOWN

    def tell(self, dispatcher: Dispatcher) -> None:
        dispatcher.own.on_finished(self.number, self.finish_reason, self.bill, self.confidence)


@dataclass(frozen=True)
class Faulted:
    number: int
    detail: str

    def tell(self, dispatcher: Dispatcher) -> None:
        dispatcher.own.on_faulted(self.number, self.detail)


Said = Tokenised | Cached | Rejected | Planned | Text | Finished | Faulted
