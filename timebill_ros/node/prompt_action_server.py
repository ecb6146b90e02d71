"""An action server that takes several requests in one turn of the executor."""

from typing import Any

from rclpy.action import ActionServer

MOST_AT_ONCE = 5
"""So many requests of a kind; then it is the turn of others, who wait the longer the more."""


class PromptActionServer(ActionServer):
    """Takes a burst of requests in few turns.

    rclpy's takes one goal, one cancellation and one request for a result in a turn. To prepare a
    turn takes longer than to take a request, so that the results of a burst would be late.
    """

    async def execute(self, taken_data: Any) -> None:
        """Do what was taken, and some of what else has come."""
        await super().execute(taken_data)
        if 'expired' in taken_data:
            return  # rclpy's take_data() fails if it is told so again, and none is left
        for _ in range(MOST_AT_ONCE - 1):
            more = self.take_data()
            if not more:
                return
            await super().execute(more)
