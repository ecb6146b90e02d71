"""Answers the tasks of the benchmark's process, of which each is a line of JSON."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Arm(Protocol):
    """A way to run a model. Its answers are greedy, and never end before their last token."""

    weight_bytes: int

    def generate(self, ids: list[int], tokens: int, plainly: bool) -> dict[str, Any]:
        """Answer a prompt.

        Arguments:
            plainly: without the repetition penalty that the arm may have.

        Returns:
            tokens: of the answer. known_s: when each was known, from the start. unchecked_s: the
            longest time of the prefill in which nothing could have ended it; all in seconds.
        """

    def read(self, ids: list[int]) -> dict[str, Any]:
        """Return what scored() says of a text."""


def scored(logits: npt.NDArray[np.float32], following: list[int]) -> dict[str, Any]:
    """Compare predictions with what follows.

    Arguments:
        logits: (tokens, vocabulary).
        following: the token after each of them.

    Returns:
        log_likelihood: mean of the tokens [nats]; top: the likeliest token in each place.
    """
    highest = logits.max(-1)
    sums = np.exp(logits - highest[:, None], dtype=np.float32).sum(-1, dtype=np.float64)
    right = logits[np.arange(len(following)), following]
    return {
        'log_likelihood': float((right - highest - np.log(sums)).mean()),
        'top': logits.argmax(-1).tolist(),
    }


def serve(load: Callable[[], Arm]) -> int:
    """Answer the tasks on the standard input until it is closed; return the exit status."""
    channel = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # libraries print

    def tell(found: dict[str, Any]) -> None:
        print(json.dumps(found), file=channel, flush=True)

    try:
        arm = load()
    except ModuleNotFoundError as error:
        tell({'missing': str(error)})
        return 0
    tell({'weight_bytes': arm.weight_bytes})
    for line in sys.stdin:
        task = json.loads(line)
        if 'tokens' in task:
            found = arm.generate(task['ids'], task['tokens'], task.get('plainly', False))
            tell({**found, 'rss_mb': peak_memory_mb()})
        else:
            tell(arm.read(task['ids']))
    return 0


def peak_memory_mb() -> float:
    """Return the most memory that this process has had resident."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith('VmHWM'))
