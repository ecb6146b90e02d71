"""An event that compiled code can look at while it runs."""

import ctypes
import threading


class AbortFlag(threading.Event):
    """Set from any thread to end a generation."""

    def __init__(self) -> None:
        super().__init__()
        self._raised = ctypes.c_int32(0)

    @property
    def address(self) -> int:
        """Of an int32 that is other than 0 once the event is set. It lives as long as this."""
        return ctypes.addressof(self._raised)

    def set(self) -> None:
        """Set it, for compiled code too."""
        self._raised.value = 1
        super().set()

    def clear(self) -> None:
        """Take it back, for compiled code too."""
        self._raised.value = 0
        super().clear()
