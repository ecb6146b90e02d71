"""A behaviour tree asks what to do; without a sure answer in time, the robot acts safely.

Start the node first (`ros2 launch timebill_ros timebill.launch.py`), then
`ros2 run timebill_ros behavior_tree --rounds 6`.
"""

import argparse
import itertools
import sys
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from timebill_ros.client import TimeBillClient
from timebill_ros.examples import tree
from timebill_ros.examples.leaves import Decision, DetourPlan, Obstacle, Status
from timebill_ros.log_files import ros_arguments, why_no_log_files

TICK_PERIOD_S = 0.1
OBSTACLES = (
    Obstacle('a closed door', 4.0),
    Obstacle('a person who walks towards the robot', 2.0),
    Obstacle('a box that has just fallen', 0.02),
)


class Robot(Node):
    """Meets one obstacle after the other. A sequence decides on each, and plans a detour."""

    def __init__(self, rounds: int) -> None:
        super().__init__('robot')
        self._client = TimeBillClient(self)
        obstacles = itertools.islice(itertools.cycle(OBSTACLES), rounds)
        self._rounds = [self._round(obstacle) for obstacle in obstacles]
        if not tree.is_installed():
            self.get_logger().info(tree.NOT_INSTALLED)
        self.create_timer(TICK_PERIOD_S, self._tick)

    @property
    def is_done(self) -> bool:
        """Whether no obstacle is left."""
        return not self._rounds

    def close(self) -> None:
        """Stop asking."""
        self._client.close()
        self.destroy_node()

    def _round(self, obstacle: Obstacle) -> tuple[Decision, Callable[[], Status]]:
        decision = Decision(self._client, obstacle)
        detour = DetourPlan(self._client, decision)
        return decision, tree.sequence(obstacle.what, (decision, detour))

    def _tick(self) -> None:
        if self.is_done:
            return
        decision, tick = self._rounds[0]
        if tick() is Status.SUCCESS:
            self._rounds.pop(0)
            self.get_logger().info(f'{decision.obstacle}: {decision.action} ({decision.because})')


def main() -> int:
    """Drive to some obstacles; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=6, help='obstacles to meet')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    rclpy.init(args=ros_arguments(sys.argv, why_no_log_files()))
    robot = Robot(arguments.rounds)
    try:
        while not robot.is_done:
            rclpy.spin_once(robot)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    robot.close()
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
