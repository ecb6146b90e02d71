"""One query's way through the model, on real weights, planned by a time model that is given."""

import dataclasses
import math

import numpy as np
import pytest
from tokenizers import Tokenizer

from support.fake_length_predictor import FakeLengthPredictor
from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.closed_loop import ClosedLoop
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.core.outcome import FinishReason
from timebill_ros.core.planner_settings import EvictionPolicy, PlannerSettings
from timebill_ros.core.remaining_lengths import RemainingLengths
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.constraint.choices import Choices
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.length_predictor import LengthPredictor, NoPredictor
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target
from timebill_ros.inference.pipeline import Generation, Listener, Question, answer
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.text_stream import TextStream

CACHE_MATTERS = TimeModel(a=0.0, b=1e-3, c=0.0, p=1e-3, q=0.01, e1=1e-4, e0=0.0, delta=0.1)
NO_PREDICTOR = NoPredictor()
PROMPT = 'The red box is in the hall. ' * 50 + 'Where is the red box?'


@pytest.fixture(scope='module')
def engine() -> Engine:
    return Engine(load_target(BUILT_IN, device='cpu'), DecodingSettings(1.05))


def run(
    engine: Engine,
    planner: BudgetPlanner,
    budget_s: float,
    max_new_tokens: int = 12,
    predictor: LengthPredictor = NO_PREDICTOR,
    lengths: AskerLengths | None = None,
    predicted: list[tuple[float, ...]] | None = None,
) -> tuple[Generation, str, list[Bill]]:
    """Answer PROMPT on a clock that stands still, so that the plan does not depend on speed."""
    tokenizer = engine.target.tokenizer
    text: list[str] = []
    planned: list[Bill] = []
    generation = answer(
        engine,
        planner,
        predictor,
        TextStream(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())),
        Question(PROMPT, ChatPrompt(tokenizer).token_ids(PROMPT), max_new_tokens, None, lengths),
        Interrupt(Deadline(budget_s, lambda: 0.0)),
        Listener(
            planned.append,
            lambda piece, *_: text.append(piece),
            (predicted if predicted is not None else []).append,
        ),
    )
    return generation, ''.join(text), planned


def test_without_a_time_model_nothing_is_evicted_or_predicted(engine: Engine) -> None:
    generation, text, (planned,) = run(engine, BudgetPlanner(), math.inf)
    bill = generation.bill
    assert 'hall' in text
    assert bill.kept_tokens == bill.prompt_tokens > 300
    assert bill.predicted_total_time == bill.worst_case_time == bill.eviction_time == 0.0
    assert planned.prefill_time == bill.prefill_time > 0
    assert bill.prefill_time + bill.decode_time == pytest.approx(bill.total_time, rel=0.01)


def test_a_generous_budget_evicts_nothing_a_tight_one_as_little_as_fits(engine: Engine) -> None:
    planner = BudgetPlanner(PlannerSettings(eviction_policy='timebill'), CACHE_MATTERS)
    ratios = []
    for budget_s in (10.0, 4.0, 3.0, 2.5, 0.5):
        bill = run(engine, planner, budget_s)[0].bill
        ratios.append(bill.eviction_ratio)
        assert bill.eviction_ratio == 1 - bill.kept_tokens / bill.prompt_tokens
        assert (bill.eviction_time > 0) == (bill.eviction_ratio > 0)
        if budget_s > 1.5:  # some ratio fits: then the plan fits
            assert bill.worst_case_time - bill.prefill_time <= budget_s
    assert ratios[0] == 0.0 < ratios[1]
    assert ratios == sorted(ratios)
    assert bill.kept_tokens >= engine.scorer.min_kept_tokens


