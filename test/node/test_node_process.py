"""A fault that nobody has foreseen is a sentence in the log."""

import threading

import pytest

from support.fake_logger import FakeLogger
from timebill_ros.node.node_process import fault_hook


def test_a_thread_that_fails_is_an_error_and_its_traceback_is_at_debug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = FakeLogger()
    monkeypatch.setattr(threading, 'excepthook', fault_hook(logger))
    thread = threading.Thread(target=lambda: {}['key'], name='executor')
    thread.start()
    thread.join()
    told = "a fault of the node ends its thread 'executor': KeyError: 'key'"
    assert logger.at('error') == [told]
    (trace,) = logger.at('debug')
    assert trace.startswith('Traceback')
