"""The length predictor of the paper: a small classification model beside the prefill."""

import logging
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from timebill_ros.core.execution_time_estimator import Sample, fit_prefill
from timebill_ros.core.length_distribution import BUCKETS, LengthDistribution
from timebill_ros.core.prompt_compression import compressed, hidden_tokens
from timebill_ros.inference.prefix.state_sums import StateSums

KEY_FILE = 'timebill_predictor.json'
"""File in the folder of a classifier: the PredictorKey of its target."""
FEWEST_TOKENS = 16
"""Read at least this many tokens of a prompt, even if that takes longer than the prefill."""
PROFILED_TOKENS = (16, 64, 256, 512)
ROUNDS = 4


class ClassifierPredictor:
    """Predicts with a sequence classification model of 512 labels, in its own thread.

    The prompt is compressed until the model can read it during the prefill.

    Arguments:
        source: a folder in Hugging Face format, or a hub id.
        device: the target's; on a GPU, the predictor has its own stream.
        dtype: of its weights.

    Raises:
        ValueError: the model cannot be loaded, or has other labels; one sentence.
    """

    def __init__(self, source: str, device: torch.device, dtype: torch.dtype) -> None:
        self.name = source
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source)
            self._model = AutoModelForSequenceClassification.from_pretrained(
                source, dtype=dtype, use_safetensors=True
            )
        except Exception as error:  # what transformers raises is not documented
            reason = str(error).strip().split('\n')[0] or type(error).__name__
            raise ValueError(f'length_predictor {source!r} cannot be loaded: {reason}') from error
        labels = int(self._model.config.num_labels)
        if labels != BUCKETS:
            raise ValueError(
                f'length_predictor {source!r} must have {BUCKETS} labels, got {labels}'
            )
        self._model.to(device).eval()
        self._device = device
        self._most_tokens = min(
            int(self._model.config.max_position_embeddings), int(self._tokenizer.model_max_length)
        )
        self._stream = torch.cuda.Stream(device) if device.type == 'cuda' else None
        self._thread = ThreadPoolExecutor(1, 'length_predictor')
        self._time = fit_prefill(self._measured())

    needs_sums = False

    @contextmanager
    def beside_prefill(
        self,
        prompt: str,
        token_ids: list[int],
        prefill_s: float,
        sums: StateSums | None = None,
    ) -> Iterator['ClassifierReading']:
        """Read the prompt in the predictor's thread."""
        future = self._thread.submit(self._predict, prompt, prefill_s)
        try:
            yield ClassifierReading(future)
        except BaseException:  # the prefill was cut off: a waiting prediction is useless
            future.cancel()
            raise

    def beside_preparation(
        self, token_ids: list[int], sums: StateSums
    ) -> AbstractContextManager[None]:
        """Sum nothing: this predictor has a model of its own."""
        return nullcontext()

    def _predict(self, prompt: str, prefill_s: float) -> LengthDistribution:
        ids = self._tokenizer(prompt)['input_ids']
        most = min(hidden_tokens(self._time, prefill_s), self._most_tokens)
        return self._classified(compressed(ids, max(int(most), FEWEST_TOKENS)))

    def _classified(self, ids: list[int]) -> LengthDistribution:
        on_stream: Any = torch.cuda.stream(self._stream) if self._stream else nullcontext()
        with torch.inference_mode(), on_stream:
            logits = self._model(input_ids=torch.tensor([ids], device=self._device)).logits[0]
            return LengthDistribution(logits.double().softmax(-1).cpu().numpy())

    def _measured(self) -> list[Sample]:
        chance = random.Random(0)
        samples = []
        for tokens in sorted({min(tokens, self._most_tokens) for tokens in PROFILED_TOKENS}):
            ids = [chance.randrange(self._model.config.vocab_size) for _ in range(tokens)]
            seconds = []
            for _ in range(ROUNDS):
                start_s = time.perf_counter()
                self._thread.submit(self._classified, ids).result()
                seconds.append(time.perf_counter() - start_s)
            samples.append(Sample(tokens, statistics.median(seconds[1:])))
        return samples


class ClassifierReading:
    """The running prediction for one prompt."""

    def __init__(self, future: 'Future[LengthDistribution]') -> None:
        self._future = future

    def distribution(self) -> LengthDistribution | None:
        """Wait for the prediction; None: it failed, which is logged."""
        try:
            return self._future.result()
        except Exception:
            # For example out of memory: the planner then expects max_new_tokens.
            logging.exception('the length of an answer could not be predicted')
            return None