def test_the_plan_is_made_for_the_predicted_length_and_the_wait_for_it_is_billed(
    engine: Engine,
) -> None:
    planner = BudgetPlanner(time_model=CACHE_MATTERS)
    bills = {}
    for bucket in (0, 60):
        predictor = FakeLengthPredictor(bucket)
        bills[bucket] = run(engine, planner, 20.0, 64, predictor)[0].bill
        assert predictor.expected_s == [planner.prefill_time_s(bills[bucket].prompt_tokens)]
    unknown = run(engine, planner, 20.0, 64)[0].bill
    assert [bill.predicted_response_tokens for bill in (*bills.values(), unknown)] == [16, 64, 64]
    assert bills[0].worst_case_response_tokens == 64
    assert bills[0].predicted_decode_time < bills[60].predicted_decode_time
    assert bills[0].predictor_time > 0.015 > unknown.predictor_time
    settings = PlannerSettings(eviction_policy='timebill', pessimistic_factor=1.0)
    short = BudgetPlanner(settings, CACHE_MATTERS)
    ratios = [
        run(engine, short, 10.0, 64, FakeLengthPredictor(bucket))[0].bill.eviction_ratio
        for bucket in (0, 60)
    ]
    assert ratios[0] < ratios[1]


def test_a_fixed_ratio_of_zero_is_token_for_token_no_eviction(engine: Engine) -> None:
    fixed = PlannerSettings(eviction_policy='fixed', fixed_eviction_ratio=0.0)
    off = PlannerSettings(eviction_policy='off')
    texts = {run(engine, BudgetPlanner(settings), math.inf)[1] for settings in (fixed, off)}
    assert len(texts) == 1


def test_a_fixed_ratio_holds_whatever_the_budget(engine: Engine) -> None:
    settings = PlannerSettings(
        eviction_policy='fixed',
        fixed_eviction_ratio=0.5,
        min_kept_tokens=engine.scorer.min_kept_tokens,
    )
    bill = run(engine, BudgetPlanner(settings, CACHE_MATTERS), math.inf)[0].bill
    assert bill.eviction_ratio == pytest.approx(0.5, abs=0.01)
    assert bill.predicted_eviction_time > 0


def test_the_context_bounds_the_response(engine: Engine) -> None:
    small = Engine(
        dataclasses.replace(engine.target, context_length=0), engine.settings, engine.scorer
    )
    prompt_tokens = len(ChatPrompt(engine.target.tokenizer).token_ids(PROMPT))
    small.target = dataclasses.replace(engine.target, context_length=prompt_tokens + 3)
    generation, _, _ = run(small, BudgetPlanner(), math.inf)
    assert generation.finish_reason is FinishReason.LENGTH
    assert generation.bill.response_tokens == 3


def test_a_reply_cut_off_during_the_eviction_bills_it_as_eviction(engine: Engine) -> None:
    interrupt = Interrupt(Deadline(math.inf))
    settings = PlannerSettings(eviction_policy='fixed', fixed_eviction_ratio=0.5)
    tokenizer = engine.target.tokenizer
    generation = answer(
        engine,
        BudgetPlanner(settings),
        NO_PREDICTOR,
        TextStream(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())),
        Question(PROMPT, ChatPrompt(tokenizer).token_ids(PROMPT), 12),
        interrupt,
        Listener(lambda _: interrupt.abort.set(), lambda *_: None),
    )
    bill = generation.bill
    assert (generation.finish_reason, bill.response_tokens) == (None, 0)
    assert bill.eviction_time > 0
    assert bill.decode_time == 0
    assert bill.prefill_time + bill.predictor_time + bill.eviction_time == pytest.approx(
        bill.total_time, rel=0.01
    )


def test_a_prompt_that_begins_as_another_is_planned_and_billed_by_what_is_left_to_read(
    engine: Engine,
) -> None:
    planner = BudgetPlanner(time_model=CACHE_MATTERS)
    whole, text, _ = run(engine, planner, math.inf)
    again = Engine(engine.target, engine.settings, engine.scorer, engine.step)
    again.prefixes = PrefixCache(1 << 30, engine.scorer.window)
    assert run(again, planner, math.inf)[0].bill.cached_tokens == 0
    predictor = FakeLengthPredictor(0)
    reused, text_again, (planned,) = run(again, planner, math.inf, predictor=predictor)
    bill = reused.bill
    assert text_again == text
    assert bill.cached_tokens == bill.prompt_tokens - engine.scorer.window == planned.cached_tokens
    left_s = CACHE_MATTERS.t_prefill(bill.prompt_tokens, bill.cached_tokens)
    assert bill.predicted_prefill_time == left_s < whole.bill.predicted_prefill_time
    assert predictor.expected_s == [left_s]


