"""The worth of an evicted answer."""

from dataclasses import replace

import numpy as np
import pytest

from timebill_ros.core.answer_worth import PRIOR, REFERENCE_TOKENS

RATIOS = np.linspace(0.0, 0.95, 20)


def test_more_eviction_and_more_left_to_write_are_never_worth_more() -> None:
    for few_tokens, left_power in ((0.0, 1.0), (0.5, 2.0), (1.0, 0.5)):
        worth = replace(PRIOR, few_tokens=few_tokens, left_power=left_power)
        prompt = np.array(1000.0)
        for left in (0.1, 0.5, 1.0):
            worths = worth.worth(prompt, prompt * (1.0 - RATIOS), np.array(left))
            assert (np.diff(worths) <= 1e-12).all()
            assert worths[0] == 1.0
            assert worths.min() >= 0.0
        kept = np.array(300.0)
        by_left = worth.worth(prompt, kept, np.linspace(0.0, 1.0, 11))
        assert by_left[0] == 1.0
        assert (np.diff(by_left) < 0.0).all()


def test_the_same_share_of_fewer_tokens_is_worth_less_if_tokens_count() -> None:
    prompt, left = np.array([400.0, 2 * REFERENCE_TOKENS, 2000.0]), np.array(1.0)
    by_share = PRIOR.worth(prompt, prompt / 2.0, left)
    assert by_share == pytest.approx([0.77] * 3)
    by_tokens = replace(PRIOR, few_tokens=0.5).worth(prompt, prompt / 2.0, left)
    assert (np.diff(by_tokens) > 0.0).all()
    assert by_tokens[1] == pytest.approx(0.77)


def test_what_was_written_before_the_eviction_keeps_its_worth() -> None:
    prompt, shares = np.array(2000.0), np.array([1.0, 0.5, 0.0])
    assert PRIOR.worth(prompt, np.array(100.0), shares).tolist() == pytest.approx([0.14, 0.57, 1])
    assert PRIOR.worth(prompt, prompt, shares).tolist() == [1.0, 1.0, 1.0]
    late = replace(PRIOR, left_power=2.0).worth(prompt, np.array(100.0), np.array(0.5))
    assert late == pytest.approx(1.0 - 0.86 / 4.0)


def test_lengths_grow_and_become_less_sure_between_the_measured_ratios() -> None:
    assert PRIOR.stretch(np.array([0.5, 0.95])).tolist() == pytest.approx([1.0, 1.32])
    assert 1.0 < PRIOR.stretch(np.array(0.85)) < 1.32
    assert PRIOR.spread(np.array([0.0, 0.25])).tolist() == pytest.approx([0.0, 0.2])
