"""The node hears how far the measuring is, and not too often."""

import time

import pytest

from timebill_ros.worker.measuring_progress import MeasuringProgress
from timebill_ros.worker.protocol import FromWorker, Phase


def test_progress_is_sent_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, 'monotonic', lambda: now_s)
    sent: list[FromWorker] = []
    progress = MeasuringProgress(sent.append)
    for tenth in range(25):
        now_s = 100.0 + tenth / 10
        progress(tenth / 100)
    assert sent == [Phase('measuring', share) for share in (0.0, 0.1, 0.2)]
