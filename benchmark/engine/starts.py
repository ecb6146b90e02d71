"""How each arm is started."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.engine.peer import PEERS, environment_of_peers, openvino_model
from benchmark.engine.stage import ArmStart

_NOT_THERE = '`make bench-engine-peers` makes its environment'


def own_starts(names: Sequence[str], source: str, threads: int) -> list[ArmStart]:
    """Return those that run in this environment.

    Arguments:
        names: of ARMS in arms.py.
        source: the parameter `model`; a GGUF file, or the built-in model.
    """
    command = [sys.executable, '-m', 'benchmark.engine.arms']
    return [ArmStart(name, [[*command, name, source, str(threads)]]) for name in names]


def peer_starts(
    gguf: Path, is_built_in: bool, context: int, threads: int, llama_python: str
) -> list[ArmStart]:
    """Return the other engines', if they can read the model.

    Arguments:
        gguf: the model.
        context: prompt and answer have at most so many tokens.
        llama_python: an interpreter with llama-cpp-python; '': that of its environment.
    """
    found = []
    for peer in PEERS:
        if not peer.reads_files and not is_built_in:
            continue
        given = llama_python if peer.name == 'llama_cpp' else ''
        model = gguf if peer.reads_files else openvino_model()
        if model.exists() and (given or peer.complete.is_file()):
            commands = peer.commands(given or peer.python, model, context, threads)
            found.append(ArmStart(peer.name, commands, environment_of_peers()))
        else:
            found.append(ArmStart(peer.name, [], missing=_NOT_THERE))
    return found
