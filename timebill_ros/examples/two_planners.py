"""Two askers share one node: one has short, urgent questions, the other a long one.

Start the node first (`ros2 launch timebill_ros timebill.launch.py`), then
`ros2 run timebill_ros two_planners --rounds 3`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from timebill_ros.client import Reply, TimeBillClient
from timebill_ros.log_files import ros_arguments, why_no_log_files

ROUND_S = 6.0


@dataclass(frozen=True)
class Routine:
    """The question of an asker, how often it asks, and its time budget."""

    name: str
    prompt: str
    time_budget_s: float
    max_new_tokens: int
    questions_a_round: int


ROUTINES = (
    Routine(
        'reflex', 'A person stands in the way. Stop, or go on? Answer in one word.', 1.5, 4, 4
    ),
    Routine(
        'mission',
        'A robot has to bring a box from the store to the workshop, and its battery is at 40 %. '
        'Write the plan in numbered steps.',
        15.0,
        96,
        1,
    ),
)


class Asker(Node):
    """An asker. It repeats its question, one at a time."""

    def __init__(self, routine: Routine, rounds: int) -> None:
        super().__init__(f'{routine.name}_asker')
        self.replies: list[Reply] = []
        self._routine = routine
        self._questions = rounds * routine.questions_a_round
        self._client = TimeBillClient(self, asker=routine.name)
        self.create_timer(ROUND_S / routine.questions_a_round, self._ask)

    @property
    def is_done(self) -> bool:
        """Whether all of its questions have been replied to."""
        return len(self.replies) >= self._questions

    async def _ask(self) -> None:
        if self.is_done:
            return
        # The timer's callback group is busy until the reply is there, so the next question waits.
        reply = await self._client.ask(
            self._routine.prompt,
            self._routine.time_budget_s,
            max_new_tokens=self._routine.max_new_tokens,
        )
        self.replies.append(reply)
        self.get_logger().info(describe(reply))

    def close(self) -> None:
        """Stop asking."""
        self._client.close()
        self.destroy_node()


def describe(reply: Reply) -> str:
    """Return a reply as one line for the log."""
    bill = reply.message.bill
    if not reply.answered:
        return f'missed, {reply.reason}: {reply.detail}'
    return (
        f'{bill.response_tokens} tokens after {bill.time_budget - bill.slack:.2f} of '
        f'{bill.time_budget:.2f} s ({bill.queue_time:.2f} s in the queue): '
        f'{" ".join(reply.text.split())[:60]!r}'
    )


def summary(askers: Sequence[Asker]) -> str:
    """Return how many replies of each asker were in time, one line each."""
    return '\n'.join(
        f'{asker.get_name()}: {sum(reply.in_time for reply in asker.replies)} of '
        f'{len(asker.replies)} in time'
        for asker in askers
    )


def main() -> int:
    """Run both askers for some rounds; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=3, help='questions of the mission asker')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    rclpy.init(args=ros_arguments(sys.argv, why_no_log_files()))
    askers = [Asker(routine, arguments.rounds) for routine in ROUTINES]
    executor = SingleThreadedExecutor()
    for asker in askers:
        executor.add_node(asker)
    try:
        while not all(asker.is_done for asker in askers):
            executor.spin_once()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    print(summary(askers))
    for asker in askers:
        asker.close()
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
