"""From what an operator chooses to an engine: for the worker, for training and benchmarks."""

import torch
import transformers

from timebill_ros.core.eviction_settings import EvictionSettings
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target

SERVED_EVICTION = EvictionSettings()


def loaded_engine(
    model: str = BUILT_IN,
    device: str = 'auto',
    dtype: str = 'auto',
    threads: int = 0,
    eviction: EvictionSettings = SERVED_EVICTION,
    quantization: str = 'auto',
    repetition_penalty: float = 0.0,
) -> Engine:
    """Return an engine; the defaults are the node's.

    Arguments:
        model, device, dtype, threads, quantization: as the node's parameters of these names.
        eviction: as the node's parameters eviction_*.
        repetition_penalty: as the node's; 0.0: what suits the model.

    Raises:
        ValueError: the model cannot be loaded; one sentence.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if threads > 0:
        torch.set_num_threads(threads)
    target = load_target(model, device, dtype, quantization)
    penalty = repetition_penalty or target.repetition_penalty
    return Engine(target, DecodingSettings(penalty), eviction)
