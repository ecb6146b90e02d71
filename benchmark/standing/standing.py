"""Measures questions about a standing context, with the reuse of what was read and without.

Both arms share the model, and take turns question by question, in an order that is drawn.
"""

import argparse
import json
import random
import statistics
import time
from typing import Any

from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from benchmark.standing.arm import Answered, Arm
from benchmark.standing.questions import context_of, questions
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
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


def main() -> int:
    """Run, write the JSON, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--questions', type=int, default=QUESTIONS)
    parser.add_argument('--lengths', type=int, nargs='+', default=LENGTHS)
    arguments = parser.parse_args()
    start_s, machine = time.monotonic(), describe_machine()
    settings = ModelSettings()
    engine = loaded_engine(settings)
    penalty = engine.settings.repetition_penalty
    predictor = load_predictor(settings.length_predictor, engine.target, penalty)
    chat = ChatPrompt(engine.target.tokenizer)
    lengths: dict[str, Any] = {}
    with Progress(len(arguments.lengths) * arguments.questions, 'questions') as progress:
        for tokens in arguments.lengths:
            limit = settings.prefix_cache_mb * 1_000_000
            prefixes = PrefixCache(limit, engine.scorer.window, predictor.needs_sums)
            arms = {
                'on': Arm(engine, predictor, prefixes),
                'off': Arm(engine, predictor, PrefixCache()),
            }
            context = context_of(
                tokens, lambda text: len(engine.target.tokenizer(text)['input_ids']), SEED
            )
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
                **_hand_over(arms['on'], asked[0][1], runs),
                'context_tokens': prepared.tokens,
                'prepare_s': prepared.seconds,
                'bytes': {'held': prefixes.nbytes, 'allowed': limit, 'context': prepared.nbytes},
            }
    result = {
        'lengths': lengths,
        'samples': {'questions': arguments.questions, 'new_tokens': NEW_TOKENS, 'copies': COPIES},
        'seed': SEED,
        'run_time_s': round(time.monotonic() - start_s, 1),
        'machine': machine,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'standing.json').write_text(json.dumps(result, indent=2) + '\n')
    _print_table(lengths)
    print(f'{RESULTS / "standing.json"}; {result["run_time_s"]} s')
    return 0


def _asked(
    arms: dict[str, Arm], asked: list[tuple[str, list[int]]], progress: Progress
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

    times = {
        of: {arm: median(of, arm) for arm in ('on', 'off')}
        for of in ('first_token_s', 'total_s', 'prefill_s')
    }
    return {
        **times,
        'ratio_on_off': times['first_token_s']['on'] / times['first_token_s']['off'],
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
    for label, of in (('first token, ratio', 'ratio_on_off'), ('all', 'total_ratio_on_off')):
        rows.append((label, *(f'{found[of]:.3f}' for found in lengths.values())))
    for name in ('taken_over', 'copied'):
        shares = [found['hand_over_share'][name] for found in lengths.values()]
        rows.append((f'{name}, share of what is saved', *(f'{share:.2%}' for share in shares)))
    rows.append(('identical answers', *(str(f['identical_answers']) for f in lengths.values())))
    print(screen_table(rows))
