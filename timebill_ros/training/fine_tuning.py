"""Fine-tunes a model that classifies prompts: AdamW, a linear schedule, the best epoch wins."""

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
    """Settings of the fine-tuning.

    Arguments:
        most_tokens: longest prompt; a longer one is reduced to its beginning and end.
        epochs: how many; the one with the best validation loss is kept.
        batch_tokens: greatest size of a batch of prompts of similar length [tokens].
        learning_rate, head_learning_rate: of the pretrained parts, and of the new parts.
        pad_token_id: fills the end of shorter prompts.
        device: the model's.
        bfloat16: multiply in bfloat16, if the device can; weights stay in fp32.
    """

    most_tokens: int = 256
    epochs: int = 3
    batch_tokens: int = 2048
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    pad_token_id: int = 0
    device: str = 'cpu'
    bfloat16: bool = False


def fine_tuned(
    model: torch.nn.Module,
    new: Sequence[torch.nn.Module],
    token_ids: Sequence[Sequence[int]],
    labels: torch.Tensor,
    split: Split,
    settings: FineTuning,
    seed: int,
    progress: Callable[[int, str], None],
) -> NDArray[np.float64]:
    """Fine-tune a model and return the probabilities of all prompts, (records, classes).

    Arguments:
        model: from ids and mask, (batch, length) each, padded at the end, to logits.
        new: the parts of the model that are not pretrained.
        token_ids: of each prompt.
        labels: (records, classes), of sum 1.
        progress: called with the number of training prompts since the last call, and the loss.
    """
    torch.manual_seed(seed)
    shorter = [compressed(ids, settings.most_tokens) for ids in token_ids]
    fresh = {id(parameter) for part in new for parameter in part.parameters()}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {'params': [p for p in learning if id(p) not in fresh], 'lr': settings.learning_rate},
            {
                'params': [p for p in learning if id(p) in fresh],
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
            loss = _loss(model, shorter, labels, rows, settings)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress(len(rows), f'loss {loss.item():.2f}')
        found = predicted(model, shorter, split.validation, settings)
        target = labels[torch.as_tensor(split.validation)].double()
        validation = -(target * torch.as_tensor(found + 1e-9).log()).sum(1).mean().item()
        if validation < best_loss:
            best_loss, best = validation, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return predicted(model, shorter, np.arange(len(shorter)), settings)


def predicted(
    model: torch.nn.Module, token_ids: Sequence[Sequence[int]], rows: Any, settings: FineTuning
) -> NDArray[np.float64]:
    """Return (rows, classes), the predicted probabilities for some prompts."""
    model.eval()
    place = {int(row): position for position, row in enumerate(rows)}
    found: NDArray[np.float64] | None = None
    with torch.inference_mode():
        for batch in _batches(token_ids, rows, settings.batch_tokens):
            logits = _logits(model, [token_ids[row] for row in batch], settings)
            values = logits.double().softmax(-1).cpu().numpy()
            if found is None:
                found = np.zeros((len(rows), values.shape[1]))
            found[[place[int(row)] for row in batch]] = values
    assert found is not None
    return found


def _loss(
    model: torch.nn.Module,
    token_ids: Sequence[Sequence[int]],
    labels: torch.Tensor,
    rows: NDArray[np.intp],
    settings: FineTuning,
) -> torch.Tensor:
    logits = _logits(model, [token_ids[row] for row in rows], settings)
    wanted = labels[torch.as_tensor(rows)].to(logits.device)
    return -(wanted * logits.log_softmax(-1)).sum(1).mean()


def _logits(
    model: torch.nn.Module, token_ids: Sequence[Sequence[int]], settings: FineTuning
) -> torch.Tensor:
    with torch.autocast(settings.device, torch.bfloat16, enabled=settings.bfloat16):
        logits: torch.Tensor = model(*_padded(token_ids, settings))
    return logits.float()


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


def _padded(
    token_ids: Sequence[Sequence[int]], settings: FineTuning
) -> tuple[torch.Tensor, torch.Tensor]:
    longest, pad = max(len(ids) for ids in token_ids), settings.pad_token_id
    rows = [[*ids, *[pad] * (longest - len(ids))] for ids in token_ids]
    lengths = torch.tensor([len(ids) for ids in token_ids], device=settings.device)
    mask = torch.arange(longest, device=settings.device)[None] < lengths[:, None]
    return torch.tensor(rows, device=settings.device), mask.long()
