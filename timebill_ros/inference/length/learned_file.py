"""Where the node keeps what it learns of the lengths of a model's answers."""

import hashlib
import json
import logging

from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.model_loader import TargetModel


def learned_file(target: TargetModel, repetition_penalty: float) -> str:
    """Return the path of a target's file, of all that gives other answers; '': nowhere.

    Arguments:
        repetition_penalty: the penalty that the target uses.
    """
    key = [target.weights_hash, target.quantization, repetition_penalty]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:20]
    try:
        path = str(cache_folder() / 'learned_lengths' / f'lengths-{name}.json')
        path.encode()  # it goes to the node: UnicodeEncodeError is a ValueError
        return path
    except ValueError as error:
        logging.warning('what is learned of the lengths of answers is not kept: %s', error)
        return ''
