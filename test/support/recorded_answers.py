"""Answers as a benchmark would have recorded them: one token each 0.1 s after the prefill."""

from benchmark.budgets.recorded_answer import RecordedAnswer
from benchmark.budgets.recorded_item import RecordedItem
from benchmark.budgets.tasks.scores import share_found

STEP_S = 0.1


def answer(
    alpha: float, text: str, *, item: str = 'item', prefill_s: float = 1.0, tokens: int = 0
) -> RecordedAnswer:
    """Return an answer of one token a word, filled up with silent tokens."""
    words = text.split()
    pieces = [f'{word} ' for word in words] + [''] * (tokens - len(words))
    return RecordedAnswer(
        item=item,
        task='task',
        prompt_tokens=1000,
        max_new_tokens=100,
        predicted_tokens=50,
        prefill_s=prefill_s,
        alpha=alpha,
        kept_tokens=round((1 - alpha) * 1000),
        eviction_s=0.2 if alpha else 0.0,
        times_s=tuple(STEP_S * number for number in range(1, len(pieces) + 1)),
        pieces=tuple(pieces),
        finish_reason='EOS',
    )


def item(*answers: RecordedAnswer, values: tuple[str, ...] = ('a', 'b')) -> RecordedItem:
    """Return an item graded by the share of the values that its answer has."""
    return RecordedItem(
        'task',
        {answer.alpha: answer for answer in answers},
        lambda text: share_found(values, text),
    )
