"""Answers to prompts that the predictor of this package was not trained on.

They are those of the test part of `make collect-lengths` (15 %, by hash) with at most
MOST_CHARACTERS characters, in the order of the set. An answer has at most MAX_NEW_TOKENS tokens.
"""

import time
from pathlib import Path

from timebill_ros.inference.engine import Engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.training.answer_length import length_key
from timebill_ros.training.collect_lengths import collect
from timebill_ros.training.length_data import FILE, STATES_FILE, is_for_test
from timebill_ros.training.length_file import LengthFile
from timebill_ros.training.prompt_packages import all_fetched
from timebill_ros.training.prompt_set import prompt_set
from timebill_ros.training.state_file import StateFile, state_shape

SEED = 0
MAX_NEW_TOKENS, MOST_CHARACTERS = 512, 6000


def collected(engine: Engine, end_s: float) -> Path:
    """Answer what is not answered yet, until some time; return the folder of lengths and states.

    Arguments:
        end_s: no prompt is begun later, on the monotonic clock [s].

    Raises:
        ValueError: the prompts cannot be fetched, or the files are damaged; one sentence.
    """
    key = length_key(engine, MAX_NEW_TOKENS)
    folder = cache_folder() / 'unseen_lengths' / f'{key.weights_hash[:12]}-{MAX_NEW_TOKENS}'
    prompts = [
        prompt
        for prompt in prompt_set(all_fetched(), SEED)
        if is_for_test(prompt.sha256) and len(prompt.text) <= MOST_CHARACTERS
    ]
    shape = state_shape(engine.target.model)
    with (
        LengthFile(folder / FILE, key) as lengths,
        StateFile(folder / STATES_FILE, shape, len(lengths.records)) as states,
    ):
        collect(engine, prompts, lengths, MAX_NEW_TOKENS, lambda: time.monotonic() < end_s, states)
    return folder
