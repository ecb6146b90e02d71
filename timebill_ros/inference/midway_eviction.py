"""Evicts in the middle of an answer, as soon as that is worth it."""

from timebill_ros.core.closed_loop import ClosedLoop
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.bill_recorder import BillRecorder
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.step.answer_steps import PassCount


class MidwayEviction:
    """Looks at one answer every few tokens, until its prompt is evicted.

    Arguments:
        prefilled: what the answer is decoded from.
        loop: decides; None: nothing is evicted any more.
        record: knows how far the answer is, and bills the eviction.
        deadline: of the answer.
        passes: of the answer through the model, counted by its steps.
    """

    def __init__(
        self,
        engine: Engine,
        prefilled: Prefilled,
        loop: ClosedLoop | None,
        record: BillRecorder,
        deadline: Deadline,
        passes: PassCount,
    ) -> None:
        self._engine = engine
        self._prefilled = prefilled
        self._loop = loop
        self._record = record
        self._deadline = deadline
        self._passes = passes
        self._next_look = 0 if loop is None else loop.next_look(0)

    def evict_if_worth_it(self) -> None:
        """Evict now, if that is expected to give a better answer than to go on without.

        Call it between two tokens.

        Raises:
            InterruptedGenerationError: the interrupt of the prefill was due.
        """
        written = self._record.response_tokens
        if self._loop is None or written < self._next_look:
            return
        self._next_look = self._loop.next_look(written)
        kept = self._loop.kept_tokens(
            written, self._record.decode_s, self._deadline.remaining_s(), self._passes.steps
        )
        if kept < self._loop.prompt_tokens:
            self._record.evicting(kept)
            self._engine.evict(self._prefilled, kept)
            self._record.evicted()
            self._loop = None
