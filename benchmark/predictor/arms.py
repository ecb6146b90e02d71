"""The arms of the predictor benchmark, all trained on the same records: ours, and baselines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.predictor.backbones import Encoder, FirstLayers
from benchmark.predictor.regression_objective import RegressionObjective
from benchmark.predictor.text_classifier import TextClassifier
from timebill_ros.core.length_distribution import BUCKET_TOKENS, BUCKETS
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import TargetModel
from timebill_ros.progress import Progress
from timebill_ros.training.fine_tuning import FineTuning, fine_tuned
from timebill_ros.training.head_training import HeadSettings, head_lengths, train_head
from timebill_ros.training.length_data import LengthData, Split
from timebill_ros.training.length_objectives import (
    BucketObjective,
    Objective,
    medians,
)

FIRST_LAYERS = 2
Lengths = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """What every arm gets.

    Arguments:
        data: lengths and states; arms learn from the split's train and validation records only.
        texts: of the prompts, in the records' order.
        target: the model that has answered.
        seed: of the training.
    """

    data: LengthData
    texts: Sequence[str]
    target: TargetModel
    seed: int


Arm = Callable[[Study, Split], Lengths]
"""Returns (records,), the predicted lengths of all records [tokens]."""


def ours(study: Study, split: Split) -> Lengths:
    """Predict by the head on the target's states: what the node does."""
    return _by_head(study, split, BucketObjective(study.data.response_tokens))


def buckets_256(study: Study, split: Split) -> Lengths:
    """Predict as ours, with half the buckets, twice as wide."""
    objective = BucketObjective(study.data.response_tokens, BUCKETS // 2, 2 * BUCKET_TOKENS)
    return _by_head(study, split, objective)


def buckets_128(study: Study, split: Split) -> Lengths:
    """Predict as ours, with a quarter of the buckets, four times as wide."""
    objective = BucketObjective(study.data.response_tokens, BUCKETS // 4, 4 * BUCKET_TOKENS)
    return _by_head(study, split, objective)


def regression(study: Study, split: Split) -> Lengths:
    """Predict the length itself, from the same states."""
    return _by_head(study, split, RegressionObjective(study.data.response_tokens))


def first_layers(study: Study, split: Split) -> Lengths:
    """Predict by the target's first layers, fine-tuned, with 512 buckets: the paper's kind."""
    chat = ChatPrompt(study.target.tokenizer)
    objective = BucketObjective(study.data.response_tokens)
    backbone = FirstLayers(study.target, FIRST_LAYERS)
    model = TextClassifier(backbone, backbone.hidden, BUCKETS)
    ids = [chat.token_ids(text) for text in study.texts]
    found = _fine_tuned('first layers', model, ids, objective.labels, study, split)
    return medians(found, BUCKET_TOKENS)


def proxy_model(study: Study, split: Split) -> Lengths:
    """Predict by an encoder of five classes (after ProxyModel, Qiu et al., 2024)."""
    return _by_classes(study, split, 5, 'ProxyModel')


def s3(study: Study, split: Split) -> Lengths:
    """Predict by an encoder of ten classes (after S3, Jin et al., 2023)."""
    return _by_classes(study, split, 10, 'S3')


def median(study: Study, split: Split) -> Lengths:
    """Predict the median of the training answers, whatever is asked."""
    actual = study.data.response_tokens
    return np.full(len(actual), np.median(actual[split.train]))


def source_mean(study: Study, split: Split) -> Lengths:
    """Predict the mean of the same source's training answers; of all, if it has none."""
    actual, records = study.data.response_tokens, study.data.records
    of_source: dict[str, list[int]] = {}
    for row in split.train:
        of_source.setdefault(records[row].source, []).append(int(actual[row]))
    of_all = [int(actual[row]) for row in split.train]
    return np.array([np.mean(of_source.get(record.source, of_all)) for record in records])


def prompt_length(study: Study, split: Split) -> Lengths:
    """Predict linearly from the prompt's length."""
    prompt, actual = study.data.prompt_tokens, study.data.response_tokens
    slope, offset = np.polyfit(prompt[split.train], actual[split.train], 1)
    return np.maximum(slope * prompt + offset, 1.0)


BASELINES: dict[str, Arm] = {
    'proxy_model': proxy_model,
    's3': s3,
    'first_layers': first_layers,
    'buckets_256': buckets_256,
    'buckets_128': buckets_128,
    'regression': regression,
    'source_mean': source_mean,
    'prompt_length': prompt_length,
    'median': median,
}


def _by_head(study: Study, split: Split, objective: Objective) -> Lengths:
    settings = HeadSettings()
    depth = study.target.model.config.get_text_config().num_hidden_layers
    head = train_head(study.data, split, depth, objective, settings, study.seed)
    return head_lengths(head, study.data, objective, settings)


def _by_classes(study: Study, split: Split, classes: int, name: str) -> Lengths:
    """Predict the median of the likeliest of some classes of equally many training answers."""
    actual = study.data.response_tokens
    edges = np.quantile(actual[split.train], np.arange(1, classes) / classes)
    of_record = np.searchsorted(edges, actual)
    representatives = np.array(
        [np.median(actual[split.train][of_record[split.train] == k]) for k in range(classes)]
    )
    backbone = Encoder()
    model = TextClassifier(backbone, backbone.hidden, classes)
    labels = torch.nn.functional.one_hot(torch.as_tensor(of_record), classes).float()
    ids = backbone.token_ids(list(study.texts))
    found = _fine_tuned(name, model, ids, labels, study, split)
    chosen: Lengths = representatives[found.argmax(axis=1)]
    return chosen


def _fine_tuned(
    name: str,
    model: TextClassifier,
    token_ids: list[list[int]],
    labels: torch.Tensor,
    study: Study,
    split: Split,
) -> NDArray[np.float64]:
    settings = FineTuning(bfloat16=study.target.dtype == torch.bfloat16)
    with Progress(settings.epochs * len(split.train), 'prompts') as progress:
        return fine_tuned(
            model,
            [model.head, model.normal],
            token_ids,
            labels,
            split,
            settings,
            study.seed,
            lambda prompts, said: progress.advance(prompts, f'{name}, {said}'),
        )
