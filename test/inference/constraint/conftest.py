"""The tokens of the built-in model."""

import pytest

from timebill_ros.inference.constraint.vocabulary import Vocabulary
from timebill_ros.inference.loading.model_loader import TargetModel


@pytest.fixture(scope='module')
def vocabulary(built_in: TargetModel) -> Vocabulary:
    size = int(built_in.model.lm_head.out_features)
    return Vocabulary.of(built_in.tokenizer, size, built_in.stop_token_ids)
