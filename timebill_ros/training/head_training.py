"""Trains a head on the target's states, with early stopping on the validation records."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from timebill_ros.inference.length.state_head import WIDTH, StateHead
from timebill_ros.training.length_data import LengthData, Split
from timebill_ros.training.length_objectives import Objective
from timebill_ros.training.state_file import state_layers


@dataclass(frozen=True)
class HeadSettings:
    """Settings of the training; the defaults were chosen on validation records.

    Arguments:
        layers: the layers to read, as positions in the collected states.
        members: number of networks; their outputs are averaged.
        dropout, weight_decay, learning_rate, batch: as usual.
        patience: epochs without a better validation error before training ends.
    """

    layers: tuple[int, ...] = (4,)
    members: int = 5
    dropout: float = 0.5
    weight_decay: float = 0.05
    learning_rate: float = 5e-4
    batch: int = 64
    most_epochs: int = 60
    patience: int = 12


def train_head(
    data: LengthData,
    split: Split,
    depth: int,
    objective: Objective,
    settings: HeadSettings = HeadSettings(),
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> StateHead:
    """Train a head on the training records and return it.

    Arguments:
        depth: number of the target's layers.
        progress: called after each epoch with the mean absolute validation error [tokens].
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    layers = tuple(state_layers(depth)[position] for position in settings.layers)
    head = StateHead(layers, data.states.shape[-1], settings.members, objective.outputs)
    features = head_features(head, data, settings)
    train, validation = torch.as_tensor(split.train), torch.as_tensor(split.validation)
    _initialise(head, features[train], objective.start(train))
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    best, best_error, waited = copy.deepcopy(head), float('inf'), 0
    for _ in range(settings.most_epochs):
        order = train[torch.randperm(len(train), generator=generator)]
        for batch in order.split(settings.batch):
            loss = objective.loss(head.logits(features[batch], settings.dropout), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            predicted = objective.lengths(head.logits(features[validation]))
        error = float(np.abs(predicted - data.response_tokens[split.validation]).mean())
        progress(error)
        if error < best_error:
            best, best_error, waited = copy.deepcopy(head), error, 0
        else:
            waited += 1
            if waited == settings.patience:
                break
    return best.eval()


def head_features(head: StateHead, data: LengthData, settings: HeadSettings) -> torch.Tensor:
    """Return (records, features), the inputs of a head for all records."""
    states = torch.as_tensor(data.states[:, list(settings.layers)])
    return head.features(states, torch.as_tensor(data.prompt_tokens))


def head_lengths(
    head: StateHead, data: LengthData, objective: Objective, settings: HeadSettings
) -> NDArray[np.float64]:
    """Return (records,), the predicted lengths of all records [tokens]."""
    with torch.inference_mode():
        return objective.lengths(head.logits(head_features(head, data, settings)))


def _initialise(head: StateHead, features: torch.Tensor, start: torch.Tensor) -> None:
    head.centre.copy_(features.mean(0))
    head.scale.copy_(1.0 / features.std(0).clamp(min=1e-4))
    torch.nn.init.normal_(head.inner, std=features.shape[1] ** -0.5)
    torch.nn.init.normal_(head.outer, std=0.1 * WIDTH**-0.5)
    with torch.no_grad():
        head.outer_bias.add_(start)
