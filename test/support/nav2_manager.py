"""A small lifecycle manager that drives the node as nav2's does, with a bond."""

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

    def _change_to(self, transition: str, state: str) -> None:
        self.make(transition)
        assert self.state == state