@dataclasses.dataclass(frozen=True)
class ScriptedLoop(ClosedLoop):
    """Keeps 100 tokens from a length of the answer on; asked, writes down at what lengths."""

    evict_at: int = 0
    asked: list[tuple[int, float]] = dataclasses.field(default_factory=list)

    def kept_tokens(
        self, written: int, decode_s: float, remaining_s: float, passes: float | None = None
    ) -> int:
        self.asked.append((written, remaining_s))
        assert passes == (written - 1 if written else None)
        assert (decode_s > 0) == (written > 0)
        return 100 if written >= self.evict_at else self.prompt_tokens


@dataclasses.dataclass(frozen=True)
class ScriptedPlanner(BudgetPlanner):
    evict_at: int = 0
    loops: list[ScriptedLoop] = dataclasses.field(default_factory=list)

    def closed_loop(self, prompt_tokens: int, lengths: RemainingLengths) -> ScriptedLoop:
        assert self.time_model is not None
        self.loops.append(
            ScriptedLoop(self.time_model, prompt_tokens, 80, lengths, evict_at=self.evict_at)
        )
        return self.loops[-1]


@pytest.mark.parametrize('evict_at', [0, 4, 9, 1000])
def test_a_closed_loop_is_asked_every_few_tokens_until_it_evicts(
    engine: Engine, evict_at: int
) -> None:
    settings = PlannerSettings(eviction_policy='closed_loop')
    planner = ScriptedPlanner(settings, CACHE_MATTERS, evict_at=evict_at)
    generation, _, (planned,) = run(engine, planner, 5.0, 18, FakeLengthPredictor(3))
    bill, loop = generation.bill, planner.loops[0]
    expected = {0: [0], 4: [0, 4], 9: [0, 4, 8, 12], 1000: [0, 4, 8, 12, 16]}[evict_at]
    assert [written for written, _ in loop.asked] == expected
    assert [left for _, left in loop.asked] == pytest.approx([5.0] * len(expected))
    assert loop.lengths.max_new_tokens == 18
    is_evicted = evict_at < 18
    assert bill.kept_tokens == (100 if is_evicted else bill.prompt_tokens)
    assert bill.eviction_ratio == pytest.approx(1 - bill.kept_tokens / bill.prompt_tokens)
    assert (bill.eviction_time > 0) == is_evicted
    assert (planned.eviction_ratio > 0) == (evict_at == 0)
    assert bill.prefill_time + bill.predictor_time + bill.eviction_time + bill.decode_time == (
        pytest.approx(bill.total_time, rel=0.01)
    )
    # The first 12 tokens were written with the whole prompt, the others with 100 tokens of it.
    mean = {0: 100, 1000: bill.prompt_tokens}.get(evict_at)
    assert mean is None or generation.mean_kept_tokens == mean
    assert mean is not None or 100 < generation.mean_kept_tokens < bill.prompt_tokens


def test_what_a_damaged_predictor_tells_is_not_used(engine: Engine) -> None:
    class Damaged(FakeLengthPredictor):
        def distribution(self) -> LengthDistribution:
            return LengthDistribution(np.full(512, np.nan))

    settings = PlannerSettings(eviction_policy='closed_loop')
    planner = ScriptedPlanner(settings, CACHE_MATTERS, evict_at=1000)
    told: list[tuple[float, ...]] = []
    generation, *_ = run(engine, planner, 5.0, 18, Damaged(0), None, told)
    assert generation.finish_reason is not None
    assert (told, generation.bill.predicted_response_tokens) == ([], 18)


