"""An arm in this project's environment: ours, or transformers.

Run by `python -m benchmark.engine.arms NAME MODEL THREADS`; see peers/peer_arm/server.py.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

from benchmark.engine.peers.peer_arm.server import Arm, scored, serve
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash
from timebill_ros.inference.loading.model_source import locate


@dataclasses.dataclass(frozen=True)
class TimedInterrupt(Interrupt):
    """Never cuts off; takes the times between its checks."""

    gaps_s: list[float] = dataclasses.field(default_factory=list)
    checked_s: list[float] = dataclasses.field(default_factory=lambda: [time.perf_counter()])

    def check(self) -> None:
        """Take the time."""
        now_s = time.perf_counter()
        self.was_checked(now_s - self.checked_s[-1])
        super().check()

    def was_checked(self, longest_s: float) -> None:
        """See Interrupt."""
        self.gaps_s.append(longest_s)
        self.checked_s.append(time.perf_counter())


class Ours:
    """The engine, as the node's worker loads it. It guesses no tokens: single steps count.

    Arguments:
        quantization: the parameter.
    """

    def __init__(self, source: str, threads: int, quantization: str) -> None:
        settings = ModelSettings(model=source, quantization=quantization, threads=threads)
        engine = loaded_engine(settings, speculates=False)
        target = dataclasses.replace(engine.target, stop_token_ids=frozenset())
        self._served, self._plain = (
            Engine(target, DecodingSettings(penalty, False), engine.scorer, engine.step)
            for penalty in (engine.settings.repetition_penalty, 1.0)
        )
        self.weight_bytes = getattr(engine.step, 'nbytes', 0)

    def generate(self, ids: list[int], tokens: int, plainly: bool) -> dict[str, Any]:
        """See Arm."""
        engine = self._plain if plainly else self._served
        interrupt = TimedInterrupt(Deadline(float('inf')))
        answer, known_s = [], []
        start_s = time.perf_counter()
        prefilled = engine.prefill(ids, tokens, interrupt)
        unchecked_s = max(interrupt.gaps_s)  # a step is not interrupted
        for token, _ in engine.decode(prefilled, tokens, interrupt):
            answer.append(token)
            known_s.append(time.perf_counter() - start_s)
        return {'tokens': answer, 'known_s': known_s, 'unchecked_s': unchecked_s}

    def read(self, ids: list[int]) -> dict[str, Any]:
        """See Arm. All but the first token goes through the step."""
        prefilled = self._plain.prefill(ids[:1], len(ids), Interrupt(Deadline(float('inf'))))
        rows = [prefilled.logits.clone()]
        with (
            torch.inference_mode(),
            self._plain.step.answering(prefilled.cache, 1, len(ids)) as step,
        ):
            rows += [step.logits(torch.tensor(token)).clone() for token in ids[1:-1]]
        return scored(torch.stack(rows).numpy(), ids[1:])


class Transformers:
    """Its own generate(), with its own attention."""

    def __init__(self, source: str, threads: int, dtype: torch.dtype) -> None:
        torch.set_num_threads(threads)
        gguf = locate(source)
        self._model = AutoModelForCausalLM.from_pretrained(
            converted_folder(gguf, gguf_hash(gguf), dtype),
            dtype=dtype,
            attn_implementation='sdpa',
        ).eval()
        self._model.generation_config.eos_token_id = None
        self.weight_bytes = sum(p.nbytes for p in self._model.parameters())

    def generate(self, ids: list[int], tokens: int, plainly: bool) -> dict[str, Any]:
        """See Arm."""
        known_s: list[float] = []

        def take_time(_: Any, scores: torch.Tensor) -> torch.Tensor:
            known_s.append(time.perf_counter() - start_s)
            return scores

        prompt = torch.tensor([ids])
        start_s = time.perf_counter()
        output = self._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            repetition_penalty=1.0,
            max_new_tokens=tokens,
            logits_processor=[take_time],
        )
        answer = output[0, len(ids) :].tolist()
        return {'tokens': answer, 'known_s': known_s, 'unchecked_s': known_s[0]}

    def read(self, ids: list[int]) -> dict[str, Any]:
        """See Arm."""
        with torch.inference_mode():
            logits = self._model(input_ids=torch.tensor([ids[:-1]])).logits[0]
        return scored(logits.float().numpy(), ids[1:])


ARMS: dict[str, Callable[[str, int], Arm]] = {
    'ours': lambda source, threads: Ours(source, threads, 'auto'),
    'ours_int8': lambda source, threads: Ours(source, threads, 'int8'),
    'ours_none': lambda source, threads: Ours(source, threads, 'none'),
    'transformers': lambda source, threads: Transformers(source, threads, torch.bfloat16),
    'transformers_fp32': lambda source, threads: Transformers(source, threads, torch.float32),
}


def main() -> int:
    """Load the arm that the arguments name, and serve."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    name, source, threads = sys.argv[1:]
    return serve(lambda: ARMS[name](source, int(threads)))


if __name__ == '__main__':
    sys.exit(main())
