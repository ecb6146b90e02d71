"""How it is measured how soon a generation ends."""

from collections.abc import Callable

import torch

from benchmark.gpu.kill_latency import _aborted, _behind_queue
from benchmark.gpu.scenarios import NEVER
from benchmark.gpu.targets import tiny_target
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.step.graph_step import GraphStep


def engine() -> Engine:
    target = tiny_target('llama', torch.device('cpu'), torch.float32)
    return Engine(target, DecodingSettings(), step=GraphStep(target.model))


def test_a_generation_ends_after_each_abort() -> None:
    def begun(interrupt: Interrupt) -> Callable[[], None]:
        def run() -> None:
            while interrupt is not NEVER:  # that run tells how long it takes
                interrupt.check()

        return run

    found = _aborted(engine(), begun)
    assert found['n'] == 5
    assert 0 < found['returned_ms'] <= found['free_ms']


def test_what_has_ended_before_is_no_latency() -> None:
    found = _aborted(engine(), lambda _: lambda: None)
    assert found == {'failed': 'it had ended before each abort'}


def test_steps_that_are_queued_are_waited_for() -> None:
    tried = engine()
    found = _behind_queue(tried, list(range(3, 40)))
    assert found['n'] == 5
    assert 0 < found['returned_ms'] <= found['free_ms']
