"""Who is told what becomes of the worker process."""

from typing import Protocol

from timebill_ros.worker.log_line import LogLine
from timebill_ros.worker.progress import Progress
from timebill_ros.worker.protocol import Estimate, Phase, PrefixesHeld, Prepared, Ready


class WorkerListener(Protocol):
    """Told of what happens, from the client's threads."""

    def on_worker_ready(self, ready: Ready) -> None:
        """Be told that queries can be sent."""

    def on_worker_phase(self, phase: Phase) -> None:
        """Be told what it is doing that takes so long."""

    def on_worker_estimate(self, estimate: Estimate) -> None:
        """Be told of the time model as it stands now."""

    def on_worker_prefixes(self, held: PrefixesHeld) -> None:
        """Be told what its cache holds of prompts that were read."""

    def on_worker_prepared(self, prepared: Prepared) -> None:
        """Be told what has become of a context to prepare."""

    def on_worker_progress(self, progress: Progress) -> None:
        """Be told what becomes of a query."""

    def on_worker_leaving(self) -> None:
        """Be told, of a process that was ready, that its connection ended; the reason follows."""

    def on_worker_lost(self, detail: str) -> None:
        """Be told that the process is gone, with all that it held; it will be replaced."""

    def on_worker_failed(self, detail: str) -> None:
        """Be told that the model cannot be loaded, and why."""

    def on_worker_log(self, line: LogLine) -> None:
        """Be told of a line of the worker's log."""
