import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.plan import Plan
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.time_model import TimeModel

MODEL = TimeModel(a=2.5e-7, b=8e-4, c=0.02, p=5e-6, q=0.017, e1=4e-5, e0=0.01, delta=0.25)
PLANNER = BudgetPlanner(PlannerSettings(eviction_policy='timebill'), MODEL)

models = st.builds(
    TimeModel,
    a=st.floats(0, 1e-6),
    b=st.floats(0, 1e-3),
    c=st.floats(0, 0.1),
    p=st.one_of(st.just(0.0), st.floats(1e-9, 1e-4)),
    q=st.floats(0, 0.05),
    e1=st.floats(0, 1e-4),
    e0=st.floats(0, 0.1),
    delta=st.floats(0, 0.5),
    step_delta=st.one_of(st.just(0.0), st.floats(0, 2)),
)
planners = st.builds(
    BudgetPlanner,
    st.builds(
        PlannerSettings,
        eviction_policy=st.just('timebill'),
        pessimistic_factor=st.floats(1, 8),
        max_eviction_ratio=st.floats(0, 0.99),
        min_kept_tokens=st.integers(1, 200),
    ),
    models,
)
prompts = st.integers(1, 1500)
limits = st.integers(1, 400)
shares = st.floats(-0.2, 1.3)


def worst_case_s(planner, plan, prompt, kept, prefill_s=None):
    """Return the bound of a plan that keeps another number of tokens, by the paper's sum."""
    model, margin = planner.time_model, 1 + planner.time_model.delta
    steps = plan.worst_case_response_tokens - 1
    decode = sum(model.t_step(kept + i) for i in range(steps))
    decode_margin = 1 + math.hypot(model.delta, model.step_delta / math.sqrt(max(steps, 1)))
    eviction = model.t_eviction(prompt) if kept < prompt else 0.0
    prefill = margin * model.t_prefill(prompt) if prefill_s is None else prefill_s
    return prefill + margin * eviction + decode_margin * decode


def allowed(planner, prompt):
    """Return every number of kept tokens that the settings allow."""
    floor = min(planner.settings.min_kept_tokens, prompt)
    ratio_max = planner.settings.max_eviction_ratio
    return [kept for kept in range(floor, prompt + 1) if 1 - kept / prompt <= ratio_max + 1e-12]


def check_choice(planner, plan, prompt, total_s, prefill_s=None):
    """Assert that the plan keeps the most that fits, or is the quickest where nothing fits."""
    times = {
        kept: worst_case_s(planner, plan, prompt, kept, prefill_s)
        for kept in allowed(planner, prompt)
    }
    tolerance = 1e-9 * max(times.values())
    chosen = times[plan.kept_tokens]
    fitting = [kept for kept, seconds in times.items() if seconds <= total_s - tolerance]
    assert plan.worst_case_time_s == pytest.approx(chosen, rel=1e-9)
    assert plan.eviction_ratio == 1 - plan.kept_tokens / prompt
    assert chosen <= times[prompt] + tolerance
    if fitting:
        assert plan.worst_case_time_s <= total_s
        assert plan.kept_tokens >= max(fitting)
    elif chosen > total_s + tolerance:
        assert chosen <= min(times.values()) + tolerance


def test_where_nothing_fits_the_worst_case_tells_what_is_quickest():
    """On average the eviction costs more than it saves. At worst, only steps take longer."""
    model = TimeModel(a=0, b=0, c=0, p=6.07e-5, q=0, e1=7.42e-5, e0=0.03125, step_delta=2.0)
    planner = BudgetPlanner(
        PlannerSettings('timebill', max_eviction_ratio=0.25, min_kept_tokens=1), model
    )
    assert model.t_after_prefill(348, 261, 7) > model.t_after_prefill(348, 348, 7)
    plan = planner.plan(348, 7, predicted_response_tokens=7, remaining_s=0.0)
    assert plan.kept_tokens == 261
    check_choice(planner, plan, 348, 0.0)


@settings(max_examples=1000, deadline=None)
@given(planner=planners, prompt=prompts, limit=limits, share=shares, data=st.data())
def test_the_least_eviction_that_fits_is_chosen(planner, prompt, limit, share, data):
    expected = data.draw(st.integers(1, limit))
    full = planner.plan(prompt, limit, predicted_response_tokens=expected)
    total_s = share * full.worst_case_time_s
    plan = planner.plan(
        prompt,
        limit,
        predicted_response_tokens=expected,
        remaining_s=total_s + 0.1,
        predictor_time_s=0.1,
    )
    check_choice(planner, plan, prompt, total_s + 0.1 - 0.1)


