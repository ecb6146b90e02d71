"""The built-in model's tokenizer, for models that are made up. It is loaded once in a process."""

import os
from functools import cache
from typing import Any

import pytest

from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target

_CACHE = os.environ.get('XDG_CACHE_HOME')


@cache
def built_in_tokenizer() -> Any:
    """Return it; do not change it.

    It comes from the user's cache, also for a test with a cache of its own, which would convert
    the model's file anew.
    """
    with pytest.MonkeyPatch.context() as patch:
        if _CACHE is None:
            patch.delenv('XDG_CACHE_HOME', raising=False)
        else:
            patch.setenv('XDG_CACHE_HOME', _CACHE)
        return load_target(BUILT_IN, device='cpu').tokenizer
