"""A small lifecycle manager that drives the node as nav2's does, with a bond."""

import threading
from typing import Any

from rclpy.duration import Duration

from support.asker import Asker
from support.lifecycle_manager import LifecycleManager


class Nav2Manager(LifecycleManager):
    """After each transition it asks for the state; it bonds after activate.

    Arguments:
        asker: its node is the manager's too.
        bond_timeout_s: as nav2's parameter.
    """

    def __init__(self, asker: Asker, bond_timeout_s: float = 4.0) -> None:
        super().__init__(asker)
        self._node = asker.node
        self._bond_timeout_s = bond_timeout_s
        self.bond: Any = None

    def bring_up(self) -> bool:
        """Configure and activate; return whether the bond is formed then."""
        self._change_to('configure', 'inactive')
        self._change_to('activate', 'active')
        from bondpy.bondpy import Bond

        self.bond = Bond(self._node, 'bond', 'timebill')
        self.bond.heartbeat_timeout = self._bond_timeout_s
        self.bond.start()
        return bool(self.bond.wait_until_formed(Duration(seconds=self._bond_timeout_s / 2)))

    def take_down(self) -> None:
        """Deactivate and clean up; the node dissolves the bond."""
        self._change_to('deactivate', 'inactive')
        self._change_to('cleanup', 'unconfigured')

    def release(self) -> None:
        """Remove the bond, in the executor's thread: bondpy's entities must not be waited for."""
        is_removed = threading.Event()

        def remove() -> None:
            self.bond.shutdown()
            self._node.destroy_subscription(self.bond.sub)
            self._node.destroy_publisher(self.bond.pub)
            is_removed.set()

        self._node.executor.create_task(remove)
        assert is_removed.wait(5.0)

    def _change_to(self, transition: str, state: str) -> None:
        self.make(transition)
        assert self.state == state
