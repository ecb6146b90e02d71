"""Where sentences for a person go: rclpy's logger, or a fake one."""

from typing import Protocol


class Logger(Protocol):
    """May be called from any thread."""

    def debug(self, message: str) -> object:
        """Log what explains a fault."""

    def info(self, message: str) -> object:
        """Log what is as it should be."""

    def warning(self, message: str) -> object:
        """Log what may be wrong."""

    def error(self, message: str) -> object:
        """Log what is wrong."""