@settings(max_examples=500, deadline=None)
@given(planner=planners, prompt=prompts, limit=limits, share=shares, prefill=st.floats(0, 9))
def test_after_the_prefill_only_the_rest_must_fit(planner, prompt, limit, share, prefill):
    full = planner.plan_after_prefill(prompt, limit, prefill_time_s=prefill)
    remaining = share * (full.worst_case_time_s - prefill)
    plan = planner.plan_after_prefill(prompt, limit, prefill_time_s=prefill, remaining_s=remaining)
    check_choice(planner, plan, prompt, prefill + remaining, prefill_s=prefill)
    assert plan.predicted_prefill_time_s == planner.time_model.t_prefill(prompt)


@settings(max_examples=500, deadline=None)
@given(planner=planners, prompt=prompts, limit=limits, one=shares, other=shares)
def test_a_larger_budget_never_raises_eviction(planner, prompt, limit, one, other):
    full_s = planner.plan(prompt, limit).worst_case_time_s
    tight, wide = sorted((one, other))
    tighter = planner.plan(prompt, limit, remaining_s=tight * full_s)
    wider = planner.plan(prompt, limit, remaining_s=wide * full_s)
    assert wider.eviction_ratio <= tighter.eviction_ratio


@settings(max_examples=500, deadline=None)
@given(planner=planners, prompt=prompts, limit=limits, share=shares, data=st.data())
def test_a_longer_prediction_never_lowers_eviction(planner, prompt, limit, share, data):
    remaining = share * planner.plan(prompt, limit).worst_case_time_s
    short, long = sorted(data.draw(st.tuples(st.integers(1, limit), st.integers(1, limit))))
    shorter, longer = (
        planner.plan(prompt, limit, predicted_response_tokens=n, remaining_s=remaining)
        for n in (short, long)
    )
    assert shorter.worst_case_response_tokens <= longer.worst_case_response_tokens
    assert shorter.eviction_ratio <= longer.eviction_ratio


@settings(max_examples=500, deadline=None)
@given(planner=planners, prompt=prompts, overhead=st.floats(0, 1), predictor=st.floats(0, 1))
def test_the_minimum_budget_is_admitted_and_less_is_not(planner, prompt, overhead, predictor):
    minimum = planner.minimum_time_budget_s(
        prompt, predictor_time_s=predictor, overhead_s=overhead
    )
    assert (
        planner.is_feasible(prompt, minimum - overhead, predictor_time_s=predictor)
        or overhead > 0.0
    )
    assert planner.is_feasible(prompt, minimum - overhead + 1e-12, predictor_time_s=predictor)
    assert not planner.is_feasible(
        prompt, minimum - overhead - 0.001001, predictor_time_s=predictor
    )


@settings(max_examples=500, deadline=None)
@given(planner=planners, prompt=prompts, limit=limits, share=st.floats(0, 1), budget=shares)
def test_what_is_cached_is_not_planned_for(planner, prompt, limit, share, budget):
    cached, model = int(share * prompt), planner.time_model
    whole, rest = planner.plan(prompt, limit), planner.plan(prompt, limit, cached_tokens=cached)
    assert rest.predicted_prefill_time_s == model.t_prefill(prompt, cached)
    saved_s = model.t_prefill(prompt) - model.t_prefill(prompt, cached)
    assert whole.worst_case_time_s - rest.worst_case_time_s == pytest.approx(
        (1 + model.delta) * saved_s, abs=1e-9
    )
    minimum_s = planner.minimum_time_budget_s(prompt, cached_tokens=cached)
    assert minimum_s <= planner.minimum_time_budget_s(prompt)
    assert planner.is_feasible(prompt, minimum_s + 1e-12, cached_tokens=cached)
    remaining_s = budget * whole.worst_case_time_s
    fewer = planner.plan(prompt, limit, remaining_s=remaining_s)
    more = planner.plan(prompt, limit, cached_tokens=cached, remaining_s=remaining_s)
    if fewer.worst_case_time_s <= remaining_s:
        assert more.kept_tokens >= fewer.kept_tokens
    after = planner.plan_after_prefill(prompt, limit, prefill_time_s=0.0, cached_tokens=cached)
    assert after.predicted_prefill_time_s == model.t_prefill(prompt, cached)


