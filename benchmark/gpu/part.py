"""One part of the benchmark in a process of its own: `python -m benchmark.gpu.part NAME DEVICE`.

A fault of the device ends its process, and one that hangs must be killed: neither may take the
other parts along. Each finding is a line of JSON.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
import transformers

from benchmark.gpu.correctness import check_all
from benchmark.gpu.device_time import describe_device
from benchmark.gpu.shape_costs import measure_shape
from benchmark.gpu.targets import SHAPES
from benchmark.gpu.tell import Tell, sentence
from benchmark.report.machine import describe_machine
from timebill_ros.inference.loading.device_choice import choose_device


def _describe(device: torch.device, tell: Tell) -> None:
    tell(describe_machine(), 'machine')
    tell(describe_device(device), 'device')


def _below(tell: Tell, name: str) -> Tell:
    def tell_below(value: Any, *path: str) -> None:
        tell(value, name, *path)

    return tell_below


def _shape(name: str) -> Callable[[torch.device, Tell], None]:
    return lambda device, tell: measure_shape(SHAPES[name], device, _below(tell, 'shapes'))


PARTS: dict[str, Callable[[torch.device, Tell], None]] = {
    'machine': _describe,
    'correctness': lambda device, tell: check_all(device, _below(tell, 'correctness')),
    **{name: _shape(name) for name in SHAPES},
}


def _tell(value: Any, *path: str) -> None:
    print(json.dumps({'path': path, 'value': value}), flush=True)


def main() -> int:
    """Run the part that the first argument names; return 1 if it failed as a whole."""
    name, device = sys.argv[1:]
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        PARTS[name](choose_device(device), _tell)
    except Exception as error:
        _tell(sentence(error), 'parts', name)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
