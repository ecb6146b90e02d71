"""A logger that records what it is told, in place of rclpy's."""


class FakeLogger:
    """`lines` are pairs of a level and a message."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def at(self, level: str) -> list[str]:
        return [message for line_level, message in self.lines if line_level == level]

    def debug(self, message: str) -> None:
        self.lines.append(('debug', message))

    def info(self, message: str) -> None:
        self.lines.append(('info', message))

    def warning(self, message: str) -> None:
        self.lines.append(('warning', message))

    def error(self, message: str) -> None:
        self.lines.append(('error', message))
