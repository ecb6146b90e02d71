"""Keeps one answer within a grammar, token by token, and knows at any moment how to close it."""

import time
from collections.abc import Callable

import numpy as np
import torch

from timebill_ros.core.constraint import Closing
from timebill_ros.inference.constraint.closer import Closer, JsonCloser
from timebill_ros.inference.constraint.closing_check import ClosingCheck
from timebill_ros.inference.constraint.grammar import Grammar, error_of
from timebill_ros.inference.constraint.regex_closer import RegexCloser
from timebill_ros.inference.constraint.stopwatch import Stopwatch
from timebill_ros.inference.constraint.vocabulary import LIMITS
from timebill_ros.inference.constraint.written import Written
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty
from timebill_ros.inference.step.answer_steps import AnswerSteps
from timebill_ros.inference.text_stream import TextStream


class BrokenConstraintError(RuntimeError):
    """The matcher cannot go on: the constraint explodes only later; one sentence for a person."""


class Guide:
    """The state of one answer under a grammar.

    Arguments:
        grammar: what it must obey.
        stream: knows whether the model still thinks. Until it does not, tokens are free.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        grammar: Grammar,
        stream: TextStream,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._stop_ids = grammar.vocabulary.stop_token_ids
        self._matcher = grammar.start.deep_copy()
        self._stream = stream
        self._written = Written(grammar.vocabulary)
        self._pieces: list[str] = []
        self._closer = _closer(grammar)
        self._check = ClosingCheck(grammar.vocabulary, grammar.start, self._written)
        self.is_answering = False
        self.forced_tokens = 0
        self.masks = Stopwatch(clock)
        """Choosing a token that is allowed, and taking it."""
        self.forcing = Stopwatch(clock)
        self.closings = Stopwatch(clock)

    @property
    def time_s(self) -> float:
        """All time of the constraint."""
        return self.masks.total_s + self.forcing.total_s + self.closings.total_s

    def forced(self) -> list[int]:
        """Take the tokens that the grammar leaves no choice about, and return them."""
        if not self.is_answering and self._stream.is_thinking:
            return []
        self.is_answering = True
        with self.forcing:
            if self._matcher.is_stopped() and not self._matcher.is_error():
                ids = [min(self._stop_ids)]  # the document is complete, and nothing may follow
            else:
                ids = self._matcher.compute_ff_tokens()
                if ids and not self._matcher.consume_tokens(ids):
                    self._raise()
                self._took(ids)
        self.forced_tokens += len(ids)
        return ids

    def next(
        self,
        logits: torch.Tensor,
        penalty: RepetitionPenalty,
        probability: MeanProbability,
        step: AnswerSteps,
        interrupt: Interrupt,
    ) -> list[int]:
        """Take the token that the model likes best of those that the grammar allows.

        Arguments:
            logits: (vocabulary,); they may be written to.
        """
        probability.see(logits)
        token_id = self._chosen(penalty.apply(logits))
        probability.chose(token_id)
        return [token_id]

    def _chosen(self, logits: torch.Tensor) -> int:
        token_id = int(logits.argmax())
        if not self.is_answering:
            if self._stream.goes_on_thinking(token_id):
                return token_id
            self.is_answering = True
        with self.masks:
            if not self._takes(token_id):
                token_id = self._best_allowed(logits)
                if not self._takes(token_id):
                    self._raise()
            if token_id not in self._stop_ids:
                self._took([token_id])
        return token_id

    def piece(self) -> str:
        """Return the text of the next token that was taken; '' for a stop token."""
        return self._pieces.pop(0) if self._pieces else ''

    @property
    def closing(self) -> Closing | None:
        """Makes a document of the answer up to the last token that was taken.

        While tokens are left whose text has not been asked for, it is what it was.
        """
        if not self._pieces and self.is_answering:
            with self.closings:
                self._closer.update(self._written.text, self._matcher, self._check)
        return self._closer.closing

    def _takes(self, token_id: int) -> bool:
        """Return whether a token may come. If so, the matcher takes it, except a stop token."""
        if token_id in self._stop_ids:
            return bool(self._matcher.is_accepting())
        return self._matcher.try_consume_tokens([token_id]) == 1

    def _best_allowed(self, logits: torch.Tensor) -> int:
        """Return the likeliest of the tokens that may come."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        ids = np.flatnonzero(np.unpackbits(mask, count=len(logits), bitorder='little'))
        if self._matcher.is_error() or not len(ids):
            self._raise()
        return int(ids[logits.cpu().numpy()[ids].argmax()])

    def _took(self, ids: list[int]) -> None:
        self._pieces += [self._written.add(token_id) for token_id in ids]

    def _raise(self) -> None:
        raise BrokenConstraintError(
            f'constraint is too complex for {LIMITS}: the answer cannot go on after '
            f'{len(self._written.ids)} tokens ({error_of(self._matcher)})'
        )


def _closer(grammar: Grammar) -> Closer:
    if grammar.closings is None or grammar.shortest is None:
        return RegexCloser(grammar.vocabulary)
    shortest = grammar.shortest
    before = Closing(0, shortest.text, shortest.filled, shortest.invented)
    return JsonCloser(grammar.closings, before)