@settings(max_examples=500, deadline=None)
@given(planner=planners, prompt=prompts, limit=limits, ratio=st.floats(0, 1))
def test_what_the_mean_could_meet_is_never_refused(planner, prompt, limit, ratio):
    kept = math.ceil((1 - ratio) * prompt)
    assert planner.is_feasible(prompt, planner.time_model.t_e2e(prompt, kept, limit))


def test_enough_time_evicts_nothing_and_pays_nothing_for_it():
    plan = PLANNER.plan(1000, 100, remaining_s=60.0)
    assert (plan.kept_tokens, plan.eviction_ratio) == (1000, 0.0)
    assert plan.predicted_eviction_time_s == 0.0


def test_figures_of_an_evicting_plan():
    unevicted = PLANNER.plan(4000, 500, predicted_response_tokens=60)
    plan = PLANNER.plan(
        4000, 500, predicted_response_tokens=60, remaining_s=unevicted.worst_case_time_s - 2.0
    )
    assert 0.0 < plan.eviction_ratio < 0.95
    assert plan.max_new_tokens == 500
    assert (plan.predicted_response_tokens, plan.worst_case_response_tokens) == (60, 300)
    assert plan.predicted_eviction_time_s == MODEL.t_eviction(4000)
    assert plan.predicted_decode_time_s == MODEL.t_decode(plan.kept_tokens, 60)
    assert plan.predicted_total_time_s == pytest.approx(MODEL.t_e2e(4000, plan.kept_tokens, 60))
    assert plan.worst_case_time_s == pytest.approx(MODEL.t_wcet(4000, plan.kept_tokens, 300))


def test_the_worst_case_has_wrong_guesses_where_tokens_are_guessed():
    guessing = replace(MODEL, speculates=True)
    planner = BudgetPlanner(PLANNER.settings, guessing)
    for remaining_s in (math.inf, 22.0, 18.0):
        plan = planner.plan(4000, 500, predicted_response_tokens=60, remaining_s=remaining_s)
        worst_s = guessing.t_wcet(4000, plan.kept_tokens, 300)
        assert plan.worst_case_time_s == pytest.approx(worst_s)
        assert plan.worst_case_response_tokens == 300
        assert worst_s <= remaining_s
    assert (
        plan.kept_tokens
        < PLANNER.plan(4000, 500, predicted_response_tokens=60, remaining_s=18.0).kept_tokens
        < 4000
    )


@pytest.mark.parametrize(
    ('factor', 'expected', 'limit', 'longest'),
    [
        (5.0, 10, 100, 50),
        (5.0, 30, 100, 100),
        (1.1, 10, 100, 11),
        (1.25, 5, 100, 7),
        (1.0, 0, 100, 1),
        (2.0, 900, 100, 100),
        (100.0, 3, 100, 100),
    ],
)
def test_pessimistic_length(factor, expected, limit, longest):
    planner = BudgetPlanner(PlannerSettings('timebill', pessimistic_factor=factor), MODEL)
    plan = planner.plan(500, limit, predicted_response_tokens=expected)
    assert plan.worst_case_response_tokens == longest


def test_want_of_a_prediction_counts_with_the_longest_response():
    assert PLANNER.plan(500, 77) == PLANNER.plan(500, 77, predicted_response_tokens=77)


@pytest.mark.parametrize('remaining', [0.0, -3.0, -math.inf])
def test_a_spent_budget_takes_the_quickest_way(remaining):
    assert PLANNER.plan(4000, 500, remaining_s=remaining).eviction_ratio == 0.95
    # For two tokens, evicting costs more than it saves.
    assert PLANNER.plan(4000, 2, remaining_s=remaining).eviction_ratio == 0.0


def test_eviction_that_costs_more_than_it_saves_is_left():
    dear = replace(PLANNER, time_model=replace(MODEL, e0=30.0))
    for remaining in (-1.0, 5.0, 10.0, 20.0):
        assert dear.plan(4000, 500, remaining_s=remaining).eviction_ratio == 0.0


