"""Two nodes of one full name are warned of, once."""

from typing import Any

import pytest

from support.fake_logger import FakeLogger
from timebill_ros.node.name_watch import NameWatch


class FakeNamedNode:
    """A node in /robot, with a graph that the test changes."""

    def __init__(self) -> None:
        self.graph = [('timebill', '/robot'), ('timebill', '/'), ('timebill', '/other')]
        self.logger = FakeLogger()
        self.periods: list[float] = []
        self.destroyed: list[int] = []

    def get_fully_qualified_name(self) -> str:
        return '/robot/timebill'

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        return self.graph

    def get_logger(self) -> FakeLogger:
        return self.logger

    def create_timer(self, period_s: float, callback: Any, clock: Any) -> int:
        self.periods.append(period_s)
        self.callback = callback
        return len(self.periods)

    def destroy_timer(self, timer: int) -> None:
        self.destroyed.append(timer)


@pytest.fixture
def node() -> FakeNamedNode:
    node = FakeNamedNode()
    NameWatch(node, None)
    return node


def test_it_looks_some_seconds_after_the_start_and_then_rarely(node: FakeNamedNode) -> None:
    node.callback()
    node.callback()
    assert node.periods == [5.0, 60.0]
    assert node.destroyed == [1]
    assert node.logger.lines == []


def test_the_other_node_is_named_once_while_it_is_there(node: FakeNamedNode) -> None:
    own = ('timebill', '/robot')
    for others, warnings in ([own], 1), ([own, own], 1), ([], 1), ([own], 2):
        node.graph = [own, ('timebill', '/'), *others]
        node.callback()
        assert len(node.logger.at('warning')) == warnings
    assert 'there is another node /robot/timebill' in node.logger.at('warning')[0]


def test_a_node_in_the_root_namespace_knows_its_name() -> None:
    node = FakeNamedNode()
    node.get_fully_qualified_name = lambda: '/timebill'  # type: ignore[method-assign]
    NameWatch(node, None)
    node.graph.append(('timebill', '/'))
    node.callback()
    assert len(node.logger.at('warning')) == 1
