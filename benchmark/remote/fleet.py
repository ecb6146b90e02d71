"""How many robots one server serves on time: askers on a plan of their own, one deadline each."""

import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmark.remote.chat_server import ChatServer
from benchmark.report.machine import describe_machine
from timebill_ros.remote.protocol import Ask, Connect, Done, Fault, FromRemote
from timebill_ros.remote.server import Server

SEED = 20261129
ROBOTS = (1, 2, 4, 8, 16, 32)
PERIOD_S = 4.0
BUDGET_S = 2.0
SECONDS = 24.0
MOST_TOKENS = 24
_PROMPT = 'You are robot {robot}. Battery at {battery} percent, the dock is {metres} metres away. '
_PROMPT += 'Say in a few words what to do next, and why.'


def measure_fleet(
    server_of: Callable[[Path], AbstractContextManager[ChatServer]],
) -> dict[str, Any]:
    """Return the share of queries on time for each number of robots.

    Arguments:
        server_of: runs the server, with a file for what it prints.
    """
    with tempfile.TemporaryDirectory() as folder, server_of(Path(folder) / 'log') as server:
        url = f'http://127.0.0.1:{server.port}/v1/chat/completions'
        connect = Connect(url, server.model, '', '', 30.0)
        asyncio.run(_Fleet(connect, 1, random.Random(SEED)).run(PERIOD_S))  # warms up
        found = [
            asyncio.run(_Fleet(connect, robots, random.Random(SEED)).run(SECONDS))
            for robots in ROBOTS
        ]
    return {
        'machine': describe_machine(),
        'seed': SEED,
        'period_s': PERIOD_S,
        'budget_s': BUDGET_S,
        'max_new_tokens': MOST_TOKENS,
        'robots': ROBOTS,
        'queries': [len(times) for times in found],
        'on_time': [statistics.mean(t <= BUDGET_S for t in times) for times in found],
        'median_s': [round(statistics.median(times), 3) for times in found],
    }


class _Fleet:
    """Robots that share a server. An answer that does not come has the time infinity."""

    def __init__(self, connect: Connect, robots: int, draw: random.Random) -> None:
        self._server = Server(connect, self._take)
        self._robots = robots
        self._draw = draw
        self._asked_at_s: dict[int, float] = {}
        self._took_s: dict[int, float] = {}

    async def run(self, seconds: float) -> list[float]:
        """Return how long each answer took [s]."""
        phases = [self._draw.uniform(0.0, PERIOD_S) for _ in range(self._robots)]
        await asyncio.gather(
            *(self._robot(number, phase_s, seconds) for number, phase_s in enumerate(phases))
        )
        return [self._took_s.get(number, float('inf')) for number in self._asked_at_s]

    async def _robot(self, robot: int, phase_s: float, seconds: float) -> None:
        begin_s = time.monotonic() + phase_s
        asked = []
        for count in range(round(seconds / PERIOD_S)):
            await asyncio.sleep(max(0.0, begin_s + count * PERIOD_S - time.monotonic()))
            asked.append(asyncio.create_task(self._ask(robot)))
        await asyncio.gather(*asked)

    async def _ask(self, robot: int) -> None:
        number, now_s = len(self._asked_at_s), time.monotonic()
        self._asked_at_s[number] = now_s
        battery, metres = self._draw.randint(5, 95), self._draw.randint(5, 95)
        prompt = _PROMPT.format(robot=robot, battery=battery, metres=metres)
        ask = Ask(number, prompt, '', '', (), None, MOST_TOKENS, now_s + BUDGET_S)
        with contextlib.suppress(asyncio.TimeoutError):  # the stream is closed, as a node does
            await asyncio.wait_for(self._server.answer(ask), BUDGET_S)

    def _take(self, message: FromRemote) -> None:
        if isinstance(message, Fault):
            raise RuntimeError(message.detail)
        if isinstance(message, Done):
            self._took_s[message.number] = time.monotonic() - self._asked_at_s[message.number]
