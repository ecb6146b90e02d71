"""The predictor's prompt is as long as the prefill hides, and no longer."""

import math

from hypothesis import given
from hypothesis import strategies as st

from timebill_ros.core.prompt_compression import compressed, hidden_tokens
from timebill_ros.core.time_model import TimeModel


@given(
    a=st.sampled_from([0.0, 1e-9, 1e-7]),
    b=st.floats(1e-6, 1e-2),
    c=st.floats(0, 0.1),
    prefill_s=st.floats(0, 20),
)
def test_what_is_read_takes_just_the_prefills_time(
    a: float, b: float, c: float, prefill_s: float
) -> None:
    predictor = TimeModel(a, b, c, 0.0, 0.0)
    tokens = hidden_tokens(predictor, prefill_s)
    if prefill_s <= c:
        assert tokens == 0.0
        return
    assert math.isclose(predictor.t_prefill(tokens), prefill_s, rel_tol=1e-3)


def test_an_unknown_prefill_hides_everything() -> None:
    assert hidden_tokens(TimeModel(1e-8, 1e-3, 0.01, 0.0, 0.0), math.inf) == math.inf
    assert hidden_tokens(TimeModel(0.0, 0.0, 0.01, 0.0, 0.0), 1.0) == math.inf


@given(length=st.integers(1, 60), most=st.integers(1, 70))
def test_beginning_and_end_stay(length: int, most: int) -> None:
    tokens = list(range(length))
    short = compressed(tokens, most)
    assert len(short) == min(length, most)
    assert short == sorted(set(short))
    assert short[-1] == length - 1
    if length > most > 1:
        assert short[0] == 0
        assert short[most // 2 - 1] == most // 2 - 1
