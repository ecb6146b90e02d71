"""A leaf of a behaviour tree asks what to do; without an answer in time, it acts safely.

Start the node first (`ros2 launch timebill_ros timebill.launch.py`), then
`ros2 run timebill_ros behavior_tree --rounds 6`.
"""

import argparse
import enum
import sys
from dataclasses import dataclass

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from timebill_ros.client import Reply, ReplyFuture, TimeBillClient

TICK_PERIOD_S = 0.1
SPEED_M_PER_S = 0.5
ACTIONS = ('GO', 'TURN', 'WAIT')
SAFE_ACTION = 'WAIT'


@dataclass(frozen=True)
class Obstacle:
    """An obstacle ahead. The robot must decide before it reaches the obstacle."""

    what: str
    distance_m: float

    @property
    def time_budget_s(self) -> float:
        """Time until the robot reaches the obstacle [s]."""
        return self.distance_m / SPEED_M_PER_S

    def __str__(self) -> str:
        return f'{self.what}, {self.time_budget_s:.2f} s away'


OBSTACLES = (
    Obstacle('a closed door', 4.0),
    Obstacle('a person who walks towards the robot', 2.0),
    Obstacle('a box that has just fallen', 0.02),
)


class Status(enum.Enum):
    """The status that a tick of a leaf returns."""

    RUNNING = 'running'
    SUCCESS = 'success'


class AskWhatToDo:
    """The leaf. Its first tick asks, the next ones look for the reply. It never blocks."""

    def __init__(self, client: TimeBillClient, obstacle: Obstacle) -> None:
        self._client = client
        self.obstacle = obstacle
        self._future: ReplyFuture | None = None
        self.action = ''
        self.because = ''

    def tick(self) -> Status:
        """Ask, or look for the reply. After SUCCESS, `action` and `because` are set."""
        if self._future is None:
            self._future = self._client.ask(
                f'A robot drives at {SPEED_M_PER_S} m/s. {self.obstacle.distance_m} m ahead is '
                f'{self.obstacle.what}. What should it do? Answer with one word: '
                f'{", ".join(ACTIONS)}.',
                self.obstacle.time_budget_s,
                max_new_tokens=8,
            )
        if not self._future.done():
            return Status.RUNNING
        self.action, self.because = decide(self._future.result())
        return Status.SUCCESS


def decide(reply: Reply) -> tuple[str, str]:
    """Return the action in a reply, or the safe action, and the reason."""
    if not reply.answered:
        return SAFE_ACTION, f'{reply.reason}: {reply.detail}'
    found = [action for action in ACTIONS if action in reply.text.upper()]
    if len(found) != 1:
        return SAFE_ACTION, f'no such action: {reply.text!r}'
    return found[
        0
    ], f'answered {reply.text!r}, {reply.message.bill.slack:.2f} s before the deadline'


class Robot(Node):
    """Ticks its leaves, one obstacle after the other."""

    def __init__(self, rounds: int) -> None:
        super().__init__('robot')
        self._client = TimeBillClient(self)
        self._leaves = [
            AskWhatToDo(self._client, OBSTACLES[number % len(OBSTACLES)])
            for number in range(rounds)
        ]
        self.create_timer(TICK_PERIOD_S, self._tick)

    @property
    def is_done(self) -> bool:
        """Whether no obstacle is left."""
        return not self._leaves

    def close(self) -> None:
        """Stop asking."""
        self._client.close()
        self.destroy_node()

    def _tick(self) -> None:
        if not self.is_done and self._leaves[0].tick() is Status.SUCCESS:
            leaf = self._leaves.pop(0)
            self.get_logger().info(f'{leaf.obstacle}: {leaf.action} ({leaf.because})')


def main() -> int:
    """Drive to some obstacles; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=6, help='obstacles to meet')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    rclpy.init()
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
