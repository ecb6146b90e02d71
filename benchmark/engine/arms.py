"""One engine with the built-in model, in its own process: measures the given prompt lengths.

The parent (engine.py) writes a JSON line with the task; this process writes one with the result.
"""

import dataclasses
import json
import random
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash
from timebill_ros.inference.loading.model_loader import load_target
from timebill_ros.inference.loading.model_source import BUILT_IN, locate

VOCABULARY = 49152


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


class Arm(Protocol):
    """A way to run the model."""

    weight_bytes: int

    def measure(self, ids: list[int], tokens: int) -> tuple[list[float], float]:
        """Generate so many tokens.

        Returns:
            when each was known, from the start, and the longest time in which nothing could have
            ended the generation; in seconds.
        """

    def answer(self, ids: list[int], tokens: int) -> list[int]:
        """Return a greedy answer."""


class Ours:
    """The engine, as the node's worker runs it."""

    def __init__(self, quantization: str) -> None:
        target = load_target(BUILT_IN, 'cpu', quantization=quantization)
        self._answering = Engine(target, DecodingSettings())
        target = dataclasses.replace(target, stop_token_ids=frozenset())
        settings = DecodingSettings(target.repetition_penalty, stop_at_repetition=False)
        self._engine = Engine(target, settings, step=self._answering.step)
        self.weight_bytes = getattr(self._engine.step, 'nbytes', 0)

    def measure(self, ids: list[int], tokens: int) -> tuple[list[float], float]:
        """See Arm."""
        interrupt = TimedInterrupt(Deadline(float('inf')))
        start_s = time.perf_counter()
        prefilled = self._engine.prefill(ids, tokens, interrupt)
        known_s = []
        for _ in self._engine.decode(prefilled, tokens, interrupt):
            known_s.append(time.perf_counter() - start_s)
        return known_s, max(interrupt.gaps_s)

    def answer(self, ids: list[int], tokens: int) -> list[int]:
        """See Arm."""
        never = Interrupt(Deadline(float('inf')))
        prefilled = self._answering.prefill(ids, tokens, never)
        return [token for token, _ in self._answering.decode(prefilled, tokens, never)]


class Transformers:
    """Its own generate(), with its own attention."""

    def __init__(self, dtype: str) -> None:
        folder = load_target(BUILT_IN, 'cpu', dtype, 'none').model.config._name_or_path
        self._model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation='sdpa'
        ).eval()
        self.weight_bytes = sum(p.nbytes for p in self._model.parameters())

    def measure(self, ids: list[int], tokens: int) -> tuple[list[float], float]:
        """See Arm."""
        known_s: list[float] = []
        start_s = time.perf_counter()

        def take_time(_: Any, scores: torch.Tensor) -> torch.Tensor:
            known_s.append(time.perf_counter() - start_s)
            return scores

        self._generate(ids, tokens, min_new_tokens=tokens, logits_processor=[take_time])
        return known_s, known_s[0]

    def answer(self, ids: list[int], tokens: int) -> list[int]:
        """See Arm."""
        return self._generate(ids, tokens)

    def _generate(self, ids: list[int], tokens: int, **more: Any) -> list[int]:
        prompt = torch.tensor([ids])
        output = self._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=tokens,
            **more,
        )
        return output[0, len(ids) :].tolist()


class LlamaCpp:
    """llama.cpp on the same GGUF file, on as many threads."""

    def __init__(self, flash_attention: bool = False) -> None:
        import llama_cpp  # from requirements-bench.txt

        self._cpp = llama_cpp
        path = locate(BUILT_IN)
        threads = torch.get_num_threads()
        self._model = llama_cpp.Llama(
            str(path),
            n_ctx=5120,
            n_batch=512,
            n_threads=threads,
            n_threads_batch=threads,
            flash_attn=flash_attention,
            verbose=False,
        )
        self.weight_bytes = Path(str(path)).stat().st_size

    def measure(self, ids: list[int], tokens: int) -> tuple[list[float], float]:
        """See Arm."""
        known_s: list[float] = []
        start_s = time.perf_counter()
        self._run(ids, tokens, lambda _: known_s.append(time.perf_counter() - start_s))
        return known_s, known_s[0]

    def answer(self, ids: list[int], tokens: int) -> list[int]:
        """See Arm."""
        found: list[int] = []
        self._run(ids, tokens, found.append)
        return found

    def _run(self, ids: list[int], tokens: int, take: Callable[[int], None]) -> None:
        self._model.reset()
        self._model.eval(ids)
        for _ in range(tokens):
            logits = self._cpp.llama_get_logits_ith(self._model.ctx, -1)
            token = int(np.ctypeslib.as_array(logits, (VOCABULARY,)).argmax())
            take(token)
            if _ + 1 < tokens:
                self._model.eval([token])


ARMS: dict[str, Callable[[], Arm]] = {
    'ours': lambda: Ours('auto'),
    'ours_int8': lambda: Ours('int8'),
    'ours_none': lambda: Ours('none'),
    'transformers': lambda: Transformers('bfloat16'),
    'transformers_fp32': lambda: Transformers('float32'),
    'llama_cpp': lambda: LlamaCpp(),
    'llama_cpp_flash': lambda: LlamaCpp(flash_attention=True),
}


def peak_memory_mb() -> float:
    """Return the most memory that this process has had resident."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith('VmHWM'))


@cache
def _chat_prompt() -> ChatPrompt:
    gguf = locate(BUILT_IN)
    folder = converted_folder(gguf, gguf_hash(gguf), torch.bfloat16)
    return ChatPrompt(AutoTokenizer.from_pretrained(str(folder), local_files_only=True))


def main() -> int:
    """Serve the parent until it closes the pipe."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        arm = ARMS[sys.argv[1]]()
    except ModuleNotFoundError as error:
        print(json.dumps({'missing': str(error)}), flush=True)
        return 0
    print(json.dumps({'weight_bytes': arm.weight_bytes}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        if 'prompt' in task:
            ids = _chat_prompt().token_ids(task['prompt'])
            found: dict[str, Any] = {'tokens': arm.answer(ids, task['tokens'])}
        else:
            chance = random.Random(task['seed'])
            ids = [chance.randrange(100, VOCABULARY) for _ in range(task['length'])]
            known_s, unchecked_s = arm.measure(ids, task['tokens'])
            found = {'known_s': known_s, 'unchecked_s': unchecked_s, 'rss_mb': peak_memory_mb()}
        print(json.dumps(found), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
