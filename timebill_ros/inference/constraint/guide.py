"""Keeps one answer within a grammar, token by token, and knows at any moment how to close it."""

import codecs
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from timebill_ros.core.constraint import Closing
from timebill_ros.inference.constraint.closer import Closer, JsonCloser, RegexCloser
from timebill_ros.inference.constraint.grammar import Grammar, error_of
from timebill_ros.inference.constraint.vocabulary import LIMITS
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty
from timebill_ros.inference.step.decoding_step import DecodingStep
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
        self._grammar = grammar
        self._tokens: Any = grammar.vocabulary.tokens
        self._stop_ids = grammar.vocabulary.stop_token_ids
        self._matcher = grammar.start.deep_copy()
        self._stream = stream
        self._clock = clock
        self._decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self._pieces: list[str] = []
        self._lengths: list[int] = []
        """Characters of the answer after each token; -1 where a character is not complete."""
        self._text = ''
        self._closer = _closer(grammar)
        self.is_answering = False
        self.forced_tokens = 0
        self.passes = 0
        self.time_s = 0.0

    def forced(self) -> list[int]:
        """Take the tokens that the grammar leaves no choice about, and return them."""
        if not self.is_answering and self._stream.is_thinking:
            return []
        self.is_answering = True
        with self._timed():
            if self._matcher.is_stopped() and not self._matcher.is_error():
                ids = [min(self._stop_ids)]  # the document is complete, and nothing may follow
            else:
                ids = self._matcher.compute_ff_tokens()
                self._take(ids)
        self.forced_tokens += len(ids)
        return ids

    def next(
        self,
        logits: torch.Tensor,
        penalty: RepetitionPenalty,
        probability: MeanProbability,
        step: DecodingStep,
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
        with self._timed():
            if not self._may_come(token_id):
                allowed = self._allowed(len(logits)).to(logits.device)
                token_id = int(logits.masked_fill(~allowed, float('-inf')).argmax())
            if token_id not in self._stop_ids:
                self._take([token_id])
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
            with self._timed():
                self._closer.update(self._text, self._matcher, self._ends)
        return self._closer.closing

    def _ends(self, position: int, closing: str) -> bool:
        """Return whether the answer up to a position, with a text behind it, is a document."""
        back = 0
        while back < len(self._lengths) and not 0 <= self._lengths[-1 - back] <= position:
            back += 1
        kept = len(self._lengths) - back
        start = self._lengths[kept - 1] if kept else 0
        matcher = self._matcher.deep_copy()
        if back and not matcher.rollback(back):
            return False
        return self._grammar.vocabulary.accepts(matcher, self._text[start:position] + closing)

    def _may_come(self, token_id: int) -> bool:
        if token_id in self._stop_ids:
            return bool(self._matcher.is_accepting())
        return self._matcher.validate_tokens([token_id]) == 1

    def _allowed(self, size: int) -> torch.Tensor:
        """Return which tokens may come, (size,)."""
        mask = self._matcher.compute_bitmask()
        if self._matcher.is_error() or not any(mask):
            self._raise()
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder='little')
        allowed = np.zeros(size, dtype=bool)
        allowed[: len(bits)] = bits[:size]
        return torch.from_numpy(allowed)

    def _take(self, ids: list[int]) -> None:
        for token_id in ids:
            if not self._matcher.consume_token(token_id):
                self._raise()
            piece = self._decoder.decode(self._tokens.decode_bytes([token_id]))
            self._text += piece
            self._pieces.append(piece)
            pending, _ = self._decoder.getstate()
            self._lengths.append(-1 if pending else len(self._text))

    def _raise(self) -> None:
        raise BrokenConstraintError(
            f'constraint is too complex for {LIMITS}: the answer cannot go on after '
            f'{len(self._lengths)} tokens ({error_of(self._matcher)})'
        )

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start_s = self._clock()
        try:
            yield
        finally:
            self.time_s += self._clock() - start_s


def _closer(grammar: Grammar) -> Closer:
    if grammar.closings is None or grammar.shortest is None:
        return RegexCloser(grammar.vocabulary)
    shortest = grammar.shortest
    before = Closing(0, shortest.text, shortest.filled, shortest.invented)
    return JsonCloser(grammar.closings, before)
