"""Its own interpreter runs it: `python -m peer_arm NAME MODEL CONTEXT THREADS [plain]`.

It writes a JSON line as soon as the model is loaded, and one for each task that it reads.
"""

import sys
from collections.abc import Callable

from .llama_arms import ik_llama_cpp, llama_cpp
from .openvino_arm import OpenVino
from .server import Arm, serve

LOADED: dict[str, Callable[[str, int, int, bool], Arm]] = {
    'llama_cpp': llama_cpp,
    'ik_llama_cpp': ik_llama_cpp,
    'openvino': OpenVino,
}


def main() -> int:
    """Load the arm that the arguments name, and serve."""
    name, model, context, threads, *rest = sys.argv[1:]
    return serve(lambda: LOADED[name](model, int(context), int(threads), 'plain' not in rest))


if __name__ == '__main__':
    sys.exit(main())
