"""OpenVINO GenAI."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from .server import scored


class OpenVino:
    """OpenVINO GenAI with paged attention.

    Arguments:
        folder: of an exported model.
    """

    def __init__(self, folder: str, context: int, threads: int, _packs: bool) -> None:
        import openvino
        import openvino_genai

        self._openvino, self._genai, self._folder = openvino, openvino_genai, folder
        self._settings = {'INFERENCE_NUM_THREADS': threads, 'PERFORMANCE_HINT': 'LATENCY'}
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_batched_tokens = context  # a prompt in one pass
        scheduler.enable_prefix_caching = False
        self._pipeline = openvino_genai.LLMPipeline(
            folder,
            'CPU',
            scheduler_config=scheduler,
            ATTENTION_BACKEND='PA',
            **self._settings,
        )
        self.weight_bytes = (Path(folder) / 'openvino_model.bin').stat().st_size

    def generate(self, ids: list[int], tokens: int, plainly: bool) -> dict[str, Any]:
        """See Arm."""
        config = self._genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = tokens, True, False
        known_s: list[float] = []
        running = self._genai.StreamingStatus.RUNNING

        # Its environment has the base, and ours has not.
        class Streamer(self._genai.StreamerBase):  # type: ignore[name-defined]
            """Takes the times."""

            def write(self, token: Any) -> Any:
                count = 1 if isinstance(token, int) else len(token)
                known_s.extend([time.perf_counter() - start_s] * count)
                return running

            def end(self) -> None:
                pass

        prompt, mask = np.array([ids]), np.ones((1, len(ids)), dtype=np.int64)
        tensor = self._openvino.Tensor
        inputs = self._genai.TokenizedInputs(tensor(prompt), tensor(mask))
        start_s = time.perf_counter()
        found = self._pipeline.generate(inputs, config, Streamer())
        answer = list(map(int, found.tokens[0]))
        return {'tokens': answer, 'known_s': known_s, 'unchecked_s': known_s[0]}

    def read(self, ids: list[int]) -> dict[str, Any]:
        """See Arm."""
        model = self._openvino.Core().compile_model(
            str(Path(self._folder) / 'openvino_model.xml'), 'CPU', self._settings
        )
        count = len(ids) - 1
        found = model(
            {
                'input_ids': np.array([ids[:-1]]),
                'attention_mask': np.ones((1, count), dtype=np.int64),
                'position_ids': np.arange(count)[None],
                'beam_idx': np.zeros(1, dtype=np.int32),
            }
        )
        return scored(np.asarray(found['logits'][0], dtype=np.float32), ids[1:])
