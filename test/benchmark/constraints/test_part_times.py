"""Each part's time is its own, and all but the probability's are the constraint's time."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmark.constraints.part_times import PartTimes
from support.tiny_models import NEVER
from timebill_ros.inference.constraint.grammar import regex_grammar
from timebill_ros.inference.constraint.guided import Guided
from timebill_ros.inference.constraint.vocabulary import Vocabulary
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target
from timebill_ros.inference.repetition import RepetitionPenalty

NOT_THINKING: Any = SimpleNamespace(is_thinking=False)
NO_STEP: Any = None


def test_the_parts_of_what_is_answered_meanwhile_are_told_apart() -> None:
    target = load_target(BUILT_IN, device='cpu')
    size = int(target.model.lm_head.out_features)
    vocabulary = Vocabulary.of(target.tokenizer, size, target.stop_token_ids)
    grammar = regex_grammar(vocabulary, '(go|stop) [a-z]{4,8} .*')
    moments = itertools.count()
    parts = PartTimes(lambda: float(next(moments)))  # whatever is timed takes one second
    draw = torch.Generator().manual_seed(5)
    penalty = RepetitionPenalty(1.0, torch.zeros(0, dtype=torch.int64))

    def answer(tokens: int) -> Guided:
        guided = Guided.by(grammar, target.stop_token_ids, NOT_THINKING)
        for _ in range(tokens):
            guide: Any = guided.guide
            logits = torch.randn(size, generator=draw)
            for token_id in guide.forced() or guide.next(
                logits, penalty, guided.probability, NO_STEP, NEVER
            ):
                guided.add(token_id)
            guided.new_closing()
        return guided

    answer(2)
    with parts.measured():
        ours = [answer(5), answer(8)]
    answer(3)
    seconds = parts.seconds()
    assert (seconds['forced'], seconds['closing']) == (13, 13)
    assert seconds['mask'] <= 13 and seconds['probability'] == 2 * seconds['mask']
    billed = sum(guided.billed()[2] for guided in ours)
    assert billed == pytest.approx(26 + seconds['mask'])
