"""A TCP proxy that has the faults of a network: delays, stalls, cuts, garbage."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What the way back does.

    Arguments:
        delay_s: before each piece [s].
        cut_after: bytes after which the connection is reset; None: never.
        stall_after: bytes after which nothing more comes; None: never.
        garbage_after: bytes after which other bytes come; None: never.
        is_closed: connections are closed as soon as they are there.
    """

    delay_s: float = 0.0
    cut_after: int | None = None
    stall_after: int | None = None
    garbage_after: int | None = None
    is_closed: bool = False


NONE = Fault()


class FaultyProxy:
    """Forwards connections to a port on loopback. `fault` applies to connections from then on."""

    def __init__(self, port: int) -> None:
        self.fault = NONE
        self._port = port
        self._listener = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """The port on loopback to connect to."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """The address of the API behind the proxy."""
        return f'http://127.0.0.1:{self.port}/v1'

    def close(self) -> None:
        """Refuse connections from now on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.fault.is_closed:
                    near.close()
                    continue
                far = socket.create_connection(('127.0.0.1', self._port))
                for way in ((near, far, NONE), (far, near, self.fault)):
                    threading.Thread(target=_forward, args=way, daemon=True).start()


def _forward(source: socket.socket, sink: socket.socket, fault: Fault) -> None:
    passed, stalled = 0, False
    with contextlib.suppress(OSError):
        while piece := source.recv(4096):
            if fault.delay_s:
                time.sleep(fault.delay_s)
            if fault.cut_after is not None and passed + len(piece) > fault.cut_after:
                sink.sendall(piece[: fault.cut_after - passed])
                break
            if fault.stall_after is not None and passed + len(piece) > fault.stall_after:
                sink.sendall(piece[: max(0, fault.stall_after - passed)])
                passed = fault.stall_after
                stalled = True
                continue
            if fault.garbage_after is not None and passed + len(piece) > fault.garbage_after:
                piece = b'\xff\x00\x81' * len(piece)
            sink.sendall(piece)
            passed += len(piece)
    if stalled:
        return  # it never ends, whatever the source does; the other way ends with its own
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextlib.contextmanager
def faulty_proxy(port: int) -> Iterator[FaultyProxy]:
    """Run a proxy in front of a port on loopback."""
    proxy = FaultyProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
