"""Some arms with one model: each a process, idle until it is its turn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmark.engine.arm_process import ArmError, ArmProcess
from timebill_ros.progress import Progress

SEED = 20251124
VOCABULARY = 49152
"""Random prompts are made of the first tokens, at most so many."""
_PROBE = {'ids': [1000, 2000, 3000, 4000] * 10, 'tokens': 2}

Runs = dict[tuple[str, int], list[dict[str, Any]]]


@dataclass(frozen=True)
class ArmStart:
    """How an arm is started.

    Arguments:
        name: of the arm.
        commands: tried in turn, until one answers.
        environment: its variables; None: those of this process.
        missing: why it cannot be started; ''.
    """

    name: str
    commands: Sequence[Sequence[str]]
    environment: Mapping[str, str] | None = None
    missing: str = ''


class Stage:
    """Measures arms in turns. Use as a context manager; arms that die are left out, and named.

    Arguments:
        starts: how the arms are started. Each is started twice: what is made once for a model, or
            read from the disk for the first time, does not count.

    `missing` tells by arm why it is not there any more.
    """

    def __init__(self, starts: Iterable[ArmStart]) -> None:
        self._starts = list(starts)
        self.arms: list[ArmProcess] = []
        self.missing: dict[str, str] = {}
        self._used_s = self._ran_s = 0.0

    def __enter__(self) -> 'Stage':
        with Progress(len(self._starts), 'arms') as progress:
            for start in self._starts:
                try:
                    self.arms.append(_started(start))
                except ArmError as error:
                    self.missing[start.name] = str(error)
                progress.advance(1, f'loaded {start.name}')
        return self

    def __exit__(self, *_: object) -> None:
        for arm in self.arms:
            arm.close()

    @property
    def idle_share(self) -> float:
        """The time of the CPU that idle arms took during measure(), of each second."""
        return self._used_s / max(self._ran_s, 1e-9)

    def measure(
        self, lengths: Sequence[int], tokens: int, rounds: int, vocabulary: int = VOCABULARY
    ) -> Runs:
        """Return runs by arm and length: random prompts, and so many tokens of an answer.

        The arms take turns in random order. The first round warms up, and is not returned.
        """
        runs: Runs = {}
        chance = Random(SEED)
        total = rounds * len(lengths) * len(self.arms)
        with Progress(total, 'runs') as progress:
            for number in range(rounds):
                for length in lengths:
                    prompt = random_ids(length, f'{SEED} {number} {length}', vocabulary)
                    for arm in chance.sample(self.arms, len(self.arms)):
                        run = self._alone(arm, ids=prompt, tokens=tokens)
                        if run is not None and number > 0:
                            runs.setdefault((arm.name, length), []).append(run)
                        progress.advance(1, f'{arm.name}, {length} tokens')
        return {key: found for key, found in runs.items() if key[0] not in self.missing}

    def answers(self, prompts: Sequence[list[int]], tokens: int) -> dict[str, list[list[int]]]:
        """Return the greedy answers of each arm, all of so many tokens."""
        tasks = [{'ids': ids, 'tokens': tokens, 'plainly': True} for ids in prompts]
        return self._each('answers', tasks, lambda found: found['tokens'])

    def read(self, texts: Sequence[list[int]]) -> dict[str, list[dict[str, Any]]]:
        """Return what each arm finds of each text; see scored() in peers/peer_arm/server.py."""
        return self._each('texts', [{'ids': ids} for ids in texts], lambda found: found)

    def need(self, name: str) -> None:
        """Go on only with this arm.

        Raises:
            ValueError: it is missing; one sentence.
        """
        if name in self.missing:
            raise ValueError(f'{name} fails: {self.missing[name]}')

    def _each(
        self, unit: str, tasks: Sequence[dict[str, Any]], take: Callable[[dict[str, Any]], Any]
    ) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        with Progress(len(tasks) * len(self.arms), unit) as progress:
            for arm in list(self.arms):
                for task in tasks:
                    if (answer := self._ask(arm, **task)) is None:
                        break
                    found.setdefault(arm.name, []).append(take(answer))
                    progress.advance(1, arm.name)
        return {name: values for name, values in found.items() if name not in self.missing}

    def _alone(self, arm: ArmProcess, **task: Any) -> dict[str, Any] | None:
        """Ask an arm, and count what the others compute meanwhile."""
        others = [other for other in self.arms if other is not arm]
        before_s = sum(other.cpu_s() for other in others)
        found = self._ask(arm, **task)
        if found is not None:
            self._used_s += sum(other.cpu_s() for other in others) - before_s
            self._ran_s += found['known_s'][-1]
        return found

    def _ask(self, arm: ArmProcess, **task: Any) -> dict[str, Any] | None:
        if arm.name in self.missing:
            return None
        try:
            return arm.ask(**task)
        except ArmError as error:
            self.missing[arm.name] = str(error)
            self.arms.remove(arm)
            return None


def random_ids(length: int, seed: str, vocabulary: int = VOCABULARY) -> list[int]:
    """Return a random prompt.

    Arguments:
        vocabulary: the model has so many tokens.
    """
    chance = Random(seed)
    return [chance.randrange(100, min(vocabulary, VOCABULARY)) for _ in range(length)]


def _started(start: ArmStart) -> ArmProcess:
    reason = start.missing or 'it has no command'
    for command in start.commands:
        try:
            first = ArmProcess(start.name, command, start.environment)
            first.ask(**_PROBE)
            first.close()
            return ArmProcess(start.name, command, start.environment)
        except ArmError as error:
            reason = str(error)
    raise ArmError(reason)
