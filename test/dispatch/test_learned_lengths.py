"""What is learned of the lengths of an asker's answers."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from support.fake_backend import Finished, Planned, Run, Text, Tokenised
from support.fake_desk import Desk
from timebill_ros.core import length_correction
from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.core.length_cells import CELLS, UNIFORM, LengthCounts, below, likelihood
from timebill_ros.core.outcome import FinishReason, MissReason, OverrunPolicy
from timebill_ros.core.planner_settings import EvictionPolicy, PlannerSettings
from timebill_ros.core.remaining_lengths import RemainingLengths
from timebill_ros.dispatch import learned_lengths
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.dispatch.learned_lengths import POINTS, LearnedLengths
from timebill_ros.dispatch.length_memory import (
    HABITS,
    MEMORY,
    MOST_WEIGHT,
    START_WEIGHT,
    STRENGTH,
    LengthMemory,
)

LIMIT = 1024
TERSE, TALKER, NEWCOMER = Habit('terse'), Habit('talker'), Habit('newcomer')
PLAN = Constraint(ConstraintKind.JSON_SCHEMA, '{"type": "object"}')


def told(lengths: LearnedLengths, habit: Habit) -> AskerLengths:
    found = lengths.of(habit)
    assert found is not None
    assert sum(found.probabilities) == pytest.approx(1.0)
    return found


def about(lengths: AskerLengths, cell: int) -> float:
    """Return the probability of a cell and those beside it, in which its ends count too."""
    return sum(lengths.probabilities[cell - 2 : cell + 3])


def learn(lengths: LearnedLengths, habit: Habit, *tokens: int, is_whole: bool = True) -> None:
    for length in tokens:
        lengths.observe(habit, AnswerLength(length, is_whole), LIMIT, ())


def peak(cell: int) -> tuple[float, ...]:
    """Return the prediction of a cell, that is not quite sure."""
    return tuple(0.1 * UNIFORM + 0.9 * (np.arange(CELLS + 1) == cell))


def test_nothing_is_told_of_what_was_never_asked() -> None:
    lengths = LearnedLengths()
    assert lengths.of(TERSE) is None
    learn(lengths, TERSE, 20)
    assert lengths.of(TERSE) is not None
    assert lengths.of(NEWCOMER) is not None
    assert lengths.of(Habit('terse', PLAN)) is None


def test_an_asker_is_judged_by_its_own_answers_and_a_newcomer_by_those_of_all() -> None:
    lengths = LearnedLengths()
    for _ in range(40):
        learn(lengths, TERSE, 20)
        learn(lengths, TALKER, 500)
    assert about(told(lengths, TERSE), 4) > 0.9  # (16, 25]
    assert about(told(lengths, TALKER), 22) > 0.8  # (484, 529]
    assert about(told(lengths, NEWCOMER), 4) == pytest.approx(0.5, abs=0.05)
    assert about(told(lengths, NEWCOMER), 22) == pytest.approx(0.5, abs=0.08)


def test_it_is_the_estimate_by_hand() -> None:
    lengths = LearnedLengths()
    own, of_all = LengthCounts(), LengthCounts()
    for habit, tokens, is_whole in (
        (TERSE, 20, True),
        (TALKER, 300, False),
        (TERSE, 60, False),
        (TERSE, 24, True),
    ):
        lengths.observe(habit, AnswerLength(tokens, is_whole), LIMIT, ())
        of_all.add(tokens, LIMIT, is_whole, learned_lengths.MEMORY_OF_ALL)
        if habit is TERSE:
            own.add(tokens, LIMIT, is_whole, MEMORY)
    expected = own.probabilities(of_all.probabilities(UNIFORM, STRENGTH), STRENGTH)
    np.testing.assert_allclose(told(lengths, TERSE).probabilities, expected)


def test_answers_that_were_cut_off_are_longer() -> None:
    cut, whole = LearnedLengths(), LearnedLengths()
    for _ in range(20):
        learn(cut, TERSE, 20, is_whole=False)
        learn(whole, TERSE, 20)
    assert sum(told(cut, TERSE).probabilities[:4]) < 0.01
    assert sum(told(cut, TERSE).probabilities[7:]) > 0.9
    assert sum(told(whole, TERSE).probabilities[7:]) < 0.1


def test_askers_change_and_are_learned_anew() -> None:
    lengths = LearnedLengths()
    learn(lengths, TERSE, *[20] * 1000, *[500] * int(3 * MEMORY))
    assert about(told(lengths, TERSE), 22) > 0.8


def test_answers_without_a_token_teach_nothing() -> None:
    lengths = LearnedLengths()
    learn(lengths, TERSE, 0, is_whole=False)
    assert lengths.of(TERSE) is None
    assert lengths.answers == 0


def test_while_nothing_is_known_every_length_is_as_likely() -> None:
    lengths = LearnedLengths().likely(TERSE, 160)
    assert lengths == tuple(range(5, 160, 10))
    assert LearnedLengths().likely(TERSE, 1) == (1,) * POINTS


@pytest.mark.parametrize('tokens', [1, 20, 300, LIMIT])
def test_answers_of_one_length_are_expected_to_be_so_long(tokens: int) -> None:
    lengths = LearnedLengths()
    learn(lengths, TERSE, *[tokens] * 64)
    likely = lengths.likely(TERSE, LIMIT)
    assert likely == tuple(sorted(likely))
    assert len(likely) == POINTS
    assert likely[POINTS // 2] == pytest.approx(tokens, rel=0.15, abs=3)
    assert all(0.5 * tokens <= length <= 1.6 * tokens + 4 for length in likely[1:-1])


def whole_tokens(lengths: RemainingLengths) -> tuple[int, ...]:
    return tuple(max(1, math.ceil(one - 1e-6)) for one in lengths.equally_likely(POINTS))


def test_equally_likely_lengths_follow_each_answer_and_are_those_of_the_distribution() -> None:
    lengths = LearnedLengths()
    for tokens, is_whole in ((20, True), (30, True), (500, True), (600, False), (20, True)):
        learn(lengths, TERSE, tokens, is_whole=is_whole)
        expected = whole_tokens(RemainingLengths.of(None, 256, told(lengths, TERSE)))
        assert lengths.likely(TERSE, 256) == lengths.likely(TERSE, 256) == expected
    common = whole_tokens(RemainingLengths.of(None, 256, told(lengths, NEWCOMER)))
    assert lengths.likely(NEWCOMER, 256) == lengths.likely(TALKER, 256) == common != expected
    lengths.replace(LengthMemory())
    assert lengths.likely(TERSE, 160) == tuple(range(5, 160, 10))


def test_how_long_an_asker_has_the_model_think_is_learned_too() -> None:
    lengths = LearnedLengths()
    assert lengths.thinking(TERSE) == 0
    for thinking in (10, 20, 30, 40, 50):
        lengths.observe(TERSE, AnswerLength(100, True, thinking), LIMIT, ())
    assert lengths.thinking(TERSE) == lengths.thinking(NEWCOMER) == 30
    assert lengths.thinking(Habit('terse', PLAN)) == 0
    for _ in range(200):
        lengths.observe(TALKER, AnswerLength(100, True), LIMIT, ())
    assert lengths.thinking(NEWCOMER) < 10 < lengths.thinking(TERSE)


def test_how_many_steps_a_token_takes_is_learned_too() -> None:
    lengths = LearnedLengths()
    assert lengths.steps_per_token(TERSE) == 1.0
    lengths.observe(TERSE, AnswerLength(101, True), LIMIT, ())
    assert lengths.steps_per_token(TERSE) == 1.0  # it was not told
    for _ in range(20):
        lengths.observe(TERSE, AnswerLength(101, True, passes=40), LIMIT, ())
        lengths.observe(TALKER, AnswerLength(101, True, passes=180), LIMIT, ())
    assert lengths.steps_per_token(TERSE) == pytest.approx(0.4, abs=0.04)
    assert lengths.steps_per_token(TALKER) == 1.0  # guesses that fail are bounded
    assert 0.9 < lengths.steps_per_token(NEWCOMER) <= 1.0
    assert lengths.steps_per_token(Habit('terse', PLAN)) == 1.0


def test_an_asker_is_not_taken_for_another_and_its_name_is_not_kept() -> None:
    lengths = LearnedLengths()
    for habit in (Habit('a'), Habit('a NONE'), Habit('a', PLAN), Habit(''), Habit('\ud800')):
        learn(lengths, habit, 20)
    memory = lengths.copy()
    assert len(memory.of_habit) == 5
    assert all(len(key) == 20 and int(key, 16) >= 0 for key in memory.of_habit)


def test_memory_is_bounded_and_who_was_silent_longest_is_forgotten() -> None:
    lengths = LearnedLengths()
    learn(lengths, TERSE, *[20] * 50)
    for number in range(HABITS - 1):
        learn(lengths, Habit(f'asker {number}'), 500)
    assert about(told(lengths, TERSE), 4) > 0.8
    learn(lengths, TERSE, 20)
    learn(lengths, Habit('one more'), 500)
    assert len(lengths.copy().of_habit) == HABITS
    assert about(told(lengths, TERSE), 4) > 0.8
    assert told(lengths, Habit('asker 0')) == told(lengths, NEWCOMER)


def test_the_predictor_has_the_weight_with_which_lengths_come_most_surely() -> None:
    """By brute force: the largest mean logarithm of the mixture of both."""
    lengths, chance = LearnedLengths(), np.random.default_rng(0)
    pairs = []
    for number in range(600):
        is_right = chance.random() < 0.6
        predicted = peak(22 if is_right else 10)
        tokens = 500 if chance.random() < 0.7 else 20
        known = lengths.of(TERSE)
        if known is not None and number >= 300:
            pairs.append(
                (
                    likelihood(np.array(predicted), tokens, LIMIT, True),
                    likelihood(np.array(known.probabilities), tokens, LIMIT, True),
                )
            )
        lengths.observe(TERSE, AnswerLength(tokens, True), LIMIT, predicted)
    by_predictor, by_counts = np.array(pairs).T
    weights = np.linspace(0.0, 1.0, 101)
    scores = [np.log(w * by_predictor + (1.0 - w) * by_counts).mean() for w in weights]
    assert told(lengths, TERSE).predictor_weight == pytest.approx(
        weights[int(np.argmax(scores))], abs=0.15
    )


def test_a_predictor_that_tells_more_gains_weight_and_one_that_tells_nothing_loses_it() -> None:
    right, wrong = LearnedLengths(), LearnedLengths()
    chance = np.random.default_rng(0)
    for cell in chance.integers(1, CELLS, 200):
        tokens = int(cell * cell + cell)  # in the middle of the cell
        right.observe(TERSE, AnswerLength(tokens, True), LIMIT, peak(int(cell)))
        wrong.observe(TERSE, AnswerLength(500, True), LIMIT, peak(int(cell)))
    assert told(right, TERSE).predictor_weight == MOST_WEIGHT
    assert told(wrong, TERSE).predictor_weight < 0.2
    # Of a newcomer, the others' weight is believed.
    assert told(wrong, NEWCOMER).predictor_weight < 0.2


def test_without_an_answer_that_was_predicted_the_predictor_has_its_first_weight() -> None:
    lengths = LearnedLengths()
    learn(lengths, TERSE, 20, 30)
    assert told(lengths, TERSE).predictor_weight == START_WEIGHT
    # An answer that was cut off at once tells nothing of who was right.
    lengths.observe(TERSE, AnswerLength(1, False), LIMIT, peak(22))
    assert told(lengths, TERSE).predictor_weight == pytest.approx(START_WEIGHT, abs=0.01)


def test_a_prediction_that_cannot_be_is_survived() -> None:
    lengths = LearnedLengths()
    impossible = tuple((np.arange(CELLS + 1) == 22).astype(float))
    lengths.observe(TERSE, AnswerLength(20, True), LIMIT, impossible)
    assert told(lengths, TERSE).predictor_weight < START_WEIGHT
    assert all(math.isfinite(value) for value in told(lengths, TERSE).probabilities)


def test_a_copy_does_not_change_and_can_take_the_place_of_what_is_known() -> None:
    lengths, other = LearnedLengths(), LearnedLengths()
    learn(lengths, TERSE, 20, 20)
    copied, before = lengths.copy(), told(lengths, TERSE)
    learn(lengths, TERSE, 500)
    assert told(lengths, TERSE) != before
    other.replace(copied)
    assert told(other, TERSE) == before


def test_what_is_told_is_corrected_by_where_the_answers_of_all_lay_in_it() -> None:
    """Each asker is new: what it is told comes from others, whose answers are all longer."""
    lengths = LearnedLengths()
    for number in range(30):
        learn(lengths, TERSE, 20)
        lengths.observe(Habit(f'new {number}'), AnswerLength(500, True), LIMIT, peak(4))
    newcomer = told(lengths, NEWCOMER)
    nothing = length_correction.curve(length_correction.no_counts())
    assert abs(np.array(newcomer.correction) - nothing).max() > 0.05
    assert newcomer.correction == told(lengths, TERSE).correction
    by_hand = length_correction.no_counts()
    again = LearnedLengths()
    for number in range(30):
        for habit, tokens, predicted in (
            (TERSE, 20, ()),
            (Habit(f'new {number}'), 500, peak(4)),
        ):
            known = again.of(habit) or AskerLengths(tuple(UNIFORM.tolist()), START_WEIGHT)
            mixture = np.array(known.probabilities)
            if predicted:
                weight = known.predictor_weight
                mixture = weight * np.array(predicted) + (1.0 - weight) * mixture
            places = (below(mixture, (tokens - 1) / LIMIT), below(mixture, tokens / LIMIT))
            length_correction.count(by_hand, *places, True, learned_lengths.MEMORY_OF_ALL)
            again.observe(habit, AnswerLength(tokens, True), LIMIT, predicted)
    assert newcomer.correction == pytest.approx(length_correction.curve(by_hand))


# In the dispatcher


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(abort_grace_s=5.0)
    plan_by(desk, 'closed_loop')
    yield desk
    desk.dispatcher.shut_down()


def plan_by(desk: Desk, policy: EvictionPolicy) -> None:
    desk.dispatcher.change_planner(BudgetPlanner(PlannerSettings(eviction_policy=policy)))


def last_run(desk: Desk) -> Run:
    return [call for call in desk.backend.told if isinstance(call, Run)][-1]


def begin(desk: Desk, query_id: str, predicted: tuple[float, ...] = (), **fields: object) -> int:
    number = desk.ask(query_id, 10.0, **fields)
    desk.say(Planned(number, Bill(prompt_tokens=1, kept_tokens=1), predicted))
    return number


def finish(desk: Desk, number: int, reason: FinishReason | None, tokens: int) -> None:
    desk.say(Finished(number, reason, Bill(response_tokens=tokens)))


def test_what_was_learned_comes_with_the_next_query(desk: Desk) -> None:
    finish(desk, begin(desk, 'first', max_new_tokens=40), FinishReason.EOS, 10)
    assert last_run(desk).lengths is None
    begin(desk, 'second')
    expected = LearnedLengths()
    expected.observe(Habit('a'), AnswerLength(10, True), 40, ())
    assert last_run(desk).lengths == expected.of(Habit('a'))


@pytest.mark.parametrize(
    ('policy', 'is_learning'),
    [('expected', True), ('closed_loop', True), ('timebill', False), ('off', False)],
)
def test_it_comes_only_where_the_policy_plans_by_it(
    desk: Desk, policy: EvictionPolicy, is_learning: bool
) -> None:
    plan_by(desk, policy)
    finish(desk, begin(desk, 'first'), FinishReason.EOS, 10)
    begin(desk, 'second')
    assert (last_run(desk).lengths is not None) == is_learning
    assert desk.dispatcher.lengths.of(Habit('a')) is not None


@pytest.mark.parametrize(
    ('reason', 'policy', 'is_whole'),
    [
        (FinishReason.EOS, OverrunPolicy.KILL, True),
        (FinishReason.REPETITION, OverrunPolicy.KILL, True),
        (FinishReason.LENGTH, OverrunPolicy.KILL, False),
        (None, OverrunPolicy.KILL, False),
        (None, OverrunPolicy.PARTIAL, False),
    ],
)
def test_only_an_answer_that_ended_by_itself_has_its_length(
    desk: Desk, reason: FinishReason | None, policy: OverrunPolicy, is_whole: bool
) -> None:
    number = begin(desk, 'q', policy=policy, max_new_tokens=10)
    desk.say(Text(number, 'Turn left now', 10))
    finish(desk, number, reason, 10)
    begin(desk, 'next')
    expected = LearnedLengths()
    expected.observe(Habit('a'), AnswerLength(10, is_whole), 10, ())
    assert last_run(desk).lengths == expected.of(Habit('a'))


def test_a_query_that_is_killed_by_the_node_counts_as_longer_than_what_it_has(desk: Desk) -> None:
    number = begin(desk, 'q', predicted=peak(22), max_new_tokens=40)
    desk.say(Text(number, 'Turn', 9))
    desk.pass_time(10.0)
    assert desk.outcome('q').reason is MissReason.KILLED
    finish(desk, number, None, 9)
    expected = LearnedLengths()
    expected.observe(Habit('a'), AnswerLength(9, False), 40, peak(22))
    assert desk.dispatcher.lengths.of(Habit('a')) == expected.of(Habit('a'))


def test_guessed_tokens_are_learned_from_the_whole_bill_and_make_room_in_the_queue(
    desk: Desk,
) -> None:
    number = begin(desk, 'q', max_new_tokens=101)
    desk.say(Finished(number, None, Bill(response_tokens=101)))  # cut off: no whole bill
    assert desk.dispatcher.lengths.steps_per_token(Habit('a')) == 1.0
    for query in ('r', 's', 't'):
        number = begin(desk, query, max_new_tokens=101)
        bill = Bill(response_tokens=101, passes=25, total_time=1.0)
        desk.say(Finished(number, FinishReason.EOS, bill))
    assert desk.dispatcher.lengths.steps_per_token(Habit('a')) < 0.5


def test_a_prediction_is_judged_by_what_became_of_the_answer(desk: Desk) -> None:
    finish(desk, begin(desk, 'q', peak(22), max_new_tokens=99), FinishReason.EOS, 3)
    expected = LearnedLengths()
    expected.observe(Habit('a'), AnswerLength(3, True), 99, peak(22))
    found = desk.dispatcher.lengths.of(Habit('a'))
    assert found == expected.of(Habit('a'))
    assert found is not None
    assert found.predictor_weight < START_WEIGHT


def test_shares_are_of_what_the_answer_may_have(desk: Desk) -> None:
    desk.submit('q', max_new_tokens=1000)
    desk.say(Tokenised(0, 60))  # the context of 100 leaves 40
    desk.say(Planned(0, Bill(prompt_tokens=60, kept_tokens=60)))
    finish(desk, 0, FinishReason.EOS, 10)
    expected = LearnedLengths()
    expected.observe(Habit('a'), AnswerLength(10, True), 40, ())
    assert desk.dispatcher.lengths.of(Habit('a')) == expected.of(Habit('a'))


def test_choices_are_run_without_lengths(desk: Desk) -> None:
    finish(desk, begin(desk, 'free'), FinishReason.EOS, 5)
    choice = Constraint(ConstraintKind.CHOICES, choices=('yes', 'no'))
    number = begin(desk, 'choice', constraint=choice)
    assert last_run(desk).lengths is None
    (entry,) = desk.dispatcher._pending.all()
    job = desk.dispatcher._turns._admission.waiting_job(entry, desk.settings)
    assert job.lengths == (entry.max_new_tokens,)  # the steps that it takes to score them
    finish(desk, number, FinishReason.EOS, 2)
    assert desk.dispatcher.lengths.of(entry.habit) is None
