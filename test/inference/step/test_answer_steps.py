"""Guessed tokens change nothing but the number of passes."""

import contextvars
import json

import pytest
import torch

from support.tiny_models import NEVER, random_prompt, tiny_model, tiny_target
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.speculation import GuessRates, most_lost_steps
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.constraint.guided import Guided
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.give_way import GiveWay
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target
from timebill_ros.inference.step.answer_steps import (
    AnswerSteps,
    PassCount,
    SpeculativeSteps,
    answer_steps,
)
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.prompt_lookup import PromptLookup
from timebill_ros.inference.target_compiler import target_compiler
from timebill_ros.inference.text_stream import TextStream

NEW_TOKENS = 40
COSTS = (1.0, 1.25, 1.5, 1.75)
ARCHITECTURES = ['llama', 'qwen3', 'mistral-wide']
PROMPTS = [random_prompt(60, seed=seed) for seed in range(4)]


def engine_with(name, speculates, penalty=1.0):
    step = NativeStep(tiny_model(name), {}, threads=2)
    step.costs = COSTS
    settings = DecodingSettings(penalty, stop_at_repetition=False)
    return Engine(tiny_target(name), settings, SnapKV(window=8), step, speculates)


def written(engine, prompt, interrupt=NEVER, evict_at=0, passes=None, tokens=NEW_TOKENS):
    """Return an answer whose prompt is evicted after so many tokens; 0: never."""
    prefilled = engine.prefill(prompt, tokens, interrupt)
    ids = []
    for token_id, _ in engine.decode(prefilled, tokens, interrupt, passes=passes):
        ids.append(token_id)
        if len(ids) == evict_at:
            engine.evict(prefilled, 30)
    return ids


@pytest.fixture
def told(monkeypatch):
    """Return a function that has an answer guessed: what it is to be, and how often right."""

    def tell(answer, right):
        """Guess the tokens of an answer; `right` says how many of three guesses are."""
        count = iter(range(1, 1000))

        def following(lookup, most):
            done = len(lookup._ids) - len(PROMPTS[0])
            guesses, good = answer[done : done + most], right(next(count))
            return 3, [token if at < good else token ^ 1 for at, token in enumerate(guesses)]

        monkeypatch.setattr(PromptLookup, 'following', following)
        monkeypatch.setattr(GuessRates, 'worth', lambda rates, matched, extra: len(extra))

    return tell


@pytest.mark.parametrize('penalty', [1.0, 1.2])
@pytest.mark.parametrize('name', ['llama', 'qwen3'])
def test_answers_are_the_same_with_guesses_from_what_was_before(name, penalty):
    expected, passes = PassCount(), PassCount()
    plain, guessing = (engine_with(name, guesses, penalty) for guesses in (False, True))
    prompts = [random_prompt(300, seed=seed) for seed in range(4)]  # with the answers' pairs
    for prompt in prompts:
        answer = written(plain, prompt, passes=expected)
        assert written(guessing, prompt, passes=passes) == answer
    assert expected.steps == len(prompts) * (NEW_TOKENS - 1)
    assert passes.steps != expected.steps
    assert passes.steps <= expected.steps + len(prompts) * most_lost_steps(NEW_TOKENS)


@pytest.mark.parametrize('right', [0, 1, 2, 3])
@pytest.mark.parametrize('name', ARCHITECTURES)
def test_right_and_wrong_guesses_give_the_same_answer(name, right, told):
    answer = written(engine_with(name, False), PROMPTS[0])
    told(answer, lambda count: right)
    passes = PassCount()
    assert written(engine_with(name, True), PROMPTS[0], passes=passes) == answer
    assert passes.steps <= NEW_TOKENS - 1 + most_lost_steps(NEW_TOKENS)
    if right == 3:  # 39 tokens, of which 20 are within the window of a sliding layer
        is_sliding = name == 'mistral-wide'
        assert passes.steps == (5 * COSTS[3] + 19 if is_sliding else 9 * COSTS[3] + COSTS[2])
    if right == 0:
        assert passes.steps > NEW_TOKENS - 1


