"""Asks the node. Every query gets a reply."""

import contextlib
import itertools
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node

from timebill_ros.client.answer_form import answer_form
from timebill_ros.client.connection import Connection
from timebill_ros.client.context_preparer import ContextPreparer
from timebill_ros.client.local_miss import local_miss, why_cancelled_here, why_given_up
from timebill_ros.client.pending_question import PendingQuestion
from timebill_ros.client.question_check import check_policies, check_question, turns_of
from timebill_ros.client.reply import Reply, ReplyFuture
from timebill_ros.msg import DeadlineMiss, Query, Response, ResponseChunk

_PERIOD_S = 0.05


class TimeBillClient(ContextPreparer):
    """Asks the node `timebill`. You may call its methods from any thread and any callback.

    Spin the asker's node, with any executor, to receive replies. A local miss (no node is there,
    or it died) needs no spinning.

    Arguments:
        node: the asker's node; the client adds a publisher and subscriptions to it.
        server: name of the node that answers.
        asker: name of the asker in each query; None: the full name of the asker's node.
    """

    def __init__(self, node: Node, server: str = '/timebill', asker: str | None = None) -> None:
        self._node = node
        self._asker = node.get_fully_qualified_name() if asker is None else asker
        # Askers in other processes may have the same name. Their ids must differ nevertheless.
        self._prefix, self._numbers = uuid.uuid4().hex[:12], itertools.count(1)
        self._changed = threading.Condition()
        self._pending: dict[str, PendingQuestion] = {}
        self._unsent: deque[PendingQuestion] = deque()
        self._is_closed = False
        self._connection = Connection(node, server, self._on_reply, self._on_chunk)
        self._keeper = threading.Thread(target=self._keep, name='timebill_client', daemon=True)
        self._keeper.start()

    def ask(
        self,
        prompt: str,
        time_budget: float,
        *,
        system_prompt: str = '',
        context: str = '',
        history: Sequence[tuple[str, str]] = (),
        max_new_tokens: int = 0,
        overrun_policy: int = Query.DEFAULT,
        remote_policy: int = Query.DEFAULT,
        json_schema: dict[str, Any] | type | None = None,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        fill_missing: bool = False,
        on_chunk: Callable[[str], None] | None = None,
    ) -> ReplyFuture:
        """Send a query; return at once with the future of its Reply.

        The time budget starts now. The future always resolves: with the node's reply, or with a
        local miss at the deadline if the query was not sent, else 1 s later (SKIP_NEXT: 60 s).

        Arguments:
            prompt: the text to answer.
            time_budget: time from now to the deadline [s].
            system_prompt: the instruction before the prompt; '': the node's parameter.
            context: text before the prompt, in the same turn. Queries about the same context read
                it once; prepare() reads it before you ask.
            history: the conversation so far, oldest first: ('user', text) or ('assistant', text).
            max_new_tokens: greatest length of the answer [tokens]; 0: the node's parameter.
            overrun_policy, remote_policy: constants of the message Query.
            json_schema: a JSON schema or a dataclass; `reply.parsed` is the object or instance.
            regex: the whole answer matches this regular expression.
            choices: the answer is one of these; `reply.choice` is its index.
            fill_missing: if the answer is cut off, missing required values may be invented.
            on_chunk: called in the executor with the pieces of the answer, in order. Together
                they are its text; the last one comes before the future resolves.

        Raises:
            ValueError: an argument is outside its bounds.
            RuntimeError: the client is closed.
        """
        deadline_s = time.monotonic() + time_budget
        form = answer_form(json_schema, regex, choices, fill_missing)
        check_question(prompt, system_prompt, context, time_budget, max_new_tokens)
        check_policies(overrun_policy, remote_policy)
        query = Query(
            asker=self._asker,
            id=f'{self._prefix}-{next(self._numbers)}',
            prompt=prompt,
            system_prompt=system_prompt,
            context=context,
            history=turns_of(history),
            max_new_tokens=max_new_tokens,
            overrun_policy=overrun_policy,
            remote_policy=remote_policy,
        )
        form.write(query)
        query.header.stamp = self._node.get_clock().now().to_msg()
        seconds, nanoseconds = divmod(max(1, round(time_budget * 1e9)), 10**9)
        query.time_budget.sec, query.time_budget.nanosec = seconds, nanoseconds
        future = ReplyFuture(query.id, self._node.executor)
        pending = PendingQuestion(query, future, on_chunk, deadline_s, form)
        with self._changed:
            if self._is_closed:
                raise RuntimeError('the client is closed')
            self._pending[query.id] = pending
            self._unsent.append(pending)
            self._send()
            self._changed.notify()
        return future

    def cancel(self, future: ReplyFuture) -> None:
        """Withdraw a query; return at once. If it has its reply already, nothing happens.

        The future still resolves: with CANCELLED from the node, or with a reply that was faster.
        If the query was not sent, or the node's service is not there, it resolves at once, with
        a local CANCELLED.

        Arguments:
            future: as ask() returned it.
        """
        with self._changed:
            pending = self._pending.get(future.query_id)
            if pending is None:
                return
            is_given_up = not self._withdraw(pending)
            if is_given_up:
                del self._pending[future.query_id]
        if is_given_up:
            self._miss(pending, DeadlineMiss.CANCELLED, why_cancelled_here(pending))

    def close(self) -> None:
        """End open queries as CANCELLED, and remove the client from its node."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            given_up = list(self._pending.values())
            self._pending.clear()
            self._changed.notify()
        if self._keeper is not threading.current_thread():
            self._keeper.join(timeout=1.0)
        for pending in given_up:
            self._miss(pending, DeadlineMiss.CANCELLED, 'the client was closed')
        self._connection.close()

    # Callbacks of the executor

    def _on_reply(self, message: Response | DeadlineMiss) -> None:
        with self._changed:
            pending = self._pending.pop(message.query_id, None)
        if pending is not None:
            reply = Reply(message, form=pending.form)
            try:
                pending.hear_rest(reply.text)
            finally:  # also if the asker's callback raises
                self._resolve(pending, reply)

    def _on_chunk(self, chunk: ResponseChunk) -> None:
        with self._changed:
            pending = self._pending.get(chunk.query_id)
        if pending is not None:
            pending.hear(chunk.text)

    # The keeper's thread: sends what waits for the node, ends what no reply will come for

    def _keep(self) -> None:
        while True:
            with self._changed:
                if self._is_closed:
                    return
                self._send()
                self._withdraw_again()
                given_up = self._take_given_up()
                if not given_up:
                    self._changed.wait(self._wait_s())
            for pending in given_up:
                self._give_up(pending)

    def _take_given_up(self) -> list[PendingQuestion]:
        now_s = time.monotonic() if self._node.context.ok() else math.inf
        given_up = [pending for pending in self._pending.values() if pending.due_s <= now_s]
        for pending in given_up:
            del self._pending[pending.query.id]
        return given_up

    def _wait_s(self) -> float | None:
        """Return the time to the next action [s]; None: wait until a question is asked."""
        if not self._pending and self._connection.is_ready():
            return None
        due_s = min((pending.due_s for pending in self._pending.values()), default=math.inf)
        return max(0.0, min(_PERIOD_S, due_s - time.monotonic()))

    def _give_up(self, pending: PendingQuestion) -> None:
        if not self._node.context.ok():
            self._miss(pending, DeadlineMiss.CANCELLED, 'ROS was shut down')
        else:
            self._miss(pending, *why_given_up(pending, self._connection.why_not_ready))

    # Ours

    def _send(self) -> None:
        """Send the unsent questions if the node is there. Call it with the lock held."""
        while self._unsent and self._connection.is_ready():
            pending = self._unsent.popleft()
            if pending.query.id in self._pending:
                pending.is_sent = True
                self._connection.publish(pending.query)

    def _withdraw(self, pending: PendingQuestion) -> bool:
        """Request to cancel a question; return whether it was sent. Call it with the lock held."""
        if pending.is_sent:
            pending.withdrawal = self._connection.cancel(self._asker, pending.query.id)
        return pending.withdrawal is not None

    def _withdraw_again(self) -> None:
        """Repeat the requests that found no question: they arrived before it, or too late.

        Call it with the lock held.
        """
        for pending in self._pending.values():
            if pending.is_withdrawal_in_vain:
                self._withdraw(pending)

    def _miss(self, pending: PendingQuestion, reason: int, detail: str) -> None:
        """Resolve a question with a local miss."""
        stamp = self._node.get_clock().now().to_msg()
        self._resolve(pending, local_miss(pending, reason, detail, stamp))

    def _resolve(self, pending: PendingQuestion, reply: Reply) -> None:
        """Resolve a future. Call it without the lock: its callbacks may ask again."""
        # Humble's executors raise these once they are shut down; nothing is left to run then.
        with contextlib.suppress(RuntimeError, AttributeError):
            pending.future.set_result(reply)
            executor = self._node.executor
            if executor is not None:  # a coroutine that awaits the future looks when it is woken
                executor.wake()
