"""A task of the budget benchmark: its questions, and how answers are graded."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from timebill_ros.core.constraint import Constraint
from timebill_ros.training.archive import Archive

SHORTEST_PROMPT = 512
"""Shorter prompts are left out; some texts do not give more [tokens]."""

Score = Callable[[str], float]
"""From an answer's text, perhaps cut off, to [0, 1]; an empty one scores 0."""
CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class Material:
    """What a task makes its prompts of.

    Arguments:
        archive: of the task's package; None: the task needs none.
        random: of all choices.
        count_tokens: tokens of a text, for the target.
        seed: of the questions.
    """

    archive: Archive | None
    random: Random
    count_tokens: CountTokens
    seed: int = 0

    def texts(self) -> Archive:
        """Return the archive of a task that has one."""
        assert self.archive is not None
        return self.archive


@dataclass(frozen=True)
class Question:
    """A prompt, with the question at its end.

    Arguments:
        prompt: the text.
        score: grades an answer.
        constraint: the form of the answer; None: free text.
    """

    prompt: str
    score: Score
    constraint: Constraint | None = None


Make = Callable[[Material, Iterator[int]], Iterator[Question]]
"""Yields a question of about each length asked for [tokens]."""


@dataclass(frozen=True)
class Item:
    """One question.

    Arguments:
        task: the task's name.
        prompt: with the question at its end.
        max_new_tokens: N_max.
        score: grades an answer.
        constraint: the form of the answer; None: free text.
    """

    task: str
    prompt: str
    max_new_tokens: int
    score: Score
    constraint: Constraint | None = None

    @property
    def key(self) -> str:
        """Tells items apart, also between runs."""
        text = self.prompt + (self.constraint.text if self.constraint else '')
        return f'{self.task} {hashlib.sha256(text.encode()).hexdigest()[:16]}'


@dataclass(frozen=True)
class Task:
    """A kind of question.

    Arguments:
        name: such as 'squad'.
        is_candidate: a claim may rest on it, if the target can do it; else it is a control.
        longest_prompt: lengths are spread evenly over the logarithm up to here [tokens].
        max_new_tokens: N_max.
        make: its prompts.
        package: the archive's name in prompt_packages; '': the prompts are made up.
    """

    name: str
    is_candidate: bool
    longest_prompt: int
    max_new_tokens: int
    make: Make
    package: str = ''

    def items(self, count: int, seed: int, material: Material) -> list[Item]:
        """Return some questions; a larger count adds to the same ones.

        Arguments:
            seed: of the lengths.
        """
        lengths = _lengths(Random(f'{seed} {self.name} lengths'), self.longest_prompt)
        long_enough = (
            Item(self.name, asked.prompt, self.max_new_tokens, asked.score, asked.constraint)
            for asked in self.make(material, lengths)
            if material.count_tokens(asked.prompt) >= SHORTEST_PROMPT
        )
        return list(islice(long_enough, count))


def _lengths(random: Random, longest: int) -> Iterator[int]:
    while True:
        yield round(math.exp(random.uniform(math.log(SHORTEST_PROMPT), math.log(longest))))
