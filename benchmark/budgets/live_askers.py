"""The nodes of `make bench-live`, and who asks them."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from rclpy.node import Node

from benchmark.budgets.tasks import TASKS
from benchmark.budgets.tasks.task import Item
from timebill_ros.client.reply import Reply
from timebill_ros.client.timebill_client import TimeBillClient

MADE_UP = TASKS[:4]
ENOUGH_S = 60.0
WARM_UP = 'warm-up'
SHARES = (0.4, 0.6, 0.8)
"""Of the unevicted answers, that come within each budget."""
ASKED = tuple((task, share) for task in MADE_UP for share in SHARES)
CLOSED = 'closed_loop'
ARMS: Mapping[str, tuple[str, ...]] = {
    'vanilla': ('eviction_policy:=off',),
    'alpha_50': ('eviction_policy:=fixed', 'fixed_eviction_ratio:=0.5'),
    'timebill': ('eviction_policy:=timebill',),
    'expected': ('eviction_policy:=expected',),
    CLOSED: ('eviction_policy:=closed_loop',),
}
"""The parameters of the node of each arm."""


@dataclass(frozen=True)
class Given:
    """What a node gave for an item.

    Arguments:
        score: in [0, 1]; 0 if it came late.
        completed: 1.0 if it came in time.
        total_s: from the question to the reply [s].
        eviction_ratio: alpha.
    """

    score: float
    completed: float
    total_s: float
    eviction_ratio: float


class Askers:
    """Asks the nodes of all arms; each task is an asker, with each of the budgets.

    Arguments:
        node: the askers', which is spun.
    """

    def __init__(self, node: Node) -> None:
        self._clients = {
            (arm, asker): TimeBillClient(node, f'/{arm}/timebill', asker)
            for arm in ARMS
            for asker in (WARM_UP, *(asker_of(task.name, share) for task, share in ASKED))
        }

    def prepare(self, arm: str, item: Item) -> None:
        """Have an item's context read, and wait until it is; whoever asks has it read then."""
        context, _ = parts(item)
        done = threading.Event()
        future = self._clients[arm, WARM_UP].prepare(context=context)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(ENOUGH_S) and future.result().success, future.result()

    def ask(self, arm: str, item: Item, share: float | None, budget_s: float) -> Given:
        """Ask about an item, and wait for the reply.

        Arguments:
            share: of the answers that come within the budget; it is part of the asker's name.
                None: nobody is to learn from it.
        """
        context, question = parts(item)
        reply = (
            self._clients[arm, WARM_UP if share is None else asker_of(item.task, share)]
            .ask(question, budget_s, context=context, max_new_tokens=item.max_new_tokens)
            .wait()
        )
        if reply.is_local:
            raise RuntimeError(f'the node of {arm} is gone: {reply.detail}')
        return _given(item, reply)

    def wait_until_ready(self, arm: str, limit_s: float = 300.0) -> None:
        """Wait until an arm's node answers."""
        end_s = time.monotonic() + limit_s
        client = self._clients[arm, WARM_UP]
        while not (reply := client.ask('Say yes.', 30.0, max_new_tokens=2).wait()).answered:
            if time.monotonic() > end_s:
                raise RuntimeError(f'the node of {arm} is not ready: {reply.detail}')
            time.sleep(0.5)

    def close(self) -> None:
        """Remove the clients."""
        for client in self._clients.values():
            client.close()


def asker_of(task: str, share: float) -> str:
    """Return who asks the items of a task within a budget."""
    return f'{task} {share:g}'


def parts(item: Item) -> tuple[str, str]:
    """Return an item's context, and the question: its last line."""
    context, _, question = item.prompt.rpartition('\n')
    return context, question


def _given(item: Item, reply: Reply) -> Given:
    bill = reply.message.bill
    return Given(
        item.score(reply.text) if reply.in_time else 0.0,
        float(reply.in_time),
        bill.time_budget - bill.slack,
        bill.eviction_ratio,
    )