def test_a_cache_that_costs_nothing_is_left_whole():
    free = replace(PLANNER, time_model=replace(MODEL, p=0.0))
    assert free.plan(4000, 500, remaining_s=0.0).eviction_ratio == 0.0


@pytest.mark.parametrize(('prompt', 'kept'), [(1, 1), (96, 96), (97, 96), (1000, 96), (4000, 200)])
def test_the_floor_bounds_eviction(prompt, kept):
    # A cheap eviction, so that it pays for a short prompt too.
    planner = replace(PLANNER, time_model=replace(MODEL, e1=0.0, e0=0.0))
    assert planner.plan(prompt, 4000, remaining_s=0.0).kept_tokens == kept


def test_a_response_of_one_token_evicts_nothing():
    assert PLANNER.plan(4000, 1, remaining_s=0.0).eviction_ratio == 0.0


EXPECTING = replace(PLANNER, settings=PlannerSettings(eviction_policy='expected'))


def test_policy_expected_takes_its_chance_where_the_worst_case_fits_at_no_ratio():
    unevicted = EXPECTING.plan_after_prefill(4000, 100, prefill_time_s=0.5)
    least_s = MODEL.t_after_prefill(4000, 200, 100)
    remaining = {'prefill_time_s': 0.5, 'remaining_s': 1.2 * least_s}
    sure, bold = (
        planner.plan_after_prefill(4000, 100, **remaining) for planner in (PLANNER, EXPECTING)
    )
    assert sure.eviction_ratio == 0.95
    assert 0.0 < bold.eviction_ratio < 0.9
    assert bold.worst_case_time_s > 0.5 + 1.2 * least_s
    assert unevicted.eviction_ratio == 0.0


def test_policy_expected_counts_with_the_predicted_length_and_bills_the_worst_case():
    plans = [
        BudgetPlanner(
            PlannerSettings(eviction_policy='expected', pessimistic_factor=factor), MODEL
        ).plan(4000, 500, predicted_response_tokens=60, remaining_s=11.0)
        for factor in (1.0, 5.0)
    ]
    assert 200 < plans[0].kept_tokens == plans[1].kept_tokens < 4000
    assert [plan.worst_case_response_tokens for plan in plans] == [60, 300]


def test_policy_expected_takes_the_quickest_way_with_a_spent_budget():
    for remaining in (0.0, -3.0, -math.inf):
        assert EXPECTING.plan(4000, 500, remaining_s=remaining).eviction_ratio == 0.95
        assert EXPECTING.plan(4000, 2, remaining_s=remaining).eviction_ratio == 0.0


@pytest.mark.parametrize(
    ('policy', 'ratio', 'kept'),
    [
        ('off', 0.5, 1000),
        ('fixed', 0.0, 1000),
        ('fixed', 0.5, 500),
        ('fixed', 0.7, 300),
        ('fixed', 0.9, 100),
        ('fixed', 0.99, 96),
    ],
)
@pytest.mark.parametrize('model', [None, MODEL])
def test_policies_that_ignore_the_budget(policy, ratio, kept, model):
    planner = BudgetPlanner(
        PlannerSettings(eviction_policy=policy, fixed_eviction_ratio=ratio), model
    )
    for remaining in (-1.0, math.inf):
        plan = planner.plan(1000, 64, remaining_s=remaining)
        assert (plan.kept_tokens, plan.eviction_ratio) == (kept, 1 - kept / 1000)
        assert (plan.worst_case_time_s > 0.0) == (model is not None)


def test_without_a_time_model_nothing_is_evicted_and_nothing_expected():
    planner = BudgetPlanner()
    assert planner.plan(700, 64, remaining_s=0.1) == Plan(kept_tokens=700, max_new_tokens=64)
    assert planner.plan_after_prefill(700, 64, prefill_time_s=1.0, remaining_s=-1.0) == Plan(
        kept_tokens=700, max_new_tokens=64
    )
    assert planner.is_feasible(700, 0.0)
    assert not planner.is_feasible(700, -0.1)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ((0, 5), 'prompt_tokens must be >= 1, got 0'),
        ((5, 0), 'max_new_tokens must be >= 1, got 0'),
    ],
)
def test_a_length_below_one_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        PLANNER.plan(*arguments)


def test_a_time_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match='remaining_s must be a number, got nan'):
        PLANNER.plan(5, 5, remaining_s=math.nan)
