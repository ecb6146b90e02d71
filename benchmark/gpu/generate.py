"""transformers' own generate() with the same weights, to compare with."""

import statistics
import time
from typing import Any

import torch

from benchmark.gpu.step_cost import random_ids
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.reference_attention import attention

TOKENS, ROUNDS = 33, 2
"""The first round warms up."""


def generate_cost(engine: Engine, prompt_tokens: int) -> dict[str, float]:
    """Return the times of the first token [s] and of those behind it, their median [ms]."""
    model, device = engine.target.model, engine.target.device
    prompt = torch.tensor([random_ids(engine, prompt_tokens)], device=device)
    known_s: list[float] = []

    def take_time(_: Any, scores: torch.Tensor) -> torch.Tensor:
        scores[0, 0].item()  # waits for the device
        known_s.append(time.perf_counter())
        return scores

    with attention(model, 'sdpa'), torch.inference_mode():
        for _ in range(ROUNDS):
            known_s.clear()
            engine.synchronize()
            start_s = time.perf_counter()
            model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=TOKENS,
                min_new_tokens=TOKENS,
                logits_processor=[take_time],
                pad_token_id=0,
            )
    steps_s = [after - before for after, before in zip(known_s[1:], known_s, strict=False)]
    return {
        'first_token_s': known_s[0] - start_s,
        'wall_ms': 1000 * statistics.median(steps_s),
        'steps': len(steps_s),
    }
