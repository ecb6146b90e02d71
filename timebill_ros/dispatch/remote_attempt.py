"""What a remote engine has done for one query so far."""

from dataclasses import dataclass, field

from timebill_ros.core.bill import Bill
from timebill_ros.core.outcome import NOT_KNOWN, Answer, Confidence, FinishReason, Miss
from timebill_ros.dispatch.answer_text import AnswerText


@dataclass(frozen=True)
class RemoteEnd:
    """How a remote answer has ended.

    Arguments:
        finish_reason: EOS, or LENGTH: the server cut it.
        bill: the tokens that the server has counted.
        at_s: when [s].
        confidence: which choice it is.
    """

    finish_reason: FinishReason
    bill: Bill
    at_s: float
    confidence: Confidence = NOT_KNOWN


@dataclass
class RemoteAttempt:
    """One request to a remote engine. Changed under the dispatcher's lock only.

    Arguments:
        from_s: when it was sent [s].
        may_switch: the own model may still take over (PREFER).
        is_race: the own model answers at the same time, and neither has won (RACE).
        text: the answer so far.
        tokens: its length so far.
        first_at_s: when its first token came [s]; None: none has.
        cut: its end, if the server cut it: no whole answer, but it may be the best there will be.
        own: in a race, the own model's answer; it is held until the remote one is there, or cannot
            be in time. None: there is none yet.
        own_miss: why the own model cannot answer; None: it may, or it is not to.
    """

    from_s: float
    may_switch: bool = False
    is_race: bool = False
    text: AnswerText = field(default_factory=AnswerText)
    tokens: int = 0
    first_at_s: float | None = None
    cut: RemoteEnd | None = None
    own: Answer | None = None
    own_miss: Miss | None = None

    def written(self, text: str, tokens: int, now_s: float) -> None:
        """Take more text, and the length so far."""
        if self.first_at_s is None:
            self.first_at_s = now_s
        self.text.add(text)
        self.tokens = tokens
