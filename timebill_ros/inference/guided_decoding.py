"""Decoding under a constraint: what it forces is not asked of the model."""

from collections.abc import Iterator

import torch

from timebill_ros.core.outcome import FinishReason
from timebill_ros.inference.constraint.choice_guide import ChoiceGuide
from timebill_ros.inference.constraint.guide import Guide
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty
from timebill_ros.inference.step.answer_steps import AnswerSteps


def guided_tokens(
    steps: AnswerSteps,
    logits: torch.Tensor,
    guide: Guide | ChoiceGuide,
    penalty: RepetitionPenalty,
    stop_token_ids: frozenset[int],
    max_new_tokens: int,
    interrupt: Interrupt,
    probability: MeanProbability,
) -> Iterator[tuple[int, FinishReason | None]]:
    """Generate greedily within a constraint; see Engine.decode().

    A stop token comes only where the constraint is met, and a repetition ends nothing: the answer
    would be no document.

    Arguments:
        steps: they stand after the prompt.
        logits: (vocabulary,), of the first token.
        guide: takes each token before it is yielded.
    """
    count = 0
    waiting: list[int] = []  # yielded, and not yet run through the model
    while True:
        interrupt.check()
        ids = guide.forced()
        if not ids:
            if waiting:
                interrupt.leave()  # not later: steps share the memory of their logits
                logits = steps.append(waiting, interrupt.check)
                waiting = []
            ids = guide.next(logits, penalty, probability, steps, interrupt)
        for token_id in ids:
            count += 1
            reason = None
            if token_id in stop_token_ids:
                reason = FinishReason.EOS
            elif count == max_new_tokens:
                reason = FinishReason.LENGTH
            yield token_id, reason
            if reason is not None:
                return
            penalty.see(token_id, torch.tensor(token_id, device=logits.device))
        waiting += ids
