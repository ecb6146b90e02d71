"""What an operator chooses about the model: all that the worker loads."""

import json
from dataclasses import dataclass
from typing import Any

from timebill_ros.core.cpu_list import cpus_of, online_cpus
from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.settings import Settings


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The language model, how it is computed, and what belongs to it."""

    model: str = parameter(
        'smollm2-135m-instruct',
        "The language model: 'smollm2-135m-instruct' (built in), a .gguf file, a folder in "
        "Hugging Face format, or 'owner/name' on Hugging Face (the node downloads it).",
        change='unconfigured',
    )
    chat_template: str = parameter(
        '',
        "A file with a chat template (Jinja, UTF-8) that replaces the model's own. Empty: the "
        "model's own.",
        change='unconfigured',
    )
    chat_template_arguments: str = parameter(
        '{}',
        'Arguments of the chat template, a JSON object. Example: {"enable_thinking": false}.',
        change='unconfigured',
    )
    device: str = parameter(
        'auto',
        "Where the model runs: 'cpu', 'cuda', 'cuda:N', or 'auto' (CUDA if there is a GPU, else "
        'the CPU).',
        change='unconfigured',
    )
    dtype: str = parameter(
        'auto',
        "Number format of the weights and the cache. 'auto': bfloat16 if the device computes in "
        'it, else float16 on a GPU and float32 on a CPU.',
        choices=('auto', 'float32', 'bfloat16', 'float16'),
        change='unconfigured',
    )
    quantization: str = parameter(
        'auto',
        "Format of the compiled library's weights on a CPU. 'none': `dtype`. 'int8': 8 bits. "
        "'int4': 4 bits, and 8 bits in the output layer and the embedding. 'auto': the format of "
        'a GGUF file, and 8 bits of other files.',
        choices=('auto', 'none', 'int8', 'int4'),
        change='unconfigured',
    )
    threads: int = parameter(
        0,
        'Number of CPU threads for the inference. 0: one for each CPU of `cpu_affinity`; if that '
        'is empty, one for each core, less one for the controllers if there are more than two. '
        'If OMP_NUM_THREADS is set, it is used instead of this 0.',
        bounds=(0, 1024),
        change='unconfigured',
    )
    cpu_affinity: str = parameter(
        '',
        "CPUs that the inference runs on, such as '2,3' or '4-7'. Empty: any. The node itself "
        'is not bound to them.',
        change='unconfigured',
    )
    repetition_penalty: float = parameter(
        0.0,
        'Makes tokens less likely that the prompt or the answer already contains: a positive '
        'logit is divided by this value, a negative one is multiplied. 1.0: off. 0.0: 1.05 for '
        "the built-in model, else the value in the model's generation_config.",
        bounds=(0.0, 2.0),
        change='unconfigured',
    )
    length_predictor: str = parameter(
        'auto',
        "Predicts the length of each answer. 'auto': the predictor of this package, if it was "
        "trained for the model. 'none': plans `max_new_tokens` for every answer. A path: a "
        '.safetensors file from `make train-predictor`, or a folder in Hugging Face format with a '
        "sequence classification model of 512 labels. 'owner/name': such a model on Hugging Face.",
        change='unconfigured',
    )
    profile_time_s: float = parameter(
        60.0,
        'How long the node measures the model when it first runs with these settings on this '
        'machine. 0.0: never; the node then predicts nothing, and evicts only by the policy '
        "'fixed'.",
        name='profile_time',
        unit='s',
        bounds=(0.0, 3600.0),
        change='unconfigured',
    )
    eviction_scorer: str = parameter(
        'snapkv',
        'Chooses which prompt tokens stay in the cache when the node evicts, besides the first '
        "and the last few. 'snapkv': the tokens that the end of the prompt attends to. "
        "'snapkv_lines': the lines and sentences that it attends to most on average. "
        "'streaming_llm': the most recent tokens.",
        choices=('snapkv', 'snapkv_lines', 'streaming_llm'),
        change='unconfigured',
    )
    prefix_cache_mb: int = parameter(
        256,
        'Memory for the keys and values of prompts that were read. A prompt that begins as one of '
        'them is read only from there on. 0: off.',
        unit='MB',
        bounds=(0, 1048576),
        change='unconfigured',
    )

    @property
    def cpus(self) -> frozenset[int]:
        """The CPUs of cpu_affinity; none: any."""
        return cpus_of(self.cpu_affinity)

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            cpus = self.cpus
        except ValueError as error:
            raise ValueError(f'cpu_affinity is {self.cpu_affinity!r}: {error}') from None
        missing = sorted(cpus - online_cpus()) if cpus else []
        if missing:
            raise ValueError(
                f'cpu_affinity names CPU {missing[0]}, which this machine does not have; it has '
                f'{", ".join(map(str, sorted(online_cpus())))}'
            )
        if 0.0 < self.repetition_penalty < 1.0:
            raise ValueError(
                f'repetition_penalty must be 0.0 or at least 1.0, got {self.repetition_penalty}'
            )
        self.template_arguments()

    def template_arguments(self) -> dict[str, Any]:
        """Return chat_template_arguments by name.

        Raises:
            ValueError: it is not a JSON object; a sentence.
        """
        text = self.chat_template_arguments
        try:
            arguments = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f'chat_template_arguments must be a JSON object, got {text[:80]!r}: {error}'
            ) from None
        if not isinstance(arguments, dict):
            raise ValueError(f'chat_template_arguments must be a JSON object, got {text[:80]!r}')
        return arguments
