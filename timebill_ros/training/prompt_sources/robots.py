"""virtualhome-eval, libero, reasoning-gym: commands to robots, plans and puzzles."""

import re
from collections.abc import Iterator
from random import Random

from timebill_ros.training.archive import Archive

_GOAL = re.compile(r'Goal name: (.*)\n\s*\nGoal description: (.*)')
_GOAL_FORMS = (
    'You are a household robot. Your task: {name}. {description}\nList your actions, one a line.',
    'A household robot is told: "{description}" What does it do first?',
    'Task of a robot: {name}. Which objects does it need? Answer with a list.',
    'Break this down into subgoals for a robot, as JSON: {description}',
    'Task: {name}. What could go wrong when a robot does this, and how would it notice?',
    'Is a robot with one arm able to do this? {description} Answer yes or no.',
)
_COMMAND_FORMS = (
    'You are a robot arm. Command: {command}.\nList the steps, one a line.',
    'You are a robot arm. Command: {command}.\nWhat is the first action? Answer in a few words.',
    'Turn this command into JSON with the keys action, object and target: {command}.',
    'The robot sees: {objects}. It is told to {command}. Write its plan.',
    'The robot sees: {objects}. It is told to {command}. Which of these does it touch?',
    'The robot failed to {command}. Explain what may have happened, and how to recover.',
    'Write a behaviour tree, as XML, for a robot that has to {command}.',
    'Is it safe for a robot to {command} while a person is near? Explain briefly.',
)
_RUSH_HOUR = (
    'A car park is a grid of 6 by 6 cells; o is empty, equal letters are one car, which moves '
    'only along its own length. Car A has to leave on the right.\n{board}\n{question}'
)
_RUSH_HOUR_QUESTIONS = (
    'Plan the moves, one a line.',
    'Which cars block car A? Answer with their letters.',
    'Which car should move first, and why?',
)


def subgoals(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield VirtualHome's scenes and goals; the question is for subgoals."""
    return _virtualhome(archive, 'subgoal_decomposition')


def scenes(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield VirtualHome's longer prompts: instructions, a scene, and the output format."""
    yield from _virtualhome(archive, 'action_sequence')
    yield from _virtualhome(archive, 'goal_interpretation')


def goals(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield VirtualHome's goals in our own words."""
    found = {
        match.groups()
        for text in _virtualhome(archive, 'goal_interpretation')
        if (match := _GOAL.search(text))
    }
    for name, description in sorted(found):
        for form in random.sample(_GOAL_FORMS, 3):
            yield form.format(name=name, description=description)


def manipulation(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield LIBERO's commands to a robot arm in our own words."""
    for name in archive.names('bddl_files/', '.bddl'):
        scene = archive.text(name)
        command = re.search(r'\(:language (.*?)\)', scene)
        objects = re.search(r'\(:objects(.*?)\)', scene, re.DOTALL)
        if command is None or objects is None:
            continue
        seen = re.findall(r'(\S+)_\d+(?=\s)', objects[1])
        for form in _COMMAND_FORMS:
            yield form.format(
                command=command[1].strip().lower(),
                objects=', '.join(dict.fromkeys(seen)).replace('_', ' '),
            )


def car_parks(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield boards of the puzzle Rush Hour."""
    lines = archive.text('reasoning_gym/data/rush_18k.txt').splitlines()
    for line in random.sample(lines, min(count, len(lines))):
        cells = line.split()[1]
        board = '\n'.join(cells[row : row + 6] for row in range(0, 36, 6))
        yield _RUSH_HOUR.format(board=board, question=random.choice(_RUSH_HOUR_QUESTIONS))


def programs(archive: Archive, count: int, random: Random) -> Iterator[str]:
    """Yield reasoning-gym's tasks that a program solves."""
    for task in archive.json('reasoning_gym/data/codeio-hq.jsonl.gz'):
        yield f'{task["task_description"]}\n\n{task["input_output_spec"]}\n\nWrite the program.'


def _virtualhome(archive: Archive, task: str) -> Iterator[str]:
    (name,) = archive.names(f'{task}/prompts/helm_prompts.json')
    return (row['llm_prompt'].strip() for row in archive.json(name))
