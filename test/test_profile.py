"""The profile's figure: drawn where matplotlib is, and done without where it is not."""

import importlib
import sys
from pathlib import Path

import pytest

from timebill_ros.core.execution_time_estimator import CurveFit, Sample, TimeFit
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.profiler import Measurements

MODEL = TimeModel(a=0.0, b=1e-3, c=0.0, p=1e-5, q=1e-2)
CURVE = CurveFit(mape=1.0, samples=2, left_out=0)
FITTED = TimeFit(MODEL, CURVE, CURVE, CURVE, generations=0)
MEASURED = Measurements()
MEASURED.prefills += [Sample(100, 0.1), Sample(200, 0.2)]


def test_the_figure_is_drawn_where_matplotlib_is(tmp_path: Path) -> None:
    profile = importlib.import_module('timebill_ros.profile')
    path = tmp_path / 'profile.png'
    assert profile.draw_if_possible(MEASURED, FITTED, 'title', path) == f'drawn in {path}'
    assert path.read_bytes().startswith(b'\x89PNG')


def test_without_matplotlib_a_sentence_says_what_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('timebill_ros.profile', 'timebill_ros.profile_figure'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, 'matplotlib', None)  # as if it were not installed
    profile = importlib.import_module('timebill_ros.profile')
    path = tmp_path / 'profile.png'
    assert 'pip install matplotlib' in profile.draw_if_possible(MEASURED, FITTED, 'title', path)
    assert not path.exists()
