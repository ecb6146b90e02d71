"""The worker process: owns torch.

Started by worker_client.py with a socket's number and the node's process id.
"""

import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator

from timebill_ros.worker.child_process import settle
from timebill_ros.worker.intake import Intake
from timebill_ros.worker.protocol import Failed, FromWorker, Load, ToWorker
from timebill_ros.worker.wire import encode, messages_to_worker


def main() -> None:
    """Load the model as the first message says, then serve until the connection closes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    settle(parent=int(sys.argv[2]))
    logging.basicConfig(level=logging.INFO, format='%(levelname)s: %(message)s')
    lock = threading.Lock()

    def send(message: FromWorker) -> None:
        with lock:
            connection.sendall(encode(message))

    messages = messages_to_worker(connection)
    load = next(messages, None)
    if load is None:  # the node has ended meanwhile
        return
    assert isinstance(load, Load)
    intake = Intake(send)
    threading.Thread(target=_listen, args=(messages, intake), daemon=True).start()

    import timebill_ros.inference  # noqa: F401 (before torch)
    from timebill_ros.worker.query_server import QueryServer  # torch: seconds

    try:
        server = QueryServer(load, intake, send)
    except ValueError as error:
        send(Failed(str(error)))
        threading.Event().wait()  # until the node ends this process
    except ConnectionError as error:  # the node starts this process again: the network may come
        sys.exit(str(error))
    gc.collect()
    gc.freeze()
    server.serve()


def _listen(messages: Iterator[ToWorker], intake: Intake) -> None:
    try:
        for message in messages:
            intake.take(message)
        os._exit(0)  # the node has closed the connection: at once, whatever the model is doing
    except Exception:
        logging.exception('the node cannot be understood')
        os._exit(1)


if __name__ == '__main__':
    main()
