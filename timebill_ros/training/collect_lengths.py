"""Collects the lengths of the target's own answers, to train a length predictor on.

You can stop it with Ctrl-C, and continue by starting it again. With --again, it answers the same
prompts with other rounding, or with a line break behind them. No predictor can be better than the
agreement of both runs.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.cache_folder import cache_folder
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.progress import Progress
from timebill_ros.training.answer_length import answered, length_key
from timebill_ros.training.ends_after_this import EndsAfterThis
from timebill_ros.training.length_agreement import length_agreement
from timebill_ros.training.length_data import AGAIN_FILE, FILE, NEWLINE_FILE, STATES_FILE
from timebill_ros.training.length_file import (
    LengthFile,
    LengthKey,
    LengthRecord,
    read_lengths,
    refuse_another,
)
from timebill_ros.training.length_summary import summary
from timebill_ros.training.prompt import Prompt
from timebill_ros.training.prompt_packages import all_fetched
from timebill_ros.training.prompt_set import prompt_set
from timebill_ros.training.state_file import StateFile, state_shape

LEAST_MAX_NEW_TOKENS = 16
AGAIN_PROMPTS = 200
AGAIN = ('rounding', 'newline')


def collect(
    engine: Engine,
    prompts: Sequence[Prompt],
    lengths: LengthFile,
    max_new_tokens: int,
    may_go_on: Callable[[], bool],
    states: StateFile | None = None,
    ending: str = '',
) -> int:
    """Answer the prompts that are not in the file; return how many were too long to answer.

    Arguments:
        lengths: receives each record when its answer is complete.
        may_go_on: asked before each prompt.
        states: receives the hidden states of each prompt.
        ending: text behind each prompt.
    """
    known = {record.sha256 for record in lengths.records}
    chat = ChatPrompt(engine.target.tokenizer)
    too_long = 0
    todo = [prompt for prompt in prompts if prompt.sha256 not in known]
    with Progress(len(todo), 'prompts') as progress:
        for prompt in todo:
            if not may_go_on():
                break
            record = answered(engine, chat, prompt, max_new_tokens, states, ending)
            if record is None:
                too_long += 1
            else:
                lengths.add(record)
            progress.advance(1, _said(prompt, record))
    return too_long


def other_numerics(key: LengthKey) -> tuple[str, str]:
    """Return the dtype and quantization that give other rounding for the same weights.

    The weights of a quantized step do not change. Activations and cache are rounded differently,
    in the prefill too.
    """
    return ('float32' if key.dtype != 'float32' else 'bfloat16'), key.quantization


def default_folder(key: LengthKey) -> Path:
    """Return the default folder for a target's lengths."""
    name = f'{Path(key.target).name}-{key.weights_hash[:12]}-{key.dtype}-{key.quantization}'
    return cache_folder() / 'lengths' / name


