"""From the parameter `length_predictor` to a predictor for the loaded target."""

import json
import logging
from pathlib import Path

from timebill_ros.inference.length.classifier_predictor import KEY_FILE, ClassifierPredictor
from timebill_ros.inference.length.length_predictor import LengthPredictor, NoPredictor
from timebill_ros.inference.length.predictor_key import PredictorKey, refuse_another_target
from timebill_ros.inference.length.state_predictor import load_state_predictor
from timebill_ros.inference.loading.model_loader import TargetModel

CHECKPOINTS = Path(__file__).parent / 'checkpoints'


def load_predictor(source: str, target: TargetModel, repetition_penalty: float) -> LengthPredictor:
    """Load a length predictor.

    Arguments:
        source: 'auto' (the predictor of this package, if it has one for the target), 'none',
            a .safetensors file that training has written, or a sequence classification model: a
            folder in Hugging Face format or a hub id.
        repetition_penalty: the penalty that the target uses.

    Raises:
        ValueError: the source cannot be loaded, or is for another target; one sentence.
    """
    if source == 'none':
        return NoPredictor()
    if source == 'auto':
        return _packaged(target, repetition_penalty)
    path = Path(source).expanduser()
    if path.suffix == '.safetensors':
        return load_state_predictor(path, target, repetition_penalty)
    if not path.is_dir() and (source.startswith(('.', '/', '~')) or source.count('/') != 1):
        raise ValueError(
            f"length_predictor {source!r} does not exist: it must be 'auto', 'none', a "
            ".safetensors file, a folder in Hugging Face format, or a hub id 'owner/name'"
        )
    if path.is_dir():
        _check_folder(path, target, repetition_penalty)
    return ClassifierPredictor(str(path) if path.is_dir() else source, target.device, target.dtype)


def _check_folder(folder: Path, target: TargetModel, repetition_penalty: float) -> None:
    path = folder / KEY_FILE
    if not path.exists():
        logging.warning("%s has no %s: it may be another target's", folder, KEY_FILE)
        return
    try:
        key = PredictorKey(**json.loads(path.read_text(encoding='utf-8')))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f'{path} is damaged: {error}') from error
    refuse_another_target(str(folder), key, target, repetition_penalty)


def _packaged(target: TargetModel, repetition_penalty: float) -> LengthPredictor:
    reasons = []
    for path in sorted(CHECKPOINTS.glob('*.safetensors')):
        try:
            return load_state_predictor(path, target, repetition_penalty)
        except ValueError as error:
            reasons.append(str(error))
    logging.warning(
        'no length predictor for this target: every answer is planned as long as max_new_tokens '
        'allows (%s)',
        '; '.join(reasons) or 'none comes with this package',
    )
    return NoPredictor()
