"""The time model of an engine: read if this machine has been measured before, else measured."""

import logging
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import torch
import transformers

from timebill_ros.core import profile_store
from timebill_ros.core.profile_store import ProfileKey
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.engine import PREFILL_CHUNKS, Engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.profiler import Profiler

_CPUINFO = Path('/proc/cpuinfo')
_BOARD = Path('/proc/device-tree/model')
_LOG_PERIOD_S = 5.0
_KERNELS = 8
"""Part of the key: to be raised when the same model is computed in another way."""


def time_model(
    engine: Engine, time_limit_s: float, progress: Callable[[float], None], anew: bool = False
) -> TimeModel:
    """Return the time model of an engine, from the cache folder or by profiling it now.

    Arguments:
        engine: used by no one else meanwhile.
        time_limit_s: profiling ends after about so long [s].
        progress: told the share that is done, in [0, 1], while it is measured.
        anew: measure also what is known.

    Raises:
        ValueError: the time was too short for a fit.
    """
    folder, key = cache_folder() / 'profiles', profile_key(engine)
    known = None if anew else profile_store.load(folder, key)
    if known is not None:
        return replace(known, speculates=engine.speculates)
    fitted = Profiler(engine, time_limit_s, progress).run()
    curves = {
        'prefill': fitted.prefill,
        'prefill behind a cached prompt': fitted.cached,
        'step': fitted.step,
    }
    for name, curve in curves.items():
        logging.info(
            'time of the %s: mean error %.1f %%, %d of %d measurements left out',
            name,
            curve.mape,
            curve.left_out,
            curve.samples,
        )
    try:
        profile_store.save(folder, key, fitted.model)
    except OSError as error:  # the disk is full, say
        logging.warning('the time model is not kept, and will be measured again: %s', error)
    return replace(fitted.model, speculates=engine.speculates)


class LogProgress:
    """Tells progress as a log line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next_s = time.monotonic()

    def __call__(self, share: float) -> None:
        """Log it, if the last line is old enough."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _LOG_PERIOD_S
            logging.info('%s: %.0f %%', self._what, 100 * share)


def profile_key(engine: Engine) -> ProfileKey:
    """Return the key of an engine's profile."""
    target = engine.target
    versions = (numpy.__version__, torch.__version__, transformers.__version__)
    return ProfileKey(
        model=target.name,
        weights_hash=target.weights_hash,
        device=device_name(target.device),
        dtype=str(target.dtype).removeprefix('torch.'),
        quantization=target.quantization,
        threads=str(torch.get_num_threads()),
        versions=' '.join((platform.python_version(), *versions)),
        kernels=(
            f'{_KERNELS} {engine.step.name} {engine.settings} {engine.scorer}'
            f'{" speculating" if engine.speculates else ""}'
        ),
        prefill_chunk=str(PREFILL_CHUNKS),
    )


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or of this machine's processor and its number of cores."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    lines = _CPUINFO.read_text(errors='replace').splitlines()
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    if not names and _BOARD.exists():  # ARM: /proc/cpuinfo has no names there
        names = [_BOARD.read_text(errors='replace').rstrip('\0')]
    cores = sum(line.startswith('processor') for line in lines)
    return f'{names[0] if names else platform.machine()} x {cores}'
