"""The worker's log keeps its levels, and tracebacks and progress bars stay out of sight."""

import logging
import subprocess
import sys

import pytest

from timebill_ros.worker.log_line import LogLine, LogReader

SCRIPT = """
import logging, warnings
from timebill_ros.worker.log_line import log_to_standard_error, take_over_libraries
library = logging.getLogger('transformers')
library.addHandler(logging.StreamHandler())
library.propagate = False
log_to_standard_error()
take_over_libraries()
logging.info('two\\nlines')
library.info('hidden')
logging.getLogger('httpx').debug('hidden')
library.warning('a library warns')
library.error('a library fails')
warnings.warn('it will change')
logging.getLogger('timebill_ros.worker').debug('for who looks')
try:
    {}['key']
except KeyError:
    logging.exception('generation failed')
raise RuntimeError('the end')
"""


def test_a_process_writes_what_a_reader_reads() -> None:
    script = subprocess.run(
        [sys.executable, '-c', SCRIPT], stderr=subprocess.PIPE, text=True, timeout=60
    )
    reader = LogReader()
    lines = [reader.read(raw) for raw in script.stderr.splitlines()]
    assert [line for line in lines if line.level > logging.DEBUG] == [
        LogLine(logging.INFO, 'two lines'),
        LogLine(logging.WARNING, 'a library warns'),
        LogLine(logging.ERROR, 'a library fails'),
        LogLine(logging.WARNING, 'UserWarning: it will change'),
        LogLine(logging.ERROR, "generation failed: KeyError: 'key'"),
        LogLine(logging.ERROR, 'RuntimeError: the end'),
    ]
    hidden = [line.text for line in lines if line.level == logging.DEBUG]
    assert 'for who looks' in hidden
    assert hidden.count('Traceback (most recent call last):') == 2
    assert 'hidden' not in script.stderr


@pytest.mark.parametrize(
    ('raw', 'level'),
    [
        ('Loading weights:  40%|####      | 100/272 [00:01<00:02]', logging.DEBUG),
        ('Converting\rConverting', logging.DEBUG),
        ('[W1127 06:00:00.123 Context.cpp:296] Warning: slow path', logging.WARNING),
        ('[E1127 06:00:00.123 driver.cpp:1] no device', logging.ERROR),
        ('Fatal Python error: Segmentation fault', logging.ERROR),
        ("terminate called after throwing an instance of 'std::bad_alloc'", logging.ERROR),
        ('libgomp: something of note', logging.WARNING),
    ],
)
def test_what_native_code_prints_has_a_level(raw: str, level: int) -> None:
    assert LogReader().read(raw) == LogLine(level, raw)
