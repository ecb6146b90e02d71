"""Trains on one thread."""

import pytest
import torch


@pytest.fixture(autouse=True, scope='session')
def one_thread():
    """Train on one thread: with two, a busy neighbour makes each small product wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
