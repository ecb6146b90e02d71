"""Choices: the same as by transformers' own log-likelihoods, and how long they take."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.constraints.answerer import Answerer
from benchmark.constraints.choice_items import ChoiceItem
from benchmark.constraints.full_log_likelihood import FullLogLikelihood
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.inference.constraint.compiler import Form
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.progress import Progress

FREE_TOKENS = 32
"""Bound of the free answer to the same prompt, which lists the choices."""


def log_likelihoods(
    chat: ChatPrompt, oracle: FullLogLikelihood, items: Sequence[ChoiceItem]
) -> list[list[float]]:
    """Return the oracle's log-likelihoods of each item's choices."""
    found = []
    with Progress(len(items), 'items, transformers') as progress:
        for item in items:
            answers = [chat.plain_ids(text) for text in item.choices]
            found.append(oracle.of(chat.token_ids(item.prompt), answers))
            progress.advance(1, f'{len(item.choices)} choices')
    return found


def compare(
    exact: Answerer, items: Sequence[ChoiceItem], likely: Sequence[list[float]]
) -> dict[str, Any]:
    """Return how often an engine in float32 chooses as the oracle does.

    Arguments:
        exact: its engine computes in float32, without quantized weights.
        likely: of log_likelihoods().
    """
    gaps = []
    with Progress(len(items), 'items, ours in float32') as progress:
        for item, oracle in zip(items, likely, strict=True):
            choice = exact.answer(item.prompt, 1, _form(exact, item)).choice
            gaps.append(max(oracle) - oracle[choice])
            progress.advance(1, f'{len(item.choices)} choices')
    return {'n': len(items), 'agree': gaps.count(0.0) / len(gaps), 'gaps': sorted(gaps)[::-1][:5]}


def measure(
    served: Answerer, items: Sequence[ChoiceItem], likely: Sequence[list[float]]
) -> dict[str, Any]:
    """Return what choices take with the engine that is served, and free text beside them."""
    steps, agree, are_choices = [], 0, 0
    times: dict[str, list[float]] = {'choices': [], 'free_text': []}
    with Progress(len(items), 'items, as served') as progress:
        for item, oracle in zip(items, likely, strict=True):
            chosen = served.answer(item.prompt, 1, _form(served, item))
            free = served.answer(item.prompt, FREE_TOKENS)
            steps.append(chosen.bill.passes + 1)
            times['choices'].append(chosen.bill.total_time)
            times['free_text'].append(free.bill.total_time)
            are_choices += free.text.strip() in item.choices
            agree += oracle[chosen.choice] == max(oracle)
            progress.advance(1, f'{len(item.choices)} choices')
    ratios = np.divide(times['choices'], times['free_text'])
    return {
        'steps_p50': statistics.median(steps),
        'steps_p99': float(np.percentile(steps, 99)),
        'seconds_vs_free_text': statistics.median(ratios.tolist()),
        'seconds': {name: statistics.median(found) for name, found in times.items()},
        'n_timed': len(items),
        'served_agree': agree / len(items),
        'free_text_is_a_choice': are_choices / len(items),
    }


def _form(answerer: Answerer, item: ChoiceItem) -> Form:
    return answerer.form(Constraint(ConstraintKind.CHOICES, choices=item.choices))
