"""Has the node read new contexts, one after the other, while queries are asked."""

import threading
from collections.abc import Sequence

from rclpy.node import Node

from timebill_ros.srv import PrepareContext


class Preparer:
    """Calls ~/prepare in a thread of its own: the next context when the last one is read.

    Arguments:
        node: an asker's, which is spun by another thread.
        asker: who prepares.
    """

    def __init__(self, node: Node, asker: str) -> None:
        self._asker = asker
        self._client = node.create_client(PrepareContext, '/timebill/prepare')
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._read = 0

    def start(self, contexts: Sequence[str], pause_s: float) -> None:
        """Begin with the first context; go on with it behind the last.

        Arguments:
            pause_s: between the end of one and the next [s].
        """
        self._stop.clear()
        self._read = 0
        self._thread = threading.Thread(target=self._run, args=(contexts, pause_s), daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Prepare no more, and let go of the last; return how many were read since start()."""
        assert self._thread is not None
        self._stop.set()
        self._thread.join()
        self._call('')
        return self._read

    def _run(self, contexts: Sequence[str], pause_s: float) -> None:
        number = 0
        while not self._stop.wait(pause_s):
            self._read += self._call(contexts[number % len(contexts)])
            number += 1

    def _call(self, context: str) -> bool:
        """Prepare a context; return whether it was read. '': nothing is held any more."""
        request = PrepareContext.Request(asker=self._asker, context=context)
        is_done, future = threading.Event(), self._client.call_async(request)
        future.add_done_callback(lambda _: is_done.set())
        while not is_done.wait(0.1):
            if self._stop.is_set() and context:
                return False
        return bool(future.result().success)