LEARNED = AskerLengths(tuple(float(cell == 16) for cell in range(33)), 0.25)
"""A quarter of max_new_tokens, and a little more: 5 of 18 tokens."""


def test_a_closed_loop_decides_by_what_was_learned_and_what_is_predicted(engine: Engine) -> None:
    settings = PlannerSettings(eviction_policy='closed_loop')
    for predictor, weight in ((NO_PREDICTOR, 0.0), (FakeLengthPredictor(3), 0.25)):
        planner = ScriptedPlanner(settings, CACHE_MATTERS, evict_at=1000)
        told: list[tuple[float, ...]] = []
        run(engine, planner, 5.0, 18, predictor, LEARNED, told)
        (lengths,) = [loop.lengths for loop in planner.loops]
        assert lengths.max_new_tokens == 18
        assert lengths.probabilities[16] == pytest.approx(1.0 - weight)
        assert lengths.probabilities.sum() == pytest.approx(1.0)
        # What is predicted comes back to the node, in the same cells.
        assert len(told) == (weight > 0.0)
        assert all(len(cells) == 33 and sum(cells) == pytest.approx(1.0) for cells in told)
        after, probabilities = lengths.after(1)
        assert after.min() > 1
        assert probabilities.sum() == pytest.approx(1.0)


@pytest.mark.parametrize('policy', ['expected', 'closed_loop'])
def test_what_was_learned_is_what_is_expected(engine: Engine, policy: EvictionPolicy) -> None:
    planner = BudgetPlanner(PlannerSettings(eviction_policy=policy), CACHE_MATTERS)
    for predictor, before in ((NO_PREDICTOR, 18), (FakeLengthPredictor(0), 16)):
        expected = [
            run(engine, planner, 1e6, 18, predictor, lengths)[0].bill.predicted_response_tokens
            for lengths in (None, LEARNED)
        ]
        assert expected == [before, 5]


def test_scored_choices_are_planned_without_guesses_and_without_the_predictor(
    engine: Engine,
) -> None:
    tokenizer = engine.target.tokenizer
    choices = Choices(
        [f'room {number} on the upper floor' for number in range(6)],
        lambda text: tokenizer.encode(text, add_special_tokens=False),
    )
    ids, worst_s = ChatPrompt(tokenizer).token_ids(PROMPT), []
    for speculates in (False, True):
        predictor, predicted = FakeLengthPredictor(0), []  # of 16 tokens
        model = dataclasses.replace(CACHE_MATTERS, speculates=speculates)
        bill = answer(
            engine,
            BudgetPlanner(time_model=model),
            predictor,
            TextStream(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())),
            Question(PROMPT, ids, 64, choices),
            Interrupt(Deadline(1e6, lambda: 0.0)),
            Listener(lambda _: None, lambda *_: None, predicted.append),
        ).bill
        assert predictor.expected_s == predicted == []
        assert bill.predicted_response_tokens == choices.passes + 1 > 16
        worst_s.append(bill.worst_case_time - bill.prefill_time)
    assert worst_s[0] == pytest.approx(worst_s[1])


def test_a_closed_loop_with_time_to_spare_writes_what_is_written_without_eviction(
    engine: Engine,
) -> None:
    closed, off = (
        run(engine, BudgetPlanner(PlannerSettings(eviction_policy=policy), CACHE_MATTERS), 1e6)
        for policy in ('closed_loop', 'off')
    )
    assert closed[1] == off[1]
    assert closed[0].bill.eviction_ratio == 0.0
    assert closed[0].bill.predicted_total_time == pytest.approx(off[0].bill.predicted_total_time)


def test_an_interrupted_prefill_has_no_plan(engine: Engine) -> None:
    generation, text, planned = run(engine, BudgetPlanner(), -1.0)
    assert (generation.finish_reason, text, planned) == (None, '', [])
    assert generation.bill.kept_tokens == 0
    assert generation.bill.prefill_time == pytest.approx(generation.bill.total_time, abs=1e-3)
