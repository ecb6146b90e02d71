"""A stand-in for the ROS package bondpy, which no package registry has."""

import sys
from types import ModuleType
from typing import Any

import pytest
from rclpy.node import Node
from std_msgs.msg import String


class FakeBond:
    """Has what the node uses of bondpy's Bond, and its publisher and subscription."""

    made: 'list[FakeBond]'

    def __init__(self, node: Node, topic: str, bond_id: str, on_broken: Any = None) -> None:
        self.node, self.topic, self.id, self.on_broken = node, topic, bond_id, on_broken
        self.heartbeat_period = self.heartbeat_timeout = 0.0
        self.doing = 'made'
        self.is_shutdown = False
        self.pub = node.create_publisher(String, topic, 1)
        self.made.append(self)

    def start(self) -> None:
        self.sub = self.node.create_subscription(String, self.topic, lambda _: None, 1)
        self.doing = 'started'

    def set_broken_callback(self, on_broken: Any) -> None:
        self.on_broken = on_broken

    def is_broken(self) -> bool:
        return self.doing == 'broken'

    def break_bond(self) -> None:
        assert self.doing == 'started'
        self.doing = 'breaking'

    def broken(self) -> None:
        """Be broken by the manager, or by its silence."""
        self.doing = 'broken'
        self.on_broken()

    def shutdown(self) -> None:
        self.is_shutdown = True
        self.sub.destroy()
        self.pub.destroy()
        self.doing = 'shut down'


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `bondpy` be found."""
    FakeBond.made = []
    package, module = ModuleType('bondpy'), ModuleType('bondpy.bondpy')
    package.__spec__ = sys.__spec__  # find_spec asks the loaded module
    module.Bond = FakeBond  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'bondpy', package)
    monkeypatch.setitem(sys.modules, 'bondpy.bondpy', module)
