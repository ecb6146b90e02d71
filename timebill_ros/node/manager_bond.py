"""The bond with nav2's lifecycle manager: its heartbeat tells the manager that the node lives."""

from typing import Any

from rclpy.node import Node

_TOPIC = 'bond'
_TIMEOUT_S = 4.0
"""The manager is gone when its own heartbeat has not come for so long, as for nav2's nodes."""
_PARAMETER = '/bond_disable_heartbeat_timeout'


class ManagerBond:
    """Exists while the node is active. If it breaks, the node goes on, and the manager decides.

    All methods are called in the executor's thread, or when the executor does not spin any more.

    Arguments:
        node: whose heartbeat it is; the bond has its name.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bond: Any = None
        self._ending: Any = None  # it waits for the manager to hear of its end

    def form(self, period_s: float) -> None:
        """Begin to send heartbeats.

        Arguments:
            period_s: between them [s]; 0.0: none is sent.
        """
        if period_s == 0.0:
            return
        self._remove(self._ending)
        from bondpy.bondpy import Bond

        # bondpy declares it each time that a bond breaks, and fails the second time.
        if self._node.has_parameter(_PARAMETER):
            self._node.undeclare_parameter(_PARAMETER)
        self._bond = Bond(self._node, _TOPIC, self._node.get_name(), on_broken=self._on_broken)
        self._bond.heartbeat_period = period_s
        self._bond.heartbeat_timeout = _TIMEOUT_S
        self._bond.start()

    def dissolve(self) -> None:
        """Begin to tell the manager that the heartbeats end, if there are any."""
        bond, self._bond = self._bond, None
        if bond is None:
            return
        if bond.is_broken():
            self._remove(bond)
            return
        self._ending = bond
        bond.set_broken_callback(lambda: self._remove_soon(bond))
        bond.break_bond()

    def close(self) -> None:
        """End all heartbeats at once."""
        for bond in (self._bond, self._ending):
            self._remove(bond)
        self._bond = None

    def _remove_soon(self, bond: Any) -> None:
        """Remove a bond in the executor's thread; bondpy calls in any."""
        if self._node.executor is not None:
            self._node.executor.create_task(self._remove, bond)

    def _remove(self, bond: Any) -> None:
        if bond is None or bond.is_shutdown:
            return
        self._ending = None
        bond.set_broken_callback(None)
        bond.shutdown()
        # bondpy leaves both in the node's lists.
        self._node.destroy_subscription(bond.sub)
        self._node.destroy_publisher(bond.pub)

    def _on_broken(self) -> None:
        self._node.get_logger().warning(
            'the bond with the lifecycle manager is broken: is the manager gone, was there one?'
        )
