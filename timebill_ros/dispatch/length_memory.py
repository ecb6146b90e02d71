"""What was learned of the lengths of answers."""

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from timebill_ros.core.constraint import ConstraintKind
from timebill_ros.core.length_cells import LengthCounts

HABITS = 128
"""Habits that are remembered; the one that was silent longest is forgotten first."""
MEMORY, MEMORY_OF_ALL = 64.0, 512.0
"""About so many of the last answers count: of a habit, and of all habits of its kind."""
STRENGTH = 2.0
"""What all askers' answers tell of one of them counts as so many of its own. Chosen on made-up
lengths."""
STEPPED = 64.0
"""That each token takes a step, or what all askers' answers tell, counts as so many tokens."""
START_WEIGHT, MOST_WEIGHT = 0.8, 0.95
"""Of the length predictor: before the first answer, and at most. A predictor that was sure, and
is seen to be wrong, has nothing else to say."""


@dataclass
class Learned:
    """What was learned of one habit, or of all of a kind.

    Arguments:
        counts: of the lengths.
        predictor: in how many answers the predictor was right, and not the counts; parts count.
        judged: answers by which the two were compared.
        thinking, thought: tokens of thinking, and of how many answers; not kept on the disk.
        steps, stepped: steps, and of how many tokens; not kept on the disk.
    """

    counts: LengthCounts = field(default_factory=LengthCounts)
    predictor: float = 0.0
    judged: float = 0.0
    thinking: float = 0.0
    thought: float = 0.0
    steps: float = 0.0
    stepped: float = 0.0

    def weight(self, prior: float) -> float:
        """Return the predictor's weight."""
        found = (self.predictor + STRENGTH * prior) / (self.judged + STRENGTH)
        return min(found, MOST_WEIGHT)

    def judge(self, was_predicted: float, memory: float) -> None:
        """Compare predictor and counts by an answer.

        Arguments:
            was_predicted: the probability that the answer was the predictor's, in [0, 1].
        """
        kept = 1.0 - 1.0 / memory
        self.predictor = kept * self.predictor + was_predicted
        self.judged = kept * self.judged + 1.0

    def think(self, tokens: int, memory: float) -> None:
        """Count how much of an answer was thinking."""
        kept = 1.0 - 1.0 / memory
        self.thinking = kept * self.thinking + tokens
        self.thought = kept * self.thought + 1.0

    def step(self, steps: float, tokens: int, memory: float) -> None:
        """Count the steps in which so many tokens of an answer were written."""
        kept = 1.0 - 1.0 / memory
        self.steps = kept * self.steps + steps
        self.stepped = kept * self.stepped + tokens

    def copy(self) -> 'Learned':
        """Return what was learned; it does not change any more."""
        return replace(self, counts=self.counts.copy())


@dataclass
class LengthMemory:
    """All that was learned with one model. It has no texts, and of names only hashes.

    Arguments:
        of_all: by kind of constraint.
        corrections: of what is told, by kind of constraint.
        of_habit: by a hash of the habit; the first was silent longest.
    """

    of_all: dict[ConstraintKind, Learned] = field(default_factory=dict)
    corrections: dict[ConstraintKind, LengthCounts] = field(default_factory=dict)
    of_habit: OrderedDict[str, Learned] = field(default_factory=OrderedDict)
