"""Measures questions about a standing context, with the reuse of what was read and without.

Both arms share the model, and take turns question by question, in an order that is drawn. So does
llama.cpp's server, which keeps the prompt before by itself, if an interpreter is named that has
it. Before the first question counts, each arm has answered one about the same context.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmark.remote.llama_cpp_server import llama_cpp_server
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from benchmark.standing.arm import Answered, Arm
from benchmark.standing.llama_cpp_arm import LlamaCppArm
from benchmark.standing.questions import context_of, questions
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.length.length_predictor import NoPredictor
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_source import BUILT_IN, locate
from timebill_ros.inference.measured_time_model import LogProgress, time_model
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.progress import Progress
from timebill_ros.worker.preparation import Preparation
from timebill_ros.worker.preparing import Preparing
from timebill_ros.worker.protocol import Prepare

SEED = 20261127
LENGTHS = (512, 1024, 2048, 4096)
QUESTIONS = 20
NEW_TOKENS = 32
COPIES = 5
_PROFILE_S = 60.0


def main() -> int:
    """Run, write the JSON, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--questions', type=int, default=QUESTIONS)
    parser.add_argument('--lengths', type=int, nargs='+', default=LENGTHS)
    parser.add_argument(
        '--server-python', default='', help='interpreter with llama-cpp-python[server]'
    )
    arguments = parser.parse_args()
    start_s, machine = time.monotonic(), describe_machine()
    settings = ModelSettings()
    engine = loaded_engine(settings)
    penalty = engine.settings.repetition_penalty
    model = time_model(engine, _PROFILE_S, LogProgress('measuring the time model'))
    predictor = load_predictor(settings.length_predictor, engine.target, penalty)
    chat = ChatPrompt(engine.target.tokenizer)
    lengths: dict[str, Any] = {}
    with (
        Progress(len(arguments.lengths) * arguments.questions, 'questions') as progress,
        _llama_cpp(arguments.server_python) as port,
    ):
        for tokens in arguments.lengths:
            limit = settings.prefix_cache_mb * 1_000_000
            prefixes = PrefixCache(limit, engine.scorer.window, predictor.needs_sums)
            context = context_of(
                tokens, lambda text: len(engine.target.tokenizer(text)['input_ids']), SEED
            )
            arms: dict[str, Arm | LlamaCppArm] = {
                'on': Arm(engine, predictor, prefixes, model),
                'off': Arm(engine, predictor, PrefixCache(), model),
            }
            if port:
                arms['llama_cpp'] = LlamaCppArm(port, context)
            engine.prefixes = prefixes
            prepared = Preparing(engine, predictor, chat.beginning_ids).prepare(
                Preparation(Prepare(0, 'bench', '', context))
            )
            assert prepared is not None and not prepared.detail, prepared
            asked = [
                (question, chat.token_ids(question, '', context))
                for question in questions(arguments.questions + 1, SEED)
            ]
            runs = _asked(arms, asked, progress)
            lengths[str(tokens)] = {
                **_summary(runs),
                **_hand_over(Arm(engine, predictor, prefixes), asked[0][1], runs),
                'context_tokens': prepared.tokens,
                'prepare_s': prepared.seconds,
                'bytes': {'held': prefixes.nbytes, 'allowed': limit, 'context': prepared.nbytes},
            }
    identical = _identical(arguments.questions)
    result = {
        'lengths': lengths,
        'identical_tokens': identical,
        'samples': {'questions': arguments.questions, 'new_tokens': NEW_TOKENS, 'copies': COPIES},
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'standing.json').write_text(json.dumps(result, indent=2) + '\n')
    _print_table(lengths)
    print(f'in fp32 {identical["identical"]} of {identical["n"]} answers are the same')
    print(f'{RESULTS / "standing.json"}; {result["run_time_s"]} s')
    return 0


def _identical(number: int) -> dict[str, int]:
    """Return how many answers in fp32 about a context are the same with the reuse as without."""
    settings = ModelSettings(dtype='float32')
    engine = loaded_engine(settings)
    predictor, chat = NoPredictor(), ChatPrompt(engine.target.tokenizer)
    limit = settings.prefix_cache_mb * 1_000_000
    reusing = Arm(engine, predictor, PrefixCache(limit, engine.scorer.window))
    reading = Arm(engine, predictor, PrefixCache())
    tokenizer = engine.target.tokenizer
    context = context_of(LENGTHS[0], lambda text: len(tokenizer(text)['input_ids']), SEED)
    same = reused = 0
    for question in questions(number + 1, SEED):
        ids = chat.token_ids(question, '', context)
        with_, without = (arm.answer(question, ids, NEW_TOKENS) for arm in (reusing, reading))
        if with_.cached_tokens:  # all but the first
            reused += 1
            same += with_.text == without.text
    return {'identical': same, 'n': reused}


