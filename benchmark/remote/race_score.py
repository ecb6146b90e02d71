"""What a race is worth: its score beside that of each engine alone, with a larger remote model."""

import random
import re
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.remote.asker import Asked, Asker
from benchmark.remote.llama_cpp_server import llama_cpp_server
from benchmark.remote.node_and_asker import node_and_asker
from benchmark.report.machine import describe_machine
from timebill_ros.msg import Query

SEED = 20261128
BUDGETS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
ARMS = {'race': Query.RACE, 'remote': Query.ONLY, 'local': Query.OFF}
_MOST_TOKENS = 32


@dataclass(frozen=True)
class Sum:
    """A question whose answer can be checked."""

    prompt: str
    answer: int

    @classmethod
    def drawn(cls, draw: random.Random) -> 'Sum':
        """Return a question about two shelves."""
        left, right = draw.randint(3, 20), draw.randint(3, 20)
        prompt = f'Shelf A holds {left} boxes. Shelf B holds {right} boxes. '
        prompt += 'How many boxes are there in all? Answer with one number only.'
        return cls(prompt, left + right)

    def score(self, asked: Asked) -> int:
        """Return 1 for a right answer in time, else 0."""
        if asked.is_violation or asked.outcome != 'ANSWERED':
            return 0
        numbers = re.findall(r'\d+', asked.replies[0][0].text)
        return int(bool(numbers) and int(numbers[-1]) == self.answer)


def measure_race(python: str, model: Path, questions: int) -> dict[str, Any]:
    """Return the scores at each time budget.

    Arguments:
        python: an interpreter that has llama-cpp-python[server].
        model: the larger remote model, a GGUF file.
        questions: of each arm at each budget; the same for all.
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
        'score': {
            arm: [
                statistics.mean(one.score(asked) for a, b, one, asked in runs if (a, b) == at)
                for at in ((arm, budget_s) for budget_s in BUDGETS_S)
            ]
            for arm in ARMS
        },
        'race_answered_by': [
            dict(Counter(asked.answered_by for a, b, _, asked in runs if (a, b) == at))
            for at in (('race', budget_s) for budget_s in BUDGETS_S)
        ],
    }


def _measured(asker: Asker, questions: int) -> Iterator[tuple[str, float, Sum, Asked]]:
    """Ask; budgets and arms take turns, in an order that is drawn."""
    draw = random.Random(SEED)
    for _ in range(questions):
        one = Sum.drawn(draw)
        order = [(arm, budget_s) for budget_s in BUDGETS_S for arm in ARMS]
        draw.shuffle(order)
        for arm, budget_s in order:
            fields = {'max_new_tokens': _MOST_TOKENS, 'remote_policy': ARMS[arm]}
            yield arm, budget_s, one, asker.ask(one.prompt, budget_s, **fields)
