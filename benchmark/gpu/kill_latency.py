"""How soon a generation ends after it was aborted, and how soon the device is free then."""

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmark.gpu.scenarios import NEVER
from benchmark.gpu.step_cost import random_ids
from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError

ANSWER_TOKENS = 64
_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the time of what is aborted."""


def kill_latency(engine: Engine, prompt_tokens: int) -> dict[str, Any]:
    """Return latencies of aborts during a prefill, during an answer, and behind queued steps.

    - returned_ms: until the generation has ended.
    - free_ms: until the device has finished what was queued.
    """
    ids = random_ids(engine, prompt_tokens)
    return {
        'prefill': _aborted(engine, lambda interrupt: _read(engine, ids, interrupt)),
        'answer': _aborted(engine, lambda interrupt: _write(engine, ids, interrupt)),
        'queued steps': _behind_queue(engine, ids),
    }


def _read(engine: Engine, ids: list[int], interrupt: Interrupt) -> Callable[[], object]:
    return lambda: engine.prefill(ids, ANSWER_TOKENS, interrupt)


def _write(engine: Engine, ids: list[int], interrupt: Interrupt) -> Callable[[], object]:
    prefilled = engine.prefill(ids, ANSWER_TOKENS, NEVER)
    return lambda: list(engine.decode(prefilled, ANSWER_TOKENS, interrupt))


def _aborted(engine: Engine, begun: Callable[[Interrupt], Callable[[], object]]) -> dict[str, Any]:
    """Abort something at several moments.

    Arguments:
        begun: returns what is to be aborted by an interrupt.
    """
    run = begun(NEVER)
    start_s = time.perf_counter()
    run()
    engine.synchronize()
    whole_s = time.perf_counter() - start_s
    returned_s, free_s = [], []
    for share in _SHARES:
        abort, set_at_s = AbortFlag(), list[float]()

        def kill(abort: AbortFlag = abort, set_at_s: list[float] = set_at_s) -> None:
            set_at_s.append(time.perf_counter())
            abort.set()

        run = begun(Interrupt(Deadline(float('inf')), abort))
        timer = threading.Timer(share * whole_s, kill)
        timer.start()
        try:
            run()
        except InterruptedGenerationError:
            returned_s.append(time.perf_counter() - set_at_s[0])
            engine.synchronize()
            free_s.append(time.perf_counter() - set_at_s[0])
        timer.join()
    if not returned_s:
        return {'failed': 'it had ended before each abort'}
    return {**_summary('returned_ms', returned_s), **_summary('free_ms', free_s)}


def _behind_queue(engine: Engine, ids: list[int]) -> dict[str, Any]:
    """Abort with as many steps queued as an answer has; the engine itself queues one."""
    returned_s, free_s = [], []
    for _ in _SHARES:
        abort = AbortFlag()
        prefilled = engine.prefill(ids, ANSWER_TOKENS, NEVER)
        token = prefilled.logits.argmax()
        start_s = float('nan')
        try:
            with engine.step.answering(prefilled.cache, len(ids), ANSWER_TOKENS) as step:
                for _ in range(ANSWER_TOKENS):
                    step.logits(token)
                start_s = time.perf_counter()
                abort.set()
                Interrupt(Deadline(float('inf')), abort).check()
        except InterruptedGenerationError:
            returned_s.append(time.perf_counter() - start_s)
            engine.synchronize()
            free_s.append(time.perf_counter() - start_s)
    return {**_summary('returned_ms', returned_s), **_summary('free_ms', free_s)}


def _summary(name: str, seconds: list[float]) -> dict[str, Any]:
    return {
        name: 1000 * statistics.median(seconds),
        f'{name}_max': 1000 * max(seconds),
        'n': len(seconds),
    }