@contextmanager
def _llama_cpp(python: str) -> Iterator[int]:
    """Run the server on as many threads as torch has; yield its port, 0 if it is not asked for."""
    if not python:
        yield 0
        return
    with tempfile.TemporaryDirectory() as folder:
        log, threads = Path(folder) / 'server.log', torch.get_num_threads()
        gguf = locate(BUILT_IN)
        with llama_cpp_server(python, gguf, log, threads, 2 * max(LENGTHS)) as server:
            yield server.port


def _asked(
    arms: Mapping[str, Arm | LlamaCppArm], asked: list[tuple[str, list[int]]], progress: Progress
) -> list[dict[str, Answered]]:
    draw, runs = random.Random(SEED), []
    for number, (question, ids) in enumerate(asked):
        order = draw.sample(sorted(arms), len(arms))
        answers = {name: arms[name].answer(question, ids, NEW_TOKENS) for name in order}
        if number > 0:  # the first warms up
            runs.append(answers)
            progress.advance(1, f'{len(ids)} tokens')
    return runs


def _summary(runs: list[dict[str, Answered]]) -> dict[str, Any]:
    def median(of: str, arm: str) -> float:
        return statistics.median(getattr(run[arm], of) for run in runs)

    times: dict[str, Any] = {
        of: {arm: median(of, arm) for arm in runs[0]} for of in ('first_token_s', 'total_s')
    }
    for of in ('prefill_s', 'predicted_prefill_s'):
        times[of] = {arm: median(of, arm) for arm in ('on', 'off')}
    first_token_s = times['first_token_s']
    return {
        **times,
        'ratio_on_off': first_token_s['on'] / first_token_s['off'],
        'ratio_vs_llama_cpp': (
            first_token_s['on'] / first_token_s['llama_cpp']
            if 'llama_cpp' in first_token_s
            else None
        ),
        'total_ratio_on_off': times['total_s']['on'] / times['total_s']['off'],
        'cached_tokens': median('cached_tokens', 'on'),
        'identical_answers': sum(run['on'].text == run['off'].text for run in runs),
    }


def _hand_over(arm: Arm, ids: list[int], runs: list[dict[str, Answered]]) -> dict[str, Any]:
    """Return the time to hand what is cached over, as shares of the prefill that it saves."""
    saved_s = statistics.median(run['off'].prefill_s - run['on'].prefill_s for run in runs)
    shares: dict[str, float] = {}
    for name, room in (('taken_over', NEW_TOKENS), ('copied', 1024)):
        found = [arm.hand_over_s(ids, room) for _ in range(COPIES)]
        assert {is_copied for _, is_copied in found} == {name == 'copied'}, f'{name}: {found}'
        shares[name] = statistics.median(time_s for time_s, _ in found) / saved_s
    return {'hand_over_share': shares}


def _print_table(lengths: dict[str, Any]) -> None:
    rows = [('', *(f'{tokens} tokens' for tokens in lengths))]
    for label, of in (('first token', 'first_token_s'), ('whole answer', 'total_s')):
        cells = [
            f'{found[of]["on"]:.3f} of {found[of]["off"]:.3f} s' for found in lengths.values()
        ]
        rows.append((f'{label}, on of off', *cells))
    for arm in ('on', 'off'):
        cells = [
            f'{found["predicted_prefill_s"][arm]:.3f} for {found["prefill_s"][arm]:.3f} s'
            for found in lengths.values()
        ]
        rows.append((f'predicted for measured prefill, {arm}', *cells))
    if all(found['ratio_vs_llama_cpp'] for found in lengths.values()):
        cells = [f'{found["ratio_vs_llama_cpp"]:.3f}' for found in lengths.values()]
        rows.append(("first token, of llama.cpp's", *cells))
    for label, of in (('first token, ratio', 'ratio_on_off'), ('all', 'total_ratio_on_off')):
        rows.append((label, *(f'{found[of]:.3f}' for found in lengths.values())))
    for name in ('taken_over', 'copied'):
        shares = [found['hand_over_share'][name] for found in lengths.values()]
        rows.append((f'{name}, share of what is saved', *(f'{share:.2%}' for share in shares)))
    rows.append(('identical answers', *(str(f['identical_answers']) for f in lengths.values())))
    print(screen_table(rows))
