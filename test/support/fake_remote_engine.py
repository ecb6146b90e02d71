"""A remote engine without a network: it records what it is told."""

from timebill_ros.core.query import Query


class FakeRemoteEngine:
    """Records what it is told, in order."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.aborted: list[int] = []
        self.is_there = True

    def ask(self, number: int, query: Query, max_new_tokens: int, until_s: float) -> bool:
        if self.is_there:
            self.asked.append(number)
        return self.is_there

    def abort(self, number: int) -> None:
        self.aborted.append(number)
