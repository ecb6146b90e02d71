"""Choices as token ids, and how likely the model takes each of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from timebill_ros.core.constraint import InvalidConstraintError
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.step.answer_steps import AnswerSteps
from timebill_ros.inference.step.decoding_step import DecodingStep

MOST_CHOICES = 256
LONGEST_CHOICE = 128


@dataclass
class _Node:
    """A beginning that some choices share.

    Arguments:
        children: what may follow, by the next token.
        ends: index of the choice that is complete here; -1: none is.
    """

    children: dict[int, '_Node'] = field(default_factory=dict)
    ends: int = -1

    def count(self) -> int:
        """Return how many nodes lie below."""
        return sum(1 + child.count() for child in self.children.values())


class Choices:
    """The texts that an answer is chosen from, as a tree: what they share is read once.

    Arguments:
        texts: the choices.
        token_ids: makes token ids of a text, without control tokens.

    Raises:
        InvalidConstraintError: there are too few, too many, too long or equal ones.
    """

    def __init__(self, texts: Sequence[str], token_ids: Callable[[str], list[int]]) -> None:
        if not 1 <= len(texts) <= MOST_CHOICES:
            raise InvalidConstraintError(
                f'choices must have 1 to {MOST_CHOICES} entries, got {len(texts)}'
            )
        self.texts = tuple(texts)
        self.ids = [token_ids(text) for text in texts]
        self._root = _Node()
        for index, ids in enumerate(self.ids):
            self._plant(index, ids)
        self.longest = max(map(len, self.ids)) + 1
        """Tokens of the longest one, with the stop token."""
        self.passes = self._root.count()
        """Through the model, to score them all after the prompt."""
        self.max_tokens = self.passes + 1
        """Steps that this counts as, by the time that they take."""

    def _plant(self, index: int, ids: Iterable[int]) -> None:
        text, tokens = self.texts[index], len(self.ids[index])
        if not 1 <= tokens <= LONGEST_CHOICE:
            raise InvalidConstraintError(
                f'choices[{index}] must have 1 to {LONGEST_CHOICE} tokens, got {tokens}'
            )
        node = self._root
        for token_id in ids:
            node = node.children.setdefault(token_id, _Node())
        if node.ends >= 0:
            raise InvalidConstraintError(
                f'choices[{index}] must differ from choices[{node.ends}], got {text!r} twice'
            )
        node.ends = index

    def log_likelihoods(
        self,
        logits: torch.Tensor,
        stop_ids: Sequence[int],
        step: DecodingStep | AnswerSteps,
        interrupt: Interrupt,
    ) -> list[float]:
        """Return the log-likelihood of each choice, the end of the answer included.

        Arguments:
            logits: (vocabulary,), of the first token.
            stop_ids: any of these ends the answer.
            step: it stands before the first token, and is left there.
            interrupt: asked before each pass. A more urgent query may run first there.

        Raises:
            InterruptedGenerationError: the interrupt was due.
        """
        found = [0.0] * len(self.texts)

        def score(node: _Node, logits: torch.Tensor, so_far: float) -> None:
            log_probabilities = logits.log_softmax(0)
            if node.ends >= 0:
                end = log_probabilities[list(stop_ids)].logsumexp(0)
                found[node.ends] = so_far + float(end)
            # Read before the next pass, which may write to the same logits.
            likely = log_probabilities[list(node.children)].tolist()
            for (token_id, child), more in zip(node.children.items(), likely, strict=True):
                interrupt.leave()
                interrupt.check()
                score(child, step.append([token_id], interrupt.check), so_far + more)
                step.rewind(1)

        score(self._root, logits, 0.0)
        return found
