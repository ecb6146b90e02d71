"""An arm in a process of its own: tasks and what it finds are lines of JSON."""

import contextlib
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

_SOURCE = Path(__file__).parents[2]
_LOAD_LIMIT_S = 600.0
_TASK_LIMIT_S = 600.0


class ArmError(Exception):
    """An arm has ended; a clause."""


class ArmProcess:
    """Starts the process and waits until its model is loaded.

    Arguments:
        environment: its variables; None: those of this process.

    Raises:
        ArmError: the arm cannot be loaded.

    `load_s` is the time from the start of the process until its model is loaded.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile('w+', errors='replace')  # noqa: SIM115 (close() does)
        start_s = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=_SOURCE,
            env=environment,
        )
        self.described = self._read(_LOAD_LIMIT_S)
        self.load_s = time.perf_counter() - start_s

    def ask(self, **task: Any) -> dict[str, Any]:
        """Return what the arm finds.

        Raises:
            ArmError: it has ended instead, or took too long. The process is closed.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # _read() tells why
            self._process.stdin.write(json.dumps(task) + '\n')
            self._process.stdin.flush()
        return self._read(_TASK_LIMIT_S)

    def cpu_s(self) -> float:
        """Return how much time of the CPU the process has used; 0 after its end."""
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _read(self, limit_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(limit_s, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        found: dict[str, Any] = json.loads(line) if line else {'missing': self._why_ended()}
        if 'missing' in found:
            self.close()
            raise ArmError(found['missing'])
        return found

    def _why_ended(self) -> str:
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return 'it does not answer any more'
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return f'it ended with status {status}{": " + lines[-1] if lines else ""}'
