"""The worker process: owns torch.

Started by worker_client.py with a socket's number and the node's process id.
"""

import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from timebill_ros.worker.child_process import pin_to, settle
from timebill_ros.worker.intake import Intake
from timebill_ros.worker.load_failure import failure_of
from timebill_ros.worker.log_line import log_to_standard_error, take_over_libraries
from timebill_ros.worker.protocol import (
    Failed,
    FromWorker,
    Load,
    ToWorker,
)
from timebill_ros.worker.wire import encode, messages_to_worker

_log = logging.getLogger('timebill_ros.worker')
_NOT_NEEDED: dict[str, Any] = {'scipy': None, 'sklearn': None}
"""transformers imports them where they are installed, for what the node never does: 40 MB."""


def main() -> None:
    """Load the model as the first message says, then serve until the connection closes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    settle(parent=int(sys.argv[2]))
    log_to_standard_error()
    lock = threading.Lock()

    def send(message: FromWorker) -> None:
        with lock:
            connection.sendall(encode(message))

    messages = messages_to_worker(connection)
    load = next(messages, None)
    if load is None:  # the node has ended meanwhile
        return
    assert isinstance(load, Load)
    pin_error = pin_to(load.settings.cpus)  # threads that are started later inherit it
    intake = Intake(send)
    threading.Thread(target=_listen, args=(messages, intake), daemon=True).start()
    if pin_error:
        _fail(Failed(pin_error), send)
    sys.modules.update(_NOT_NEEDED)  # so that they count as not installed
    try:
        import timebill_ros.inference  # noqa: F401 (before torch)
        from timebill_ros.worker.query_server import QueryServer  # torch: seconds

        take_over_libraries()
        server = QueryServer(load, intake, send)
    except Exception as error:
        _log.debug('the model cannot be loaded', exc_info=True)
        _fail(failure_of(error, load.settings.model), send)
    gc.collect()
    gc.freeze()
    try:
        server.serve()
    except Exception:
        _log.exception('the inference has failed')
        os._exit(1)


def _fail(failed: Failed, send: Callable[[FromWorker], None]) -> None:
    send(failed)
    threading.Event().wait()  # until the node ends this process


def _listen(messages: Iterator[ToWorker], intake: Intake) -> None:
    try:
        for message in messages:
            intake.take(message)
        os._exit(0)  # the node has closed the connection: at once, whatever the model is doing
    except Exception:
        _log.exception('the node cannot be understood')
        os._exit(1)


if __name__ == '__main__':
    main()
