"""The laboratory: a folder for each question. `python -m benchmark NAME`, or `make bench-NAME`."""

import timebill_ros.inference as _before_torch  # noqa: F401
