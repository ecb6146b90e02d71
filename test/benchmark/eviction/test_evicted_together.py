import dataclasses

import pytest
import torch

from benchmark.eviction.contenders import ByValues, WholeLines
from benchmark.eviction.evicted_answers import EvictedAnswers
from benchmark.eviction.evicted_together import EvictedTogether
from support.tiny_models import NEVER, random_prompt, tiny_target
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.engine import DecodingSettings, Engine

PROMPT_TOKENS, RATIOS = 200, (0.25, 0.5)
ANSWER = [5, 17, 60, 3, 90]


def test_all_at_once_are_as_likely_as_one_after_the_other():
    scorers = [SnapKV(), SnapKV(kernel=1), ByValues(weighs_first=True)]
    engine = Engine(tiny_target('llama'), DecodingSettings(), SnapKV())
    prompt = random_prompt(PROMPT_TOKENS)
    together = EvictedTogether(
        engine, prompt, [lambda _, __, scorer=scorer: scorer for scorer in scorers]
    ).log_likelihoods(ANSWER, RATIOS)
    answers = EvictedAnswers(engine, prompt, len(ANSWER))
    for ratio, found in zip(RATIOS, together, strict=True):
        for scorer, value in zip(scorers, found, strict=True):
            expected = answers.log_likelihood(answers.evicted(scorer, ratio), ANSWER)
            assert value == pytest.approx(expected, abs=1e-4)
        assert len(set(found)) == len(scorers)


def test_values_that_add_nothing_get_no_votes():
    engine = Engine(tiny_target('llama'), DecodingSettings(), SnapKV(window=8))
    prefilled = engine.prefill(random_prompt(61), 1, NEVER)
    keys, values = (states[0, :, :61].clone() for states in prefilled.cache.memory[0])
    values[:, 20:30] = 0.0
    score = ByValues(window=8, kernel=1).score(0, keys, values, prefilled.observed[0])
    assert (score[:, 20:30] == 0).all()
    assert (score[:, 30:50] > 0).all()


def test_lines_get_the_votes_of_their_tokens():
    engine = Engine(tiny_target('llama'), DecodingSettings(), SnapKV(window=8))
    prefilled = engine.prefill(random_prompt(61), 1, NEVER)
    keys, values = (states[0, :, :61] for states in prefilled.cache.memory[0])
    lines = torch.arange(61) // 10
    scorer = WholeLines(window=8, lines=lines)
    votes = scorer.of_heads(scorer.votes(keys, prefilled.observed[0]))
    highest = dataclasses.replace(scorer, of_line='max')
    for tried, expected in ((scorer, votes[:, 10:20].mean(1)), (highest, votes[:, 10:20].amax(1))):
        found = tried.score(0, keys, values, prefilled.observed[0])
        torch.testing.assert_close(found[:, 10:20], expected[:, None].expand(-1, 10))
