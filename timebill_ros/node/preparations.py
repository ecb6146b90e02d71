"""What askers have had prepared, and who waits to be told of it."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from timebill_ros.worker.protocol import Prepare, Prepared, ToWorker

PARAMETER = 'parameter system_prompt'
_OF_ASKER = 'asker '
_MOST_ASKERS = 64


@dataclass
class Preparations:
    """Kept by the node, so that a worker that replaces another prepares the same. Not locked.

    Arguments:
        send: takes messages for the worker.
    """

    send: Callable[[ToWorker], None]
    _held: dict[str, Prepare] = field(default_factory=dict)
    _waiting: dict[int, Callable[[Prepared], None]] = field(default_factory=dict)
    _asked: dict[int, Prepare] = field(default_factory=dict)
    _numbers: 'itertools.count[int]' = field(default_factory=itertools.count)

    def prepare(
        self, asker: str, system_prompt: str, context: str, done: Callable[[Prepared], None]
    ) -> str:
        """Have a context prepared for an asker; return '', or why not."""
        holder = f'{_OF_ASKER}{asker}'
        holders = {*self._held, *(message.holder for message in self._asked.values()), holder}
        if len(holders - {PARAMETER}) > _MOST_ASKERS:
            return f'{_MOST_ASKERS} other askers have prepared a context, which is the most'
        self._ask(holder, system_prompt, context, done)
        return ''

    def set_system_prompt(self, system_prompt: str) -> None:
        """Have the node's own system prompt prepared, or dropped if it is empty."""
        if system_prompt or PARAMETER in self._held:
            self._ask(PARAMETER, system_prompt, '', None)

    def told(self, prepared: Prepared) -> None:
        """Take what has become of a preparation."""
        message = self._asked.pop(prepared.number, None)
        if message is not None and not prepared.detail:
            self._held[message.holder] = message
            if not (message.system_prompt or message.context):
                del self._held[message.holder]
        done = self._waiting.pop(prepared.number, None)
        if done is not None:
            done(prepared)

    def lost(self, detail: str) -> None:
        """End what is not prepared yet."""
        for number in list(self._asked):
            self.told(Prepared(number, detail))

    def again(self) -> None:
        """Have all that was held prepared by a new worker."""
        for message in list(self._held.values()):
            self._ask(message.holder, message.system_prompt, message.context, None)

    def _ask(
        self,
        holder: str,
        system_prompt: str,
        context: str,
        done: Callable[[Prepared], None] | None,
    ) -> None:
        message = Prepare(next(self._numbers), holder, system_prompt, context)
        self._asked[message.number] = message
        if done is not None:
            self._waiting[message.number] = done
        self.send(message)
