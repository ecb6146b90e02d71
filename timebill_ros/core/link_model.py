"""How long a remote engine takes, and whether to trust it: learned while it is used. Pure."""

import enum
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

EXCHANGES = 20
"""Exchanges that are remembered."""
FEW = 5
"""With fewer exchanges of about a prompt's length, those of all lengths count."""
FIRST_DISTRUST_S = 1.0
LONGEST_DISTRUST_S = 60.0
PROBE_PERIOD_S = 10.0
"""A link that is slow is tried so often, with the own model behind it: it may be quick again."""
TRUSTED_AFTER = 3
"""Answers in a row that a link gives, one query at a time, before it is trusted again."""


class LinkState(enum.Enum):
    """Where the link stands."""

    OK = 'OK'
    SLOW = 'slow'
    DOWN = 'down'


@dataclass(frozen=True)
class LinkReport:
    """How a link does, for a person.

    Arguments:
        fault: the last one; '': none since it is trusted.
        requests: sent within the last hour, probes included.
    """

    state: LinkState
    fault: str
    requests: int


@dataclass(frozen=True)
class Exchange:
    """The times of one query at the remote engine.

    Arguments:
        prompt_bytes: of what it read.
        first_token_s: until its first token [s]; infinite: none came.
        token_s: for each further token [s].
    """

    prompt_bytes: int
    first_token_s: float
    token_s: float = 0.0


class LinkModel:
    """The last exchanges with a remote engine, and its outages.

    One fault, and it is distrusted: for a second, and for twice as long after each further one.
    Then it gets one query at a time, and is trusted after three answers in a row.
    """

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=EXCHANGES)
        self._faults = 0
        self._answers = TRUSTED_AFTER
        self._distrusted_until_s = self._asked_s = -math.inf
        self.is_slow = False
        self.fault = ''

    def asked(self, now_s: float) -> None:
        """Learn that it has been asked."""
        self._asked_s = now_s

    def may_be_probed(self, in_flight: int, now_s: float) -> bool:
        """Return whether it is tried although it is slow.

        Arguments:
            in_flight: queries that it is answering.
        """
        return in_flight == 0 and now_s - self._asked_s >= PROBE_PERIOD_S

    def state(self, now_s: float) -> LinkState:
        """Return where the link stands."""
        if now_s < self._distrusted_until_s or (self._faults and not self._answers):
            return LinkState.DOWN
        return LinkState.SLOW if self.is_slow else LinkState.OK

    @property
    def is_trusted(self) -> bool:
        """Whether it has answered often enough since its last outage."""
        return self._answers == TRUSTED_AFTER

    @property
    def distrusted_until_s(self) -> float:
        """When it may be tried again after its last fault; -inf: it is trusted."""
        return self._distrusted_until_s

    def answered(self, exchange: Exchange) -> None:
        """Learn from an answer."""
        self._exchanges.append(exchange)
        self.probed()

    def probed(self) -> None:
        """Learn that it has answered. How long a probe takes tells nothing of queries."""
        self._answers = min(TRUSTED_AFTER, self._answers + 1)
        if self.is_trusted:
            self._faults, self.fault = 0, ''
            self._distrusted_until_s = -math.inf

    def cut_off(self, exchange: Exchange) -> None:
        """Learn the times of an answer that had begun, and did not end in time."""
        self._exchanges.append(exchange)

    def not_answered(self, prompt_bytes: int, waited_s: float, now_s: float) -> None:
        """Learn that nothing came for so long [s]: it counts as never, and perhaps as a fault.

        A wait that is shorter than usual tells nothing: its query had no time.
        """
        known = sorted(exchange.first_token_s for exchange in self._exchanges)
        usual_s = known[len(known) // 2] if known else 0.0
        if waited_s < usual_s < math.inf:
            return
        self._exchanges.append(Exchange(prompt_bytes, math.inf))
        if waited_s > 3.0 * usual_s:
            self.failed(f'it said nothing for {waited_s:.3f} s', now_s)

    def failed(self, fault: str, now_s: float) -> None:
        """Learn of a fault."""
        self.fault = fault
        if now_s >= self._distrusted_until_s:  # else it is the same outage
            self._faults += 1
        self._answers = 0
        distrust_s = min(LONGEST_DISTRUST_S, FIRST_DISTRUST_S * 2 ** min(10, self._faults - 1))
        self._distrusted_until_s = max(self._distrusted_until_s, now_s + distrust_s)

    def may_be_asked(self, in_flight: int, now_s: float) -> bool:
        """Return whether it is trusted with one more query.

        Arguments:
            in_flight: queries that it is answering.
        """
        if now_s < self._distrusted_until_s:
            return False
        return self.is_trusted or in_flight == 0

    def probability(self, prompt_bytes: int, lengths: Sequence[int], left_s: float) -> float:
        """Return how likely an answer comes in so much time, in [0, 1]; 1.0: nothing is known.

        Arguments:
            lengths: equally likely lengths of the answer [tokens].
            left_s: for all of it [s].
        """
        exchanges = self._near(prompt_bytes)
        if not exchanges:
            return 1.0
        in_time = sum(
            exchange.first_token_s + exchange.token_s * (length - 1) <= left_s
            for exchange in exchanges
            for length in lengths
        )
        return in_time / (len(exchanges) * len(lengths))

    def rest_probability(self, lengths: Sequence[int], tokens: int, left_s: float) -> float:
        """Return how likely the rest of an answer that has begun comes in so much time.

        Arguments:
            lengths: equally likely lengths of the whole answer [tokens].
            tokens: so many are there.
            left_s: for the others [s].
        """
        longer = [length - tokens for length in lengths if length > tokens] or [1]
        known = [e.token_s for e in self._exchanges if math.isfinite(e.first_token_s)]
        if not known:
            return 0.0
        in_time = sum(token_s * more <= left_s for token_s in known for more in longer)
        return in_time / (len(known) * len(longer))

    def predicted_s(self, prompt_bytes: int, lengths: Sequence[int]) -> float:
        """Return the median time of an answer [s]; 0.0: nothing is known."""
        length = sorted(lengths)[len(lengths) // 2]
        times = sorted(
            exchange.first_token_s + exchange.token_s * (length - 1)
            for exchange in self._near(prompt_bytes)
            if math.isfinite(exchange.first_token_s)
        )
        return times[len(times) // 2] if times else 0.0

    def _near(self, prompt_bytes: int) -> list[Exchange]:
        """Return the exchanges of prompts of about this length; of all, if there are few."""
        near = [
            exchange
            for exchange in self._exchanges
            if 0.5 * prompt_bytes <= exchange.prompt_bytes <= 2.0 * prompt_bytes
        ]
        return near if len(near) >= FEW else list(self._exchanges)
