"""What a race is worth: its score beside that of each engine alone, with a larger remote model.

Every second question is a sum, which only the larger model can do; the others ask for a number
that stands in the prompt, which the built-in model finds as well.
"""

import random
import re
import statistics
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.remote.asker import Asked, Asker
from benchmark.remote.llama_cpp_server import llama_cpp_server
from benchmark.remote.node_and_asker import node_and_asker
from benchmark.report.machine import describe_machine
from timebill_ros.msg import Query

SEED = 20261128
BUDGETS_S = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
ARMS = {'race': Query.RACE, 'remote': Query.ONLY, 'local': Query.OFF}
_MOST_TOKENS = 32
_PLACES = ('aisle', 'bay', 'dock')


@dataclass(frozen=True)
class Task:
    """A question whose answer is a number."""

    kind: str
    prompt: str
    answer: int

    @classmethod
    def sum(cls, draw: random.Random) -> 'Task':
        """Return a question about two shelves."""
        left, right = draw.randint(3, 20), draw.randint(3, 20)
        prompt = f'Shelf A holds {left} boxes. Shelf B holds {right} boxes. '
        prompt += 'How many boxes are there in all? Answer with one number only.'
        return cls('sum', prompt, left + right)

    @classmethod
    def look_up(cls, draw: random.Random) -> 'Task':
        """Return a question whose answer stands in it."""
        place, number = draw.choice(_PLACES), draw.randint(100, 999)
        prompt = f'The robot parked in {place} {number} at noon. It rained. '
        return cls('look_up', f'{prompt}In which {place} did the robot park?', number)

    def score(self, asked: Asked) -> int:
        """Return 1 for a right answer in time, else 0."""
        if asked.is_violation or asked.outcome != 'ANSWERED':
            return 0
        numbers = re.findall(r'\d+', asked.replies[0][0].text)
        return int(bool(numbers) and int(numbers[-1]) == self.answer)


KINDS = ('sum', 'look_up')
_Run = tuple[str, float, Task, Asked]


def measure_race(python: str, model: Path, questions: int) -> dict[str, Any]:
    """Return the scores at each time budget.

    Arguments:
        python: an interpreter that has llama-cpp-python[server].
        model: the larger remote model, a GGUF file.
        questions: of each arm at each budget, the same for all; half of them are sums.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        llama_cpp_server(python, model, Path(folder) / 'log') as server,
        node_and_asker(f'http://127.0.0.1:{server.port}/v1', server.model) as asker,
    ):
        asker.ask('Hello.', 60.0, max_new_tokens=4, remote_policy=Query.ONLY)
        runs = list(_measured(asker, questions))
    return {
        'machine': describe_machine(),
        'seed': SEED,
        'remote_model': model.stem,
        'questions': questions,
        'budgets': BUDGETS_S,
        'violations': sum(asked.is_violation for _, _, _, asked in runs),
        'score': {arm: _scores(runs, arm, KINDS) for arm in ARMS},
        **{f'score_{kind}': {arm: _scores(runs, arm, (kind,)) for arm in ARMS} for kind in KINDS},
        'race_answered_by': [
            dict(Counter(asked.answered_by for a, b, _, asked in runs if (a, b) == at))
            for at in (('race', budget_s) for budget_s in BUDGETS_S)
        ],
    }


def _scores(runs: Sequence[_Run], arm: str, kinds: Collection[str]) -> list[float]:
    """Return an arm's mean score at each budget, of the tasks of some kinds."""
    return [
        statistics.mean(
            task.score(asked)
            for a, b, task, asked in runs
            if (a, b) == (arm, budget_s) and task.kind in kinds
        )
        for budget_s in BUDGETS_S
    ]


def _measured(asker: Asker, questions: int) -> Iterator[_Run]:
    """Ask; budgets and arms take turns, in an order that is drawn."""
    draw = random.Random(SEED)
    for number in range(questions):
        one = (Task.sum, Task.look_up)[number % 2](draw)
        order = [(arm, budget_s) for budget_s in BUDGETS_S for arm in ARMS]
        draw.shuffle(order)
        for arm, budget_s in order:
            fields = {'max_new_tokens': _MOST_TOKENS, 'remote_policy': ARMS[arm]}
            yield arm, budget_s, one, asker.ask(one.prompt, budget_s, **fields)