def test_each_guess_whose_token_is_known_is_counted_once(told, monkeypatch):
    answer = written(engine_with('llama', False), PROMPTS[0])
    told(answer, lambda count: count % 4)
    counted = []
    monkeypatch.setattr(
        GuessRates, 'count', lambda rates, *one, is_right: counted.append((*one, is_right))
    )
    written(engine_with('llama', True), PROMPTS[0], tokens=9)
    assert counted == [
        *[(3, 0, True), (3, 1, False)],
        *[(3, 0, True), (3, 1, True), (3, 2, False)],
        *[(3, 0, True), (3, 1, True)],
    ]


@pytest.mark.parametrize('name', ['mistral-sliding', 'mistral-wide'])
def test_nothing_is_guessed_beyond_a_sliding_window(name):
    passes, prompt = PassCount(), random_prompt(300)
    answer = written(engine_with(name, True), prompt, passes=passes)
    assert passes.steps == len(answer) - 1


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_guesses_leave_the_cache_as_it_would_be(name, told):
    plain, guessing = (engine_with(name, guesses) for guesses in (False, True))
    answer = written(plain, PROMPTS[0])
    told(answer, lambda count: count % 4)
    prefilled = guessing.prefill(PROMPTS[0], NEW_TOKENS, NEVER)
    for count, _ in enumerate(guessing.decode(prefilled, NEW_TOKENS, NEVER)):
        with prefilled.at_rest() as cache:
            assert cache.layers[0].length == len(PROMPTS[0]) + count
    whole = plain.prefill([*PROMPTS[0], *answer[:-1]], 1, NEVER).cache
    for layer, expected in zip(cache.layers, whole.layers, strict=True):
        found = layer.keys[:, :, : layer.length], expected.keys[:, :, : expected.length]
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('evict_at', range(1, 16))
def test_an_eviction_in_the_middle_is_at_the_same_token(evict_at, told):
    plain, guessing = (engine_with('llama', guesses) for guesses in (False, True))
    answer = written(plain, PROMPTS[0], evict_at=evict_at)
    told(answer, lambda count: count % 4)
    assert written(guessing, PROMPTS[0], evict_at=evict_at) == answer
    told(answer, lambda count: 3)
    assert written(guessing, PROMPTS[0], evict_at=evict_at) == answer


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_an_urgent_answer_between_two_tokens_changes_neither(name, told):
    plain, guessing = (engine_with(name, guesses) for guesses in (False, True))
    answers = [written(plain, prompt, tokens=16) for prompt in PROMPTS[:2]]
    for place in range(15):
        urgent, places = [], iter(range(100))

        def answer_urgent(_, place=place, places=places, urgent=urgent):
            if next(places) != place:
                return 0
            context = contextvars.Context()
            urgent.append(context.run(written, guessing, PROMPTS[1], tokens=16))
            return 1

        interrupt = Interrupt(Deadline(float('inf')), give_way=GiveWay(answer_urgent))
        told(answers[0], lambda count: count % 4)
        assert written(guessing, PROMPTS[0], interrupt, tokens=16) == answers[0]
        assert urgent == answers[1:]


@pytest.mark.parametrize('costs', [COSTS, (1.0, 1.5, 2.5, 3.5)])
@pytest.mark.parametrize('tokens', [2, 3, 4, 5, 8])
def test_tokens_that_are_appended_together_are_rounded_as_without_guesses(tokens, costs, told):
    ids = random_prompt(tokens, seed=9)
    told([0, *ids], lambda count: 2)
    found = []
    for guesses in (False, True):
        engine, passes = engine_with('llama', guesses), PassCount()
        engine.step.costs = costs
        prefilled = engine.prefill(PROMPTS[0], NEW_TOKENS, NEVER)
        with engine.step.answering(prefilled.cache, len(PROMPTS[0]), NEW_TOKENS) as step:
            steps = answer_steps(step, passes, torch.tensor(PROMPTS[0]), guesses)
            steps.logits(torch.tensor(0))
            found.append(steps.append(ids, lambda: None).clone())
    assert torch.equal(*found)


