"""Measurements, one module a question. `python -m timebill_ros.benchmark.NAME`."""
