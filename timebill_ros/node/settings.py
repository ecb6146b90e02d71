"""All parameters of the node, each declared once: type, default, unit, bounds, description."""

import dataclasses
from dataclasses import dataclass
from typing import get_args

from timebill_ros.core.eviction_settings import EvictionSettings
from timebill_ros.core.planner_settings import EvictionPolicy
from timebill_ros.dispatch.dispatch_settings import AdmissionRule, QueueOrder
from timebill_ros.node.parameter_spec import ParameterSpec, parameter

EVICTION = EvictionSettings()


@dataclass(frozen=True)
class NodeSettings:
    """The values of all parameters; the field names are the parameters' names."""

    model: str = parameter(
        'smollm2-135m-instruct',
        "The language model: 'smollm2-135m-instruct' (built in), a .gguf file, a folder in "
        "Hugging Face format, or a hub id 'owner/name' (downloaded).",
        change='unconfigured',
    )
    device: str = parameter(
        'auto',
        "'auto' (CUDA where there is one, else the CPU), 'cpu', 'cuda' or 'cuda:N'.",
        change='unconfigured',
    )
    dtype: str = parameter(
        'auto',
        "Number format of weights and cache; 'auto': bfloat16 where the device computes in it, "
        'else float16 on a GPU and float32 on a CPU.',
        choices=('auto', 'float32', 'bfloat16', 'float16'),
        change='unconfigured',
    )
    quantization: str = parameter(
        'auto',
        "Weights that a decoding step on the CPU reads: 'none': as dtype says; 'int8'; 'int4' "
        "(the head in 8 bits); 'auto': as a GGUF file of Q4_0, Q4_1 or Q8_0 has them, else "
        "'none'. Prompts are read with dtype's.",
        choices=('auto', 'none', 'int8', 'int4'),
        change='unconfigured',
    )
    threads: int = parameter(
        0,
        'CPU threads of the inference; 0: as many as there are cores.',
        bounds=(0, 1024),
        change='unconfigured',
    )
    repetition_penalty: float = parameter(
        0.0,
        'Logits of tokens seen before are divided by this (multiplied, where negative); 1.0: off; '
        "0.0: 1.05 for the built-in model, else the model's own generation_config.",
        bounds=(0.0, 2.0),
        change='unconfigured',
    )
    length_predictor: str = parameter(
        'auto',
        "What predicts the length of answers: 'auto' (what comes with this package, if the model "
        "is the one that it was trained for), 'none' (every answer is planned as long as "
        'max_new_tokens allows), a .safetensors file of make train-predictor, or a sequence '
        'classification model of 512 labels: a folder in Hugging Face format, or a hub id.',
        change='unconfigured',
    )
    profile_time: float = parameter(
        60.0,
        'How long the model is measured when it runs for the first time in this way on this '
        'machine; 0.0: never, then nothing is predicted and nothing evicted.',
        unit='s',
        bounds=(0.0, 3600.0),
        change='unconfigured',
    )
    eviction_window: int = parameter(
        EVICTION.window,
        'SnapKV: the last so many prompt tokens choose what stays in the cache, and stay.',
        unit='tokens',
        bounds=(1, 1024),
        change='unconfigured',
    )
    eviction_kernel: int = parameter(
        EVICTION.kernel,
        'SnapKV: width of the pooling of the votes along the prompt, odd; 1: none.',
        unit='tokens',
        bounds=(1, 255),
        change='unconfigured',
    )
    eviction_pooling: str = parameter(
        EVICTION.pooling,
        'SnapKV: how votes within the kernel are pooled.',
        choices=('avg', 'max'),
        change='unconfigured',
    )
    eviction_window_aggregation: str = parameter(
        EVICTION.window_aggregation,
        "SnapKV: how the votes of the window's tokens are joined.",
        choices=('mean', 'max'),
        change='unconfigured',
    )
    eviction_group_aggregation: str = parameter(
        EVICTION.group_aggregation,
        'SnapKV: how the votes of the query heads that share a KV head are joined.',
        choices=('mean', 'max'),
        change='unconfigured',
    )
    eviction_sinks: int = parameter(
        EVICTION.sinks,
        'The first so many prompt tokens always stay in the cache.',
        unit='tokens',
        bounds=(0, 64),
        change='unconfigured',
    )
    autostart: bool = parameter(
        True,
        'Configure at start and activate when the model is ready; false: wait for lifecycle '
        'transitions.',
        change='never',
    )
    system_prompt: str = parameter(
        '', "System prompt of queries that bring none; empty: the model's chat template decides."
    )
    default_time_budget: float = parameter(
        10.0,
        'Time budget of queries that bring neither a budget nor a deadline.',
        unit='s',
        bounds=(0.001, 86400.0),
    )
    max_time_budget: float = parameter(
        600.0, 'A query with a larger budget is invalid.', unit='s', bounds=(0.001, 86400.0)
    )
    max_new_tokens: int = parameter(
        256, 'Longest response of queries that do not say.', unit='tokens', bounds=(1, 1000000)
    )
    overrun_policy: str = parameter(
        'kill',
        "What happens to queries that are about to miss their deadline and do not say: 'kill': no "
        "answer; 'skip_next': the answer is finished late, what waits or comes meanwhile is "
        "skipped; 'partial': the text so far is the answer.",
        choices=('kill', 'skip_next', 'partial'),
    )
    eviction_policy: str = parameter(
        'timebill',
        "How much of the prompt's cache is evicted: 'timebill': as little as the time budget "
        "allows in the worst case, which completes a few answers more; 'expected': the alpha with "
        'the largest (1 - alpha) times probability to be in time, which leaves more to answer '
        "from where budgets are tight; 'fixed': fixed_eviction_ratio; 'off': nothing.",
        choices=get_args(EvictionPolicy),
    )
    max_eviction_ratio: float = parameter(
        0.95,
        'Largest share of the prompt that policies timebill and expected evict, alpha_max.',
        bounds=(0.0, 0.99),
    )
    fixed_eviction_ratio: float = parameter(
        0.5,
        'Share of the prompt that policy fixed evicts, alpha.',
        bounds=(0.0, 0.99),
    )
    pessimistic_factor: float = parameter(
        5.0,
        'The worst case, by which policy timebill evicts, has a response so many times longer '
        'than predicted, k. Policy expected counts with the predicted length.',
        bounds=(1.0, 100.0),
    )
    queue_order: str = parameter(
        'fifo',
        "Whose turn is next: 'fifo': first in, first out; 'edf': earliest deadline first.",
        choices=get_args(QueueOrder),
    )
    admission: str = parameter(
        'backlog',
        "What is refused at once as infeasible: 'backlog': what cannot be met after what runs and "
        "what waits ahead; 'alone': what could not be met even if nobody else had asked.",
        choices=get_args(AdmissionRule),
    )
    keep_latest: bool = parameter(
        False, 'A query cancels the older ones of the same asker, whether they wait or run.'
    )
    max_queue_length: int = parameter(
        16,
        'Most queries that may wait, besides the one that runs.',
        unit='queries',
        bounds=(1, 100000),
    )
    max_prompt_bytes: int = parameter(
        262144,
        'Longest prompt, and longest system prompt, as UTF-8.',
        unit='bytes',
        bounds=(1, 67108864),
    )
    publish_reserve: float = parameter(
        0.02,
        'A query ends so long before its deadline, for the reply to be published in time.',
        unit='s',
        bounds=(0.0, 10.0),
    )
    chunk_rate: float = parameter(
        20.0,
        'Most chunks of an answer that are published in a second.',
        unit='Hz',
        bounds=(0.1, 1000.0),
    )
    abort_grace: float = parameter(
        1.0,
        'An inference process that does not stop a query within this time is replaced.',
        unit='s',
        bounds=(0.05, 60.0),
    )


