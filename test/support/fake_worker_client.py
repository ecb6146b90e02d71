"""A worker client without a process: the test says what the worker says."""

from typing import Any

from timebill_ros.worker.protocol import Load
from timebill_ros.worker.worker_client import WorkerState
from timebill_ros.worker.worker_listener import WorkerListener


class FakeWorkerClient:
    """Takes the place of WorkerClient; all that were made are in `made`."""

    made: 'list[FakeWorkerClient]'

    def __init__(self, load: Load, listener: WorkerListener) -> None:
        self.load = load
        self.listener = listener
        self.state = WorkerState.LOADING
        self.restarts = 0
        self.pid = None
        self.sent: list[Any] = []
        self.killed: list[str] = []
        self.is_stopped = False
        self.made.append(self)

    def start(self) -> None:
        pass

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def kill(self, detail: str) -> None:
        self.killed.append(detail)

    def stop(self) -> None:
        self.is_stopped = True

    def describe(self) -> str:
        return 'the model is being loaded'