def test_an_abort_ends_an_answer_between_two_guessed_tokens(told):
    answer = written(engine_with('llama', False), PROMPTS[0])
    told(answer, lambda count: 3)
    engine, found = engine_with('llama', True), []
    for most in range(1, 9):
        interrupt, tokens = Interrupt(Deadline(float('inf'))), []
        prefilled = engine.prefill(PROMPTS[0], NEW_TOKENS, interrupt)
        with pytest.raises(InterruptedGenerationError):
            for token_id, _ in engine.decode(prefilled, NEW_TOKENS, interrupt):
                tokens.append(token_id)
                if len(tokens) == most:
                    interrupt.abort.set()
        found.append(tokens)
    assert found == [answer[:most] for most in range(1, 9)]


@pytest.mark.parametrize('tokens', [1, 2, 3, 4, 5])
def test_no_guess_is_beyond_the_room_of_the_answer(tokens, told):
    answer = written(engine_with('llama', False), PROMPTS[0])
    told(answer, lambda count: 3)
    assert written(engine_with('llama', True), PROMPTS[0], tokens=tokens) == answer[:tokens]


def test_only_a_native_step_guesses():
    target = tiny_target('llama')
    generic = Engine(target, DecodingSettings(), step=GenericStep(target.model), speculates=True)
    assert not generic.speculates
    for engine, kind in ((generic, AnswerSteps), (engine_with('llama', True), SpeculativeSteps)):
        prefilled = engine.prefill(PROMPTS[0], 2, NEVER)
        next(iter(engine.decode(prefilled, 2, NEVER)))
        assert type(prefilled.steps) is kind


def test_tokens_that_are_known_go_together_with_guesses_after_them(told):
    answer = written(engine_with('llama', False), PROMPTS[0])
    engine, passes = engine_with('llama', True), PassCount()
    prefilled = engine.prefill(PROMPTS[0], NEW_TOKENS, NEVER)
    told(answer, lambda count: 3)
    with engine.step.answering(prefilled.cache, 60, NEW_TOKENS) as step:
        steps = SpeculativeSteps(step, passes, PROMPTS[0])
        for first, last, cost in ((0, 2, 1.75), (2, 5, 1.75), (5, 6, 0), (6, 10, 1.75)):
            before = passes.steps
            logits = steps.append(answer[first:last], lambda: None)
            assert int(logits.argmax()) == answer[last]
            assert passes.steps - before == pytest.approx(cost), (first, last)


def test_a_document_is_the_same_with_guesses():
    target = load_target(BUILT_IN, device='cpu')
    chat = ChatPrompt(target.tokenizer)
    compiler = target_compiler(target, chat)
    schema = {
        'type': 'object',
        'properties': {
            'object': {'type': 'string', 'maxLength': 30},
            'room': {'type': 'string', 'maxLength': 30},
            'distance': {'type': 'number'},
        },
        'required': ['object', 'room', 'distance'],
        'additionalProperties': False,
    }
    form = compiler.compiled(Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(schema)), 100)
    ids = chat.token_ids(
        'The small red toolbox is in the storage room, 4.25 m away. Say what is where, as JSON.'
    )
    step, answers = NativeStep(target.model, target.quantized, 2), []
    for speculates in (False, True):
        engine = Engine(target, DecodingSettings(1.05), step=step, speculates=speculates)
        stream = TextStream(target.tokenizer.backend_tokenizer)
        guided = Guided.by(form, target.stop_token_ids, stream)
        prefilled = engine.prefill(ids, 80, NEVER)
        tokens = [
            token_id
            for token_id, _ in engine.decode(
                prefilled, 80, NEVER, guided.guide, guided.probability, guided.passes
            )
        ]
        answers.append((tokens, guided.passes.steps))
    (expected, most), (found, fewer) = answers
    assert found == expected
    assert fewer < most