def spec_of(name: str) -> ParameterSpec:
    """Return what is known of a parameter.

    Raises:
        KeyError: there is no such parameter.
    """
    specs: dict[str, ParameterSpec] = {
        field.name: field.metadata['spec'] for field in dataclasses.fields(NodeSettings)
    }
    return specs[name]


def check(settings: NodeSettings) -> None:
    """Hold all values against their bounds.

    Raises:
        ValueError: names the parameter, its value and the bound.
    """
    for field in dataclasses.fields(settings):
        spec, value = spec_of(field.name), getattr(settings, field.name)
        if spec.bounds is not None and not spec.bounds[0] <= value <= spec.bounds[1]:
            raise ValueError(
                f'{field.name} must be in [{spec.bounds[0]}, {spec.bounds[1]}]'
                f'{" " + spec.unit if spec.unit else ""}, got {value}'
            )
        if field.name == 'repetition_penalty' and 0.0 < value < 1.0:
            raise ValueError(f'repetition_penalty must be 0.0 or at least 1.0, got {value}')
        if field.name == 'eviction_kernel' and value % 2 == 0:
            raise ValueError(f'eviction_kernel must be odd, got {value}')
        if spec.choices and value not in spec.choices:
            raise ValueError(
                f'{field.name} must be one of {", ".join(spec.choices)}, got {value!r}'
            )
    if settings.default_time_budget > settings.max_time_budget:
        raise ValueError(
            f'default_time_budget must be at most max_time_budget, {settings.max_time_budget} s, '
            f'got {settings.default_time_budget} s'
        )
