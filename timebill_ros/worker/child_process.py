"""How the worker process behaves: it yields to the node, and dies before it and with it."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def settle(parent: int) -> None:
    """Make this process a good child.

    Arguments:
        parent: process id of the node; if it is gone already, this process ends.
    """
    # The signal comes when the thread that started this process ends, with the node or before.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ['TQDM_DISABLE'] = '1'  # libraries' progress bars are no lines of a log
    # At the node's own priority, torch makes its timers 16 ms late; at nice 10, 5 ms.
    os.nice(10)
    # Out of memory: the kernel takes this process, not the node.
    with contextlib.suppress(OSError):
        Path('/proc/self/oom_score_adj').write_text('800')


def pin_to(cpus: Collection[int]) -> str:
    """Run on some CPUs only, with all threads that this one starts; return '', or why not.

    Arguments:
        cpus: their numbers; empty: any.
    """
    try:
        if cpus:
            os.sched_setaffinity(0, cpus)
    except OSError as error:
        names = ', '.join(map(str, sorted(cpus)))
        return f'the inference cannot be bound to the CPUs {names} (cpu_affinity): {error}'
    return ''
