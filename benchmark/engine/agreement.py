"""Compares greedy answers with those of transformers in fp32."""

from collections.abc import Collection, Sequence

TOKENS = 64
PROMPTS = (
    'What is the capital of France?',
    'How can a robot open a door?',
    'List ten animals.',
    'Name five objects found in a kitchen.',
    'Translate to JSON: move to x 1.5, y 2.0, speed 0.3.',
    'Write a haiku about a warehouse robot.',
    'Why is the sky blue?',
    'Plan a patrol of four rooms: lobby, office, lab, storage.',
    'What is 17 plus 25?',
    'Convert 5 kilometres to metres.',
    'What does a lidar do?',
    'The green block is on the red block. What is under the green block?',
    'Give three reasons why a drone should return home.',
    'Write a Python function that adds two numbers.',
    'Describe the water cycle.',
    'Is it safe to lift a 30 kg box with an arm rated for 10 kg?',
    'What should a robot do when its battery is low?',
    'Make a table with three columns: sensor, range, purpose.',
    'Explain what a gripper is to a child.',
    'Summarise: ' + 'The robot drove from the dock to the shelf and picked up a box. ' * 40,
)


def compare(expected: list[list[int]], found: list[list[int]]) -> dict[str, float]:
    """Return the figures of one arm.

    Returns:
        n, identical, and the means of the reference's tokens and of those before the first
        difference.
    """
    common = [common_tokens(*pair) for pair in zip(expected, found, strict=True)]
    return {
        'n': len(expected),
        'identical': sum(a == b for a, b in zip(expected, found, strict=True)),
        'tokens': sum(map(len, expected)) / len(expected),
        'common_tokens': sum(common) / len(common),
    }


def ended(answer: Sequence[int], stop_ids: Collection[int]) -> list[int]:
    """Return an answer up to the first stop token, which stays: arms write on after it."""
    for index, token in enumerate(answer):
        if token in stop_ids:
            return list(answer[: index + 1])
    return list(answer)


def common_tokens(a: list[int], b: list[int]) -> int:
    """Return the length of the common beginning."""
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length
