"""The asker of a benchmark: its questions, its replies, and its process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Ask:
    """One query, as an asker asks it.

    Arguments:
        id: its identity; used once in a run.
        group: a name under which it is counted.
        prompt: the question.
        time_budget_s: from the stamp on [s].
        max_new_tokens: bound of the answer's length; 0: the node's parameter.
        overrun_policy: as in the Query message.
        age_s: how long before its publication it is stamped [s].
        at_s: how long after the first of those that are asked together it is published [s].
        as_goal: it is sent as a goal of the action; else it is published on the topic.
        cancel_after_s: how long after its publication the goal is cancelled [s]; negative: never.
        context: as in the Query message.
        asker: as in the Query message; empty: the name of the process's asker.
    """

    id: str
    group: str
    prompt: str
    time_budget_s: float
    max_new_tokens: int = 0
    overrun_policy: int = 0
    age_s: float = 0.0
    at_s: float = 0.0
    as_goal: bool = False
    cancel_after_s: float = -1.0
    context: str = ''
    asker: str = ''


@dataclass(frozen=True)
class Reply:
    """A terminal reply as the asker saw it; all times in ROS time [ns].

    Arguments:
        outcome: 'ANSWERED', or the name of the miss's reason.
        stamp_ns: its header.stamp: when the node published it.
        source_ns: when the middleware wrote it; 0: not told.
        arrived_ns: when the middleware of the asker's process had it; 0: not told.
        received_ns: when the asker's callback had it.
        detail: the miss's sentence.
        deadline_met, finish_reason: as in Response; False and 0 for a miss.
        chunk_count: as in the reply.
        total_s: its bill's time from the start of the prefill to the last token [s].
    """

    outcome: str
    stamp_ns: int
    source_ns: int
    arrived_ns: int
    received_ns: int
    detail: str = ''
    deadline_met: bool = False
    finish_reason: int = 0
    chunk_count: int = 0
    total_s: float = 0.0


@dataclass(frozen=True)
class Result:
    """A result of a goal as the asker saw it.

    Arguments:
        status: of the goal, as action_msgs/GoalStatus has it.
        outcome: 'ANSWERED', or the name of the miss's reason.
        received_ns: when the asker's callback had it, ROS time [ns].
        phase: how far the query had come: 'waiting', 'prefill' or 'decode'.
    """

    status: int
    outcome: str
    received_ns: int
    phase: str


@dataclass
class Record:
    """A query that was sent, and all that came back for it; all times in ROS time [ns].

    Arguments:
        batch_size: how many were published together with it; 1: it was asked by itself.
        sent_ns: just before it was published.
        deadline_ns: its stamp and its budget.
        chunks: number of chunks that were received.
        chunks_rise: whether they came in their order, the first one being number 0.
        last_chunk_ns: when the middleware wrote the last of them; 0: not told, or none.
        as_goal: it was sent as a goal, and should have one result.
    """

    id: str
    group: str
    batch_size: int
    sent_ns: int
    deadline_ns: int
    replies: list[Reply] = field(default_factory=list)
    chunks: int = 0
    chunks_rise: bool = True
    last_chunk_ns: int = 0
    as_goal: bool = False
    results: list[Result] = field(default_factory=list)


class Asker:
    """A process of its own that asks over the public topics, and listens.

    Use as a context manager.

    Arguments:
        environment: of the process; the node's ROS domain is in it.
        asker: who asks.
    """

    def __init__(self, environment: dict[str, str], asker: str = 'benchmark') -> None:
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'benchmark.deadlines.asker_process', asker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
        )

    def __enter__(self) -> 'Asker':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process with SIGKILL, whatever it is doing."""
        self._process.kill()
        self._process.communicate()

    def ask(self, asks: list[Ask], wait: bool = True) -> list[str]:
        """Publish queries, each at its time; return how each has ended, '' where nothing came.

        Arguments:
            wait: for the replies, until some seconds after the last deadline; else return at once.
        """
        return self._call({'asks': [asdict(ask) for ask in asks], 'wait': wait})

    def time(self, ask: Ask) -> float:
        """Ask a query that must be answered; return the time from sending to the reply [s]."""
        before_s = time.monotonic()
        (outcome,) = self.ask([ask])
        if outcome != 'ANSWERED':
            raise RuntimeError(f'{ask.id} was to be answered, and is {outcome or "lost"}')
        return time.monotonic() - before_s

    def wait(self) -> None:
        """Wait until all that has been asked is replied to, or should have been."""
        self._call({'wait_for_all': True})

    def set_parameters(self, values: Mapping[str, object]) -> None:
        """Set parameters of the node, which must accept them."""
        refusal = self._call({'parameters': values})
        if refusal:
            raise RuntimeError(f'the node refuses {values}: {refusal}')

    def start_preparing(self, contexts: Sequence[str], pause_s: float) -> None:
        """Have the node prepare contexts from now on, one after the other.

        Arguments:
            pause_s: between the end of one and the next [s].
        """
        self._call({'prepare': contexts, 'pause_s': pause_s})

    def stop_preparing(self) -> int:
        """Prepare no more; return how many were read."""
        return self._call({'stop_preparing': True})

    def overheard(self) -> dict[str, int]:
        """Return how many terminal replies there were to each query of other askers."""
        return self._call({'overheard': True})

    def finish(self) -> tuple[list[Record], int]:
        """Listen for a few more seconds; return all records, and the number of stray replies."""
        answer = self._call({'finish': True})
        records = [
            Record(
                **{
                    **fields,
                    'replies': [Reply(**reply) for reply in fields['replies']],
                    'results': [Result(**result) for result in fields['results']],
                }
            )
            for fields in answer['records']
        ]
        return records, answer['stray']

    def _call(self, command: dict[str, object]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f'the asker process ended, status {self._process.wait()}')
        return json.loads(line)
