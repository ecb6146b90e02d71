"""Grades answers. Each score is a share in [0, 1], and 0 for an empty answer."""

import re
import string
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher

from rouge_score.rouge_scorer import RougeScorer

_ROUGE = RougeScorer(['rougeL'])
_ARTICLES = ('a', 'an', 'the')


def rouge_l(reference: str, answer: str) -> float:
    """Return ROUGE-L's F measure."""
    return float(_ROUGE.score(reference, answer)['rougeL'].fmeasure)


def token_f1(references: Iterable[str], answer: str) -> float:
    """Return SQuAD's F1 over words, without case, punctuation and articles; the best reference's.

    A reference of no words is for a question that has no answer, and is met by an empty answer
    only; empty answers score 0 here, so such questions should not be asked.
    """
    words = Counter(_words(answer))
    best = 0.0
    for reference in references:
        expected = Counter(_words(reference))
        common = (words & expected).total()
        best = max(best, 2 * common / max(1, words.total() + expected.total()))
    return best


def action_f1(expected: Iterable[tuple[str, ...]], given: Iterable[tuple[str, ...]]) -> float:
    """Return F1 over things that may occur several times."""
    ours, theirs = Counter(given), Counter(expected)
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())


def edit_similarity(reference: str, answer: str) -> float:
    """Return the share of matching characters, as LongBench's code tasks are graded.

    That is Ratcliff and Obershelp's ratio, fuzzywuzzy's with the standard library.
    """
    if not answer.strip():
        return 0.0
    return SequenceMatcher(None, reference.strip(), answer.strip(), autojunk=False).ratio()


def share_found(values: Iterable[str], answer: str) -> float:
    """Return the share of the values that stand in an answer, whole, whatever their case."""
    wanted = list(values)
    lowered = answer.lower()
    found = sum(
        re.search(rf'(?<!\w){re.escape(value.lower())}(?!\w)', lowered) is not None
        for value in wanted
    )
    return found / len(wanted)


def _words(text: str) -> list[str]:
    bare = text.lower().translate(str.maketrans('', '', string.punctuation))
    return [word for word in bare.split() if word not in _ARTICLES]
