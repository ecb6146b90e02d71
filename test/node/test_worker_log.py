"""The worker's lines in the node's log."""

import logging

from support.fake_logger import FakeLogger
from timebill_ros.node.worker_log import WorkerLog
from timebill_ros.worker.log_line import LogLine


def test_lines_keep_their_levels_and_errors_their_whole_sentence() -> None:
    logger = FakeLogger()
    log = WorkerLog(logger)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.add(LogLine(level, 'x' * 1100))
    whole = 'worker process: ' + 'x' * 1100
    assert logger.at('error') == [whole]
    assert [len(line) <= 300 for line in logger.at('info') + logger.at('warning')] == [True, True]
    assert logger.at('debug') == [whole] * 3


def test_a_warning_is_passed_on_once() -> None:
    logger = FakeLogger()
    log = WorkerLog(logger)
    for _ in range(3):
        log.add(LogLine(logging.WARNING, 'slow path'))
        log.add(LogLine(logging.ERROR, 'no device'))
    assert logger.at('warning') == ['worker process: slow path']
    assert len(logger.at('error')) == 3
    assert len(logger.at('debug')) == 2
