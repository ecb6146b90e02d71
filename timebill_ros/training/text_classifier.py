"""Fine-tunes a language model with a classification head on prompts: for baselines, and an arm."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timebill_ros.core.prompt_compression import compressed
from timebill_ros.training.length_data import Split


@dataclass(frozen=True)
class FineTuning:
    """How a model is fine-tuned.

    Arguments:
        most_tokens: of a prompt; longer ones are compressed to their beginning and end.
        epochs: the best of them by validation loss is kept.
        batch_tokens: prompts of about one length are batched up to so many tokens.
    """

    most_tokens: int = 256
    epochs: int = 3
    batch_tokens: int = 2048
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01


class TextClassifier(torch.nn.Module):
    """A backbone, the mean of its last states beside that of the last token, and a linear head.

    Arguments:
        backbone: (batch, length) ids and mask to (batch, length, hidden).
        hidden: size of its states.
        classes: number of classes.
    """

    def __init__(self, backbone: torch.nn.Module, hidden: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.normal = torch.nn.LayerNorm(2 * hidden)
        self.head = torch.nn.Linear(2 * hidden, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (batch, classes), logits.

        Arguments:
            ids: (batch, length), padded at the end.
            mask: (batch, length), 1 where there is a token.
        """
        states = self.backbone(ids, mask).float()
        lengths = mask.sum(1)
        mean = (states * mask[:, :, None]).sum(1) / lengths[:, None]
        last = states[torch.arange(len(ids)), lengths - 1]
        return self.head(self.normal(torch.cat([mean, last], dim=1)))


def fine_tuned(
    model: TextClassifier,
    token_ids: Sequence[Sequence[int]],
    labels: torch.Tensor,
    split: Split,
    settings: FineTuning,
    seed: int,
    progress: Callable[[int, str], None],
) -> NDArray[np.float64]:
    """Fine-tune a model and return the probabilities of all prompts, (records, classes).

    Arguments:
        token_ids: of each prompt.
        labels: (records, classes), of sum 1.
        progress: told how many training prompts more have been learned from, and the loss.
    """
    torch.manual_seed(seed)
    shorter = [compressed(ids, settings.most_tokens) for ids in token_ids]
    backbone, rest = list(model.backbone.parameters()), list(model.head.parameters())
    optimizer = torch.optim.AdamW(
        [
            {'params': [p for p in backbone if p.requires_grad], 'lr': settings.learning_rate},
            {
                'params': [*rest, *model.normal.parameters()],
                'lr': settings.head_learning_rate,
            },
        ],
        weight_decay=settings.weight_decay,
    )
    chance = np.random.default_rng(seed)
    batches = _batches(shorter, split.train, settings.batch_tokens)
    steps = settings.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (0.1 * steps)) * (1.0 - step / steps)
    )
    best: dict[str, Any] = {}
    best_loss = float('inf')
    for _ in range(settings.epochs):
        model.train()
        for index in chance.permutation(len(batches)):
            rows = batches[index]
            loss = _loss(model, shorter, labels, rows)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress(len(rows), f'loss {loss.item():.2f}')
        found = predicted(model, shorter, split.validation, settings.batch_tokens)
        target = labels[torch.as_tensor(split.validation)].double()
        validation = -(target * torch.as_tensor(found + 1e-9).log()).sum(1).mean().item()
        if validation < best_loss:
            best_loss, best = validation, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return predicted(model, shorter, np.arange(len(shorter)), settings.batch_tokens)


def predicted(
    model: TextClassifier, token_ids: Sequence[Sequence[int]], rows: Any, batch_tokens: int
) -> NDArray[np.float64]:
    """Return (rows, classes), the probabilities that a model gives some prompts."""
    model.eval()
    place = {int(row): position for position, row in enumerate(rows)}
    found: NDArray[np.float64] | None = None
    with torch.inference_mode():
        for batch in _batches(token_ids, rows, batch_tokens):
            logits = model(*_padded([token_ids[row] for row in batch]))
            values = logits.double().softmax(-1).numpy()
            if found is None:
                found = np.zeros((len(rows), values.shape[1]))
            found[[place[int(row)] for row in batch]] = values
    assert found is not None
    return found


def _loss(
    model: TextClassifier,
    token_ids: Sequence[Sequence[int]],
    labels: torch.Tensor,
    rows: NDArray[np.intp],
) -> torch.Tensor:
    logits = model(*_padded([token_ids[row] for row in rows]))
    wanted = labels[torch.as_tensor(rows)]
    return -(wanted * logits.log_softmax(-1)).sum(1).mean()


def _batches(
    token_ids: Sequence[Sequence[int]], rows: Any, batch_tokens: int
) -> list[NDArray[np.intp]]:
    order = sorted((int(row) for row in rows), key=lambda row: len(token_ids[row]))
    batches: list[list[int]] = [[]]
    for row in order:
        if batches[-1] and (len(batches[-1]) + 1) * len(token_ids[row]) > batch_tokens:
            batches.append([])
        batches[-1].append(row)
    return [np.array(batch) for batch in batches if batch]


def _padded(token_ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(ids) for ids in token_ids)
    ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in token_ids])
    lengths = torch.tensor([len(ids) for ids in token_ids])
    return ids, (torch.arange(longest)[None] < lengths[:, None]).long()
