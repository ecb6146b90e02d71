"""Follows the drift during a recording, as the node does with its bills."""

from collections.abc import Iterable

from benchmark.budgets.recorded_answer import RecordedAnswer
from timebill_ros.core.bill import Bill
from timebill_ros.core.drift import Drift
from timebill_ros.core.time_model import TimeModel


def followed_models(answers: Iterable[RecordedAnswer], fitted: TimeModel) -> dict[str, TimeModel]:
    """Return the model that an item would have been planned with, by the item's key.

    Each item's first recorded answer is taken for a query that was served, so that a bill is seen
    as often as by a node.

    Arguments:
        answers: in the order in which they were recorded.
        fitted: as profiled.
    """
    drift, models = Drift.of(fitted), {}
    for answer in answers:
        if answer.item not in models:
            models[answer.item] = drift.model
            drift = drift.observed(_bill(answer))
    return models


def _bill(answer: RecordedAnswer) -> Bill:
    return Bill(
        prompt_tokens=answer.prompt_tokens,
        kept_tokens=answer.kept_tokens,
        response_tokens=answer.tokens,
        prefill_time=answer.prefill_s,
        eviction_time=answer.eviction_s,
        decode_time=answer.times_s[-1],
    )
