"""Warns of another node of the same full name: both would answer each query."""

from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.timer import Timer

_FIRST_LOOK_S = 5.0
_PERIOD_S = 60.0


class NameWatch:
    """Looks at the graph some seconds after the start, and then once a minute.

    Arguments:
        node: whose name it is.
        clock: for the timer; one that never stands still.
    """

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._is_shared = False
        self._timer: Timer = node.create_timer(_FIRST_LOOK_S, self._look_first, clock=clock)

    def look(self) -> None:
        """Warn once, as long as the name is shared."""
        own = self._node.get_fully_qualified_name()
        names = [
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self._node.get_node_names_and_namespaces()
        ]
        was_shared, self._is_shared = self._is_shared, names.count(own) > 1
        if self._is_shared and not was_shared:
            self._node.get_logger().warning(
                f'there is another node {own}: each query gets two replies, and parameters and '
                'services reach either; give one of them another name or namespace (a node that '
                'has just been killed is seen for some 20 s more)'
            )

    def _look_first(self) -> None:
        self._node.destroy_timer(self._timer)
        self._timer = self._node.create_timer(_PERIOD_S, self.look, clock=self._clock)
        self.look()
