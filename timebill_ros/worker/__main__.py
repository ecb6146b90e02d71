"""The worker process: owns torch.

Started by worker_client.py with a socket's number and the node's process id.
"""

import gc
import logging
import os
import queue
import socket
import sys
import threading

from timebill_ros.worker.child_process import settle
from timebill_ros.worker.protocol import Failed, Load, encode, receive


def main() -> None:
    """Load the model as the first message says, then serve until the connection closes."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    settle(parent=int(sys.argv[2]))
    logging.basicConfig(level=logging.INFO, format='%(levelname)s: %(message)s')
    lock = threading.Lock()

    def send(message: object) -> None:
        with lock:
            connection.sendall(encode(message))  # type: ignore[arg-type]

    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    load = inbox.get()
    assert isinstance(load, Load)

    import timebill_ros.inference  # noqa: F401 (before torch)
    from timebill_ros.worker.query_server import QueryServer  # torch: seconds

    try:
        server = QueryServer(load, send)
    except ValueError as error:
        send(Failed(str(error)))
        threading.Event().wait()  # until the node ends this process
    gc.collect()
    gc.freeze()
    server.serve(inbox)


def _listen(connection: socket.socket, inbox: 'queue.SimpleQueue[object]') -> None:
    for message in receive(connection):
        inbox.put(message)
    os._exit(0)  # the node has closed the connection: at once, whatever the model is doing


if __name__ == '__main__':
    main()
