"""An urgent query runs between two steps of another one, which may be dropped meanwhile."""

from collections.abc import Callable

import torch

from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.inference.give_way import Left
from timebill_ros.worker.protocol import Run
from timebill_ros.worker.urgent_queries import UrgentQueries


def run(number: int) -> Run:
    return Run(number, 8, 10.0, 10.0, PlannerSettings())


def urgent_queries(runs: list[Run], answer: Callable[[Run], None]) -> UrgentQueries:
    return UrgentQueries(lambda: runs.pop(0) if runs else None, answer, threads=1)


def test_all_that_is_urgent_is_answered_and_the_threads_are_put_back() -> None:
    threads, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    urgent = urgent_queries(
        [run(1), run(2)], lambda run: seen.append((run.number, torch.get_num_threads()))
    )
    left = Left(lambda: False, lambda: None)
    assert (urgent(left), urgent(left)) == (2, 0)
    assert seen == [(1, 1), (2, 1)]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_what_is_dropped_while_it_is_left_is_freed_between_two_steps_of_the_other() -> None:
    dropped, freed = set[str](), list[str]()

    def left(name: str) -> Left:
        return Left(lambda: name in dropped, lambda: freed.append(name))

    def answer(_: Run) -> None:
        assert not urgent.is_alone
        urgent(left('urgent'))
        assert freed == []
        dropped.add('patient')
        urgent(left('urgent'))
        assert freed == ['patient']

    urgent = urgent_queries([run(1)], answer)
    assert urgent(left('patient')) == 1
    assert urgent.is_alone
    freed.clear()
    urgent(left('next'))
    assert freed == []  # what has ended is not touched again
