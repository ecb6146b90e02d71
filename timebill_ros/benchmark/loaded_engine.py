"""The engine as the node's worker would run it, for benchmarks and the profile command."""

import torch
import transformers

from timebill_ros.core.eviction_settings import EvictionSettings
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.model_loader import BUILT_IN, load_target

SERVED_EVICTION = EvictionSettings()


def loaded_engine(
    model: str = BUILT_IN,
    device: str = 'auto',
    dtype: str = 'auto',
    threads: int = 0,
    eviction: EvictionSettings = SERVED_EVICTION,
    quantization: str = 'auto',
) -> Engine:
    """Return an engine with the node's defaults.

    Arguments:
        model, device, dtype, threads, quantization: as the node's parameters of these names.
        eviction: as the node's parameters eviction_*.

    Errors:
        ValueError: the model cannot be loaded; one sentence.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if threads > 0:
        torch.set_num_threads(threads)
    target = load_target(model, device, dtype, quantization)
    return Engine(target, DecodingSettings(target.repetition_penalty), eviction)