def main() -> int:
    """Collect, and print a table; return the exit status."""
    options = _options()
    try:
        return _run(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.limit is not None and options.limit < 0:
        raise ValueError(f'limit must be at least 0, got {options.limit}')
    if options.max_new_tokens < LEAST_MAX_NEW_TOKENS:
        raise ValueError(
            f'max-new-tokens must be at least {LEAST_MAX_NEW_TOKENS}, got {options.max_new_tokens}'
        )
    prompts = _prompts(options.seed)
    engine = _engine(options, options.dtype, options.quantization)
    key = length_key(engine, options.max_new_tokens)
    folder = options.folder or default_folder(key)
    if options.again:
        return _run_again(options, engine, folder, prompts)
    some = prompts if options.limit is None else prompts[: options.limit]
    with (
        LengthFile(folder / FILE, key) as lengths,
        StateFile(
            folder / STATES_FILE, state_shape(engine.target.model), len(lengths.records)
        ) as states,
    ):
        _collect_until_told(engine, some, lengths, options, states)
        print(summary(lengths.records, prompts))
    print(folder / FILE)
    return 0


def _engine(options: argparse.Namespace, dtype: str, quantization: str) -> Engine:
    return loaded_engine(
        ModelSettings(
            model=options.model,
            device=options.device,
            dtype=dtype,
            quantization=quantization,
            threads=options.threads,
        )
    )


def _run_again(
    options: argparse.Namespace, engine: Engine, folder: Path, prompts: Sequence[Prompt]
) -> int:
    key = length_key(engine, options.max_new_tokens)
    found, first = read_lengths(folder / FILE)
    refuse_another(folder / FILE, found, key)
    path, ending, difference = folder / NEWLINE_FILE, '\n', 'a line break behind the prompt'
    if options.again == 'rounding':
        dtype, quantization = other_numerics(key)
        engine = _engine(options, dtype, quantization)
        path, ending, difference = folder / AGAIN_FILE, '', f'{dtype} for {key.dtype}'
    known = {record.sha256 for record in first}
    some = [prompt for prompt in prompts if prompt.sha256 in known]
    some = some[: AGAIN_PROMPTS if options.limit is None else options.limit]
    with LengthFile(path, length_key(engine, options.max_new_tokens)) as lengths:
        _collect_until_told(engine, some, lengths, options, ending=ending)
        second: list[LengthRecord] = lengths.records
        print(summary(second, some))
    agreement = length_agreement(first, second)
    errors = agreement.errors
    print(
        f'with {difference}: {errors.n} prompts, R2 {errors.r2:.2f}, correlation '
        f'{agreement.correlation:.2f}, mean absolute error {errors.mae:.1f} tokens, '
        f'{100 * agreement.identical:.0f} % of equal length'
    )
    print(path)
    return 0


def _collect_until_told(
    engine: Engine,
    prompts: Sequence[Prompt],
    lengths: LengthFile,
    options: argparse.Namespace,
    states: StateFile | None = None,
    ending: str = '',
) -> None:
    end_s = time.monotonic() + options.time_limit
    with EndsAfterThis() as ends:
        too_long = collect(
            engine,
            prompts,
            lengths,
            options.max_new_tokens,
            lambda: not ends.told and time.monotonic() < end_s,
            states,
            ending,
        )
    if too_long:
        print(
            f'{too_long} prompts were not asked: with {options.max_new_tokens} new tokens they '
            f'do not fit into a context of {engine.target.context_length}'
        )


def _prompts(seed: int) -> list[Prompt]:
    return prompt_set(all_fetched(), seed)


def _said(prompt: Prompt, record: LengthRecord | None) -> str:
    if record is None:
        return f'{prompt.source}, too long'
    return f'{prompt.source}, {record.response_tokens} tokens, {record.finish_reason}'


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default=BUILT_IN, help="as the node's parameter")
    parser.add_argument('--device', default='auto', help="as the node's parameter")
    parser.add_argument(
        '--dtype', default='auto', choices=('auto', 'float32', 'bfloat16', 'float16')
    )
    parser.add_argument('--quantization', default='auto', choices=('auto', 'none', 'int8', 'int4'))
    parser.add_argument('--threads', type=int, default=0, help='0: as many as there are cores')
    parser.add_argument(
        '--max-new-tokens',
        type=int,
        default=1024,
        help='N_max, where an answer is cut off; default: 1024',
    )
    parser.add_argument('--seed', type=int, default=0, help='of prompts and order; default: 0')
    parser.add_argument(
        '--folder', type=Path, help='where the lengths go; default: a folder in the cache'
    )
    parser.add_argument('--limit', type=int, help='the first so many prompts only')
    parser.add_argument(
        '--time-limit', type=float, default=float('inf'), help='begin no prompt after so long [s]'
    )
    parser.add_argument(
        '--again',
        nargs='?',
        const=AGAIN[0],
        choices=AGAIN,
        help=f'answer {AGAIN_PROMPTS} (or --limit) of the collected prompts with other rounding '
        '(default), or with a line break behind them',
    )
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
