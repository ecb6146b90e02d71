"""Fine-tunes a small language model to classify prompts into buckets of lengths."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from timebill_ros.core.length_distribution import BUCKET_TOKENS, BUCKETS
from timebill_ros.core.prompt_compression import compressed
from timebill_ros.inference.length.classifier_predictor import KEY_FILE
from timebill_ros.inference.length.predictor_key import PredictorKey
from timebill_ros.training.classifier_start import last_linear, start_layer
from timebill_ros.training.fine_tuning import FineTuning, fine_tuned
from timebill_ros.training.length_data import LengthData, Split
from timebill_ros.training.length_objectives import BucketObjective, medians

PROMPTS_TO_START = 32


class _Logits(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits.float()


def train_classifier(
    source: str,
    texts: Sequence[str],
    data: LengthData,
    split: Split,
    key: PredictorKey,
    output: Path,
    seed: int,
    progress: Callable[[int, str], None],
    settings: FineTuning = FineTuning(learning_rate=2e-5),  # noqa: B008 (frozen)
) -> NDArray[np.float64]:
    """Fine-tune a model, write it to a folder, return its predictions, (records,) [tokens].

    Arguments:
        source: the small language model: a folder in Hugging Face format, or a hub id.
        texts: the prompts, in the order of the records.
        key: the target's; it is written to the folder too.
        output: the folder.
        progress: called with the number of training prompts since the last call, and the loss.

    Raises:
        ValueError: the model cannot be loaded; one sentence.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=BUCKETS, dtype=torch.float32, use_safetensors=True
        )
    except Exception as error:  # what transformers raises is not documented
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        raise ValueError(f'backbone {source!r} cannot be loaded: {reason}') from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    model.to(device)
    token_ids = [list(ids) for ids in tokenizer(list(texts))['input_ids']]
    objective = BucketObjective(data.response_tokens)
    last = last_linear(model, BUCKETS)
    head = next(part for part in model.children() if last in set(part.modules()))
    some = [
        torch.tensor(compressed(token_ids[row], settings.most_tokens))
        for row in split.train[:PROMPTS_TO_START]
    ]
    start_layer(model, last, objective.start(torch.as_tensor(split.train)), some)
    found = fine_tuned(
        _Logits(model),
        [head],
        token_ids,
        objective.labels,
        split,
        replace(settings, pad_token_id=tokenizer.pad_token_id, device=device),
        seed,
        progress,
    )
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    (output / KEY_FILE).write_text(json.dumps(asdict(key), indent=2) + '\n', encoding='utf-8')
    return medians(found, BUCKET_TOKENS)
