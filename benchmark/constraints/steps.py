"""What a constraint costs a decoding step, and what forced tokens save."""

import random
import statistics
from collections.abc import Sequence
from typing import Any

from benchmark.constraints.answerer import Answered, Answerer
from benchmark.constraints.asking_guide import asking_for_every_token
from benchmark.constraints.function_schemas import FunctionSchema
from benchmark.constraints.part_times import PartTimes
from timebill_ros.core.constraint import Constraint, ConstraintKind, InvalidConstraintError
from timebill_ros.inference.constraint.compiler import Form
from timebill_ros.progress import Progress

MAX_NEW_TOKENS = 96
_ARMS = ('forced', 'asked')


def measure_steps(
    answerer: Answerer, functions: Sequence[FunctionSchema], count: int, seed: int
) -> dict[str, Any]:
    """Answer so many schemas with forced tokens, and with every token asked for, in turns."""
    draw = random.Random(f'{seed} steps')
    runs: list[dict[str, Answered]] = []
    parts = PartTimes()
    with Progress(count, 'schemas, both arms') as progress:
        for function, form in _compiled(answerer, functions):
            if len(runs) == count:
                break
            order = draw.sample(_ARMS, len(_ARMS))
            runs.append({arm: _answered(answerer, arm, function, form, parts) for arm in order})
            progress.advance(1, function.name)
    same = [run for run in runs if run['forced'].text == run['asked'].text]
    ours = [run['forced'].bill for run in runs]
    forced = [run['forced'].bill for run in same]
    asked_s = sum(run['asked'].bill.decode_time for run in same)
    steps_ms = [1e3 * bill.constraint_time / max(1, bill.passes + 1) for bill in ours]
    decode_s = sum(bill.decode_time for bill in ours)
    return {
        **{f'{part}_share_of_step': _share(s, decode_s) for part, s in parts.seconds().items()},
        'constraint_share_of_step': _share(sum(bill.constraint_time for bill in ours), decode_s),
        'forced': {
            'tokens_share': _share(
                sum(bill.forced_tokens for bill in ours),
                sum(bill.response_tokens for bill in ours),
            ),
            'seconds_saved_share': 1.0 - _share(sum(bill.decode_time for bill in forced), asked_s),
            'n': len(runs),
            'n_same_text': len(same),
            'seconds_asked': asked_s,
            'passes_share': _share(
                sum(bill.passes for bill in forced),
                sum(run['asked'].bill.passes for run in same),
            ),
            'constraint_ms_a_step_p50': statistics.median(steps_ms),
            'constraint_ms_a_step_max': max(steps_ms),
        },
    }


def _compiled(
    answerer: Answerer, functions: Sequence[FunctionSchema]
) -> 'list[tuple[FunctionSchema, Form]]':
    found = []
    for function in functions:
        try:
            constraint = Constraint(ConstraintKind.JSON_SCHEMA, function.text)
            found.append((function, answerer.form(constraint)))
        except InvalidConstraintError:
            continue
    return found


def _answered(
    answerer: Answerer, arm: str, function: FunctionSchema, form: Form, parts: PartTimes
) -> Answered:
    if arm == 'forced':
        with parts.measured():
            return answerer.answer(function.prompt, MAX_NEW_TOKENS, form)
    with asking_for_every_token():
        return answerer.answer(function.prompt, MAX_NEW_TOKENS, form)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
