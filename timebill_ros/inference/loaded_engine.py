"""From what an operator chooses to an engine: for the worker, for training and benchmarks."""

import torch
import transformers

from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.cache.scorers import SCORERS
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.checked_engine import checked_engine
from timebill_ros.inference.default_threads import default_threads
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.loading.model_loader import load_target

SERVED = ModelSettings()


def loaded_engine(
    settings: ModelSettings = SERVED, scorer: Scorer | None = None, speculates: bool = True
) -> Engine:
    """Return an engine.

    Arguments:
        settings: the node's parameters; the default is theirs.
        scorer: evicts in place of the one that settings names, for the laboratory.
        speculates: as for Engine. The laboratory turns it off where it measures single steps.

    Raises:
        ValueError: the model cannot be loaded, or not be computed right; one sentence.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(settings.threads or default_threads(not settings.cpus))
    target = load_target(
        settings.model,
        settings.device,
        settings.dtype,
        settings.quantization,
        settings.chat_template,
    )
    penalty = settings.repetition_penalty or target.repetition_penalty
    scorer = scorer or SCORERS[settings.eviction_scorer]()
    try:
        engine = Engine(target, DecodingSettings(penalty), scorer)
    except (AttributeError, LookupError, TypeError, NotImplementedError) as error:
        raise ValueError(
            f'model {target.name!r} cannot be served: its class {type(target.model).__name__} is '
            f'not built as this engine expects ({type(error).__name__}: {error})'
        ) from error
    return checked_engine(engine, speculates)
