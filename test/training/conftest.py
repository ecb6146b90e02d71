"""Lets the tests of this folder import their planted data by name."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope='session')
def one_thread():
    """Train on one thread: with two, a busy neighbour makes each small product wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
