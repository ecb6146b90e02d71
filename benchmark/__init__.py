"""Measurements, one module a question. `python -m benchmark.NAME`."""

import timebill_ros.inference as _before_torch  # noqa: F401
