"""Fits what an evicted answer is worth, and how long it becomes, to a model's own answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.closed_loop_arms import RATIOS, Answers
from benchmark.budgets.way import WHOLE
from timebill_ros.core.answer_worth import PRIOR, AnswerWorth

Array = NDArray[np.float64]

SHARES_WRITTEN = (0.0, 1 / 3, 2 / 3)
"""Of the unevicted answer, at which the answers are evicted that the worth is fitted to."""
POWERS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Of the share that is left."""
FEW_TOKENS = (0.0, 0.25, 0.5, 0.75, 1.0)
WORTHS = np.linspace(0.0, 1.0, 101)
PRIOR_ANSWERS = 4.0
"""The prior counts as much as so many answers."""


@dataclass(frozen=True)
class Branch:
    """An evicted answer beside the unevicted one.

    Arguments:
        task: its name.
        prompt_tokens, kept: before and after the eviction.
        alpha: the ratio that was asked for.
        evict_at: behind so many tokens.
        tokens, score: of the evicted answer.
        whole_tokens, whole_score: of the unevicted one.
        longest: bound of both [tokens].
    """

    task: str
    prompt_tokens: int
    kept: int
    alpha: float
    evict_at: int
    tokens: int
    score: float
    whole_tokens: int
    whole_score: float
    longest: int


def branches_of(answers: Answers, min_kept_tokens: int) -> list[Branch]:
    """Return an item's answers that are evicted at SHARES_WRITTEN, at each ratio."""
    whole = len(answers.pieces(WHOLE))
    found = []
    for share, alpha in product(SHARES_WRITTEN, RATIOS[1:]):
        way = round(share * whole), alpha
        tokens = len(answers.pieces(way))
        found.append(
            Branch(
                answers.item.task,
                answers.prompt_tokens,
                kept_tokens(answers.prompt_tokens, alpha, min_kept_tokens),
                alpha,
                way[0],
                tokens,
                answers.score(way, tokens),
                whole,
                answers.score(WHOLE, whole),
                answers.longest,
            )
        )
    return found


def fitted(branches: Sequence[Branch]) -> AnswerWorth:
    """Return what explains the scores best, by squares; lengths by their logarithms.

    A square counts as one over the unevicted score, so that the mean score is met. Else answers
    that score most count most: they lose most, and eviction looks worse than it is on the whole.
    The worth never rises with the ratio.

    Arguments:
        branches: of ratios that PRIOR has, too.
    """
    found = _lengths(branches)
    best, least = found, np.inf
    for few_tokens, power in product(FEW_TOKENS, POWERS):
        tried, squares = _worths(branches, replace(found, few_tokens=few_tokens, left_power=power))
        if squares < least:
            best, least = tried, squares
    return best


def without_each_task(branches: Sequence[Branch]) -> dict[str, AnswerWorth]:
    """Return for each task what is fitted to all others."""
    return {
        task: fitted([one for one in branches if one.task != task])
        for task in sorted({one.task for one in branches})
    }


def held_out(
    branches: Sequence[Branch], worths: Mapping[str, AnswerWorth]
) -> dict[str, dict[str, float]]:
    """Return by ratio what was predicted and what came out, as shares of the unevicted scores.

    Arguments:
        worths: by task.
    """
    report = {}
    for alpha in sorted({one.alpha for one in branches}):
        some = [one for one in branches if one.alpha == alpha]
        whole = sum(one.whole_score for one in some) or 1.0
        report[f'{alpha:g}'] = {
            'measured': sum(one.score for one in some) / whole,
            'predicted': float(_predicted(some, worths).sum()) / whole,
            'prior': float(_predicted(some, dict.fromkeys(worths, PRIOR)).sum()) / whole,
            'n': len(some),
        }
    return report


def squared_error(branches: Sequence[Branch], worths: Mapping[str, AnswerWorth]) -> float:
    """Return the mean squared error of the predicted scores."""
    scores = np.array([one.score for one in branches])
    return float(np.square(scores - _predicted(branches, worths)).mean())


def _predicted(branches: Sequence[Branch], worths: Mapping[str, AnswerWorth]) -> Array:
    """Return the scores that worths predict, by task."""
    return np.array(
        [one.whole_score * float(worths[one.task].worth(*_columns([one]))[0]) for one in branches]
    )


def _columns(branches: Sequence[Branch]) -> tuple[Array, Array, Array]:
    """Return what AnswerWorth.worth() takes, each (branches,)."""
    rows = [
        (one.prompt_tokens, one.kept, 1.0 - one.evict_at / one.whole_tokens) for one in branches
    ]
    prompt, kept, left = np.array(rows, dtype=np.float64).T
    return prompt, kept, left


def _lengths(branches: Sequence[Branch]) -> AnswerWorth:
    """Return PRIOR with the stretches and spreads of the answers that end by themselves."""
    stretches, spreads = list(PRIOR.stretches), list(PRIOR.spreads)
    for place, alpha in enumerate(PRIOR.ratios):
        longer = np.log(
            [
                (one.tokens - one.evict_at) / (one.whole_tokens - one.evict_at)
                for one in branches
                if one.alpha == alpha and one.whole_tokens < one.longest
            ]
        )
        count = len(longer) + PRIOR_ANSWERS
        median = (longer.sum() + PRIOR_ANSWERS * np.log(PRIOR.stretches[place])) / count
        squares = np.square(longer - median).sum() + PRIOR_ANSWERS * PRIOR.spreads[place] ** 2
        stretches[place], spreads[place] = np.exp(median), np.sqrt(squares / count)
    return replace(PRIOR, stretches=_rounded(stretches), spreads=_rounded(spreads))


def _worths(branches: Sequence[Branch], form: AnswerWorth) -> tuple[AnswerWorth, float]:
    """Return the worths that explain the scores best in a given form, and the sum of squares."""
    worths, total = list(PRIOR.worths), 0.0
    for place, alpha in enumerate(PRIOR.ratios):
        some = [one for one in branches if one.alpha == alpha and one.whole_score > 0.0]
        if not some:
            continue
        scores = np.array([one.score for one in some])
        whole = np.array([one.whole_score for one in some])
        columns = _columns(some)
        squares = np.zeros(len(WORTHS))
        for index, level in enumerate(WORTHS):
            flat = replace(form, worths=(float(level),) * len(PRIOR.ratios))
            squares[index] = (np.square(scores - whole * flat.worth(*columns)) / whole).sum()
        doubt = PRIOR_ANSWERS * whole.mean()
        squares += doubt * np.square(WORTHS - PRIOR.worths[place])
        most = worths[place - 1] if place else 1.0
        squares[most + 1e-9 < WORTHS] = np.inf
        best = int(squares.argmin())
        worths[place], total = float(WORTHS[best]), total + float(squares[best])
    return replace(form, worths=_rounded(worths)), total


def _rounded(values: Sequence[float] | Array) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)
