"""How exact is the time model, and does its worst case hold? The paper's figures 5 and 6.

The fit comes from the profiler, as at the node's first start. All reported values are measured
afterwards, with other lengths and other random prompts.
"""

import dataclasses
import json
import random
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from benchmark.estimator.coverage_report import coverage_report
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from timebill_ros.core.execution_time_estimator import Sample
from timebill_ros.core.time_model import TimeModel
from timebill_ros.core.worst_case_margin import MeasuredGeneration
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.profiler import SHORTEST_PROMPT, Profiler
from timebill_ros.profile import profiled
from timebill_ros.profile_figure import draw
from timebill_ros.progress import Progress

matplotlib.use('Agg')

from matplotlib import pyplot as plt

PROFILE_TIME_S = 60.0
PROFILE_SEED, LENGTHS_SEED, GENERATIONS_SEED = 0, 1001, 2002
HELD_OUT_LENGTHS, REPEATS = 16, 3
LONGEST_PROMPT = 4096
GENERATIONS, LONGEST_GENERATION_PROMPT, LONGEST_RESPONSE = 600, 2048, 48
LEVERAGE_TOKENS = (512, 1024, 2048, 4096)
Array = NDArray[np.float64]


def main() -> int:
    """Profile, measure, report; return the exit status."""
    start_s = time.monotonic()
    machine = describe_machine()
    engine = loaded_engine()
    first = Profiler(engine, PROFILE_TIME_S, seed=PROFILE_SEED)
    fitted = profiled(first)
    model = fitted.model
    curves = _measure_held_out(Profiler(engine, 0.0, seed=LENGTHS_SEED))
    generations = _measure_generations(Profiler(engine, 0.0, seed=GENERATIONS_SEED))
    report: dict[str, Any] = {
        **_curve_errors(model, *curves),
        **coverage_report(model, first.measurements.generations, generations),
        'coefficients': dataclasses.asdict(model),
        'delta': model.delta,
        'leverage': {tokens: model.leverage(tokens, 0.95) for tokens in LEVERAGE_TOKENS},
        'fit': dataclasses.asdict(fitted),
        'seeds': {
            'profile': PROFILE_SEED,
            'lengths': LENGTHS_SEED,
            'generations': GENERATIONS_SEED,
        },
        'machine': machine,
        'run_time_s': round(time.monotonic() - start_s, 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'estimator.json').write_text(json.dumps(report, indent=2) + '\n')
    _save_generations(first.measurements.generations, generations)
    draw(first.measurements, fitted, 'the fit', RESULTS / 'estimator_fit.png')
    _draw_generations(model, generations, RESULTS / 'estimator.png')
    for name in (
        *('prefill_mape', 'step_mape', 'noise_floor', 'e2e_mape', 'wcet_coverage'),
        *('wcet_coverage_interval', 'wcet_tightness', 'n', 'with_drift', 'slower'),
        *('one_factor', 'delta', 'leverage'),
    ):
        print(f'{name:24} {report[name]}')
    return 0


def _measure_held_out(profiler: Profiler) -> tuple[list[Sample], list[Sample]]:
    """Measure prefills and steps at random lengths, every length several times, interleaved."""
    chance = random.Random(LENGTHS_SEED)
    low, high = np.log(SHORTEST_PROMPT), np.log(LONGEST_PROMPT)
    lengths = [round(float(np.exp(chance.uniform(low, high)))) for _ in range(HELD_OUT_LENGTHS)]
    with Progress(REPEATS * len(lengths), 'prompts') as progress:
        for _ in range(REPEATS):
            for length in chance.sample(lengths, len(lengths)):
                profiler.measure_round(length, evicts=False)
                progress.advance(1, 'held-out lengths')
    return profiler.measurements.prefills, profiler.measurements.steps


def _measure_generations(profiler: Profiler) -> list[MeasuredGeneration]:
    generations = []
    with Progress(GENERATIONS, 'generations') as progress:
        for _ in range(GENERATIONS):
            generations.append(profiler.generation(LONGEST_GENERATION_PROMPT, LONGEST_RESPONSE))
            progress.advance(1, 'whole generations')
    return generations


def _curve_errors(model: TimeModel, prefills: list[Sample], steps: list[Sample]) -> dict[str, Any]:
    """Return the errors of the means at each length, and what repeats differ by themselves.

    Steps are taken a prompt at a time: one prompt's eight steps are one measurement.
    """
    step_runs = [
        Sample(
            round(float(np.mean([sample.tokens for sample in run]))),
            float(np.mean([sample.seconds for sample in run])),
        )
        for run in _runs(steps)
    ]
    prefill_error, prefill_noise = _error_and_noise(prefills, model.t_prefill)
    step_error, step_noise = _error_and_noise(step_runs, model.t_step)
    return {
        'prefill_mape': prefill_error,
        'step_mape': step_error,
        'noise_floor': {'prefill': prefill_noise, 'step': step_noise},
        'n_prefill': len(prefills),
        'n_step': len(steps),
    }


def _runs(steps: list[Sample]) -> list[list[Sample]]:
    """Cut steps where the cache's length does not rise by one: there another prompt began."""
    runs = [[steps[0]]]
    for sample in steps[1:]:
        if sample.tokens == runs[-1][-1].tokens + 1:
            runs[-1].append(sample)
        else:
            runs.append([sample])
    return runs


def _error_and_noise(samples: list[Sample], predict: Any) -> tuple[float, float]:
    """Return MAPE of the predictions for each sample, and of each sample for its repeats [%]."""
    by_length: dict[int, list[float]] = {}
    for sample in samples:
        by_length.setdefault(sample.tokens, []).append(sample.seconds)
    errors = [
        abs(predict(length) / seconds - 1.0)
        for length, repeats in by_length.items()
        for seconds in repeats
    ]
    noise = [
        abs(other / seconds - 1.0)
        for repeats in by_length.values()
        for index, seconds in enumerate(repeats)
        for other in repeats[:index] + repeats[index + 1 :]
    ]
    return 100 * float(np.mean(errors)), 100 * float(np.mean(noise))


def _times(model: TimeModel, generations: list[MeasuredGeneration]) -> tuple[Array, Array]:
    """Return measured and predicted total times, with N known [s]."""
    measured = [g.prefill_s + g.eviction_s + g.decode_s for g in generations]
    predicted = [
        model.t_e2e(g.prompt_tokens, g.kept_tokens, g.response_tokens) for g in generations
    ]
    return np.array(measured), np.array(predicted)


def _save_generations(
    profile: list[MeasuredGeneration], generations: list[MeasuredGeneration]
) -> None:
    """Save the raw times, a generation a line: other rules can be tried on them."""
    parts = [
        f'"{name}": [\n' + ',\n'.join(json.dumps(dataclasses.astuple(g)) for g in found) + '\n]'
        for name, found in (('profile', profile), ('generations', generations))
    ]
    names = [field.name for field in dataclasses.fields(MeasuredGeneration)]
    text = ',\n'.join([f'"fields": {json.dumps(names)}', *parts])
    (RESULTS / 'estimator_generations.json').write_text(f'{{\n{text}\n}}\n')


def _draw_generations(model: TimeModel, generations: list[MeasuredGeneration], path: Path) -> None:
    measured, predicted = _times(model, generations)
    worst = np.array(
        [
            model.worst_case(g.response_tokens).t_e2e(
                g.prompt_tokens, g.kept_tokens, g.response_tokens
            )
            for g in generations
        ]
    )
    order = np.argsort(predicted)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout='constrained')
    left.plot(predicted[order], measured[order], '.', label='measured')
    left.plot(predicted[order], predicted[order], label='t_e2e')
    left.plot(predicted[order], worst[order], '.', markersize=3, label='t_wcet')
    left.set_xlabel('predicted [s]')
    left.set_ylabel('measured [s]')
    left.legend()
    right.plot(measured / predicted, '.')
    right.axhline(1, color='tab:orange')
    right.plot(worst / predicted, '.', markersize=3, color='tab:green')
    right.set_xlabel('generation, in the order measured')
    right.set_ylabel('measured / predicted')
    figure.suptitle(f'{len(generations)} generations of known length')
    figure.savefig(path, dpi=120)
    plt.close(figure)
