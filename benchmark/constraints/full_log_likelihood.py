"""The oracle of choices: transformers' own log-likelihood of each of them, in float32."""

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM


class FullLogLikelihood:
    """Scores answers with the stock model.

    Arguments:
        folder: of the model, in Hugging Face format, in float32.
        stop_token_ids: any of these ends an answer.
    """

    def __init__(self, folder: str, stop_token_ids: frozenset[int]) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation='sdpa', local_files_only=True
        ).eval()
        self._stop_ids = sorted(stop_token_ids)

    def of(self, prompt_ids: list[int], answers: Sequence[list[int]]) -> list[float]:
        """Return the log-likelihood of each answer with its end, after a prompt."""
        longest = max(map(len, answers))
        rows = [ids + [0] * (longest - len(ids)) for ids in answers]
        with torch.inference_mode():
            read = self._model(torch.tensor([prompt_ids]), use_cache=True, logits_to_keep=1)
            read.past_key_values.batch_repeat_interleave(len(answers))
            # What pads a row stands behind its end: nothing that counts attends to it.
            rest = self._model(torch.tensor(rows), past_key_values=read.past_key_values).logits
            first = read.logits.expand(len(answers), 1, -1)
            likely = torch.cat([first, rest], 1).log_softmax(-1)
        return [
            sum(float(row[place, token]) for place, token in enumerate(ids))
            + float(row[len(ids), self._stop_ids].logsumexp(0))
            for row, ids in zip(likely, answers, strict=True)
        ]
