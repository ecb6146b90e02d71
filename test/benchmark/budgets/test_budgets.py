"""The budget benchmark from the model to the page, on a tiny model of random weights."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmark.budgets import budgets
from benchmark.budgets import run as room
from benchmark.budgets.alpha_grid import GRID, kept_tokens
from benchmark.budgets.arms import EXPECTED, FIXED, FOUR_BIT, TIMEBILL, VANILLA
from benchmark.budgets.pessimistic_factor import FACTORS, run_factors
from benchmark.budgets.run import parser
from benchmark.budgets.tasks import hidden_lists
from benchmark.budgets.tasks.task import Task
from benchmark.eviction.evicted_answers import NEVER
from benchmark.report.results_page import results_page
from support.fake_cuda import fake_cuda
from support.fake_length_predictor import FakeLengthPredictor
from support.tiny_model_folder import saved_qwen2
from timebill_ros.core.time_model import TimeModel
from timebill_ros.inference.loading.chat_prompt import ChatPrompt

TASKS = (
    Task('codes', True, 640, 12, hidden_lists.codes),
    Task('needle', False, 640, 8, hidden_lists.single_needles),
)
MODEL = TimeModel(a=1e-9, b=1e-6, c=1e-4, p=1e-6, q=1e-3, delta=0.1)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 of random weights with the built-in model's tokenizer."""
    return saved_qwen2(
        tmp_path_factory.mktemp('model'),
        hidden_size=64,
        num_attention_heads=2,  # of 32 elements: the native step has no smaller ones
        num_key_value_heads=1,
        max_position_embeddings=1024,
    )


@pytest.fixture(autouse=True, scope='module')
def one_thread() -> Iterator[None]:
    """Run on one thread: with two, a busy neighbour makes each small product wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(room, 'TASKS', TASKS)
    monkeypatch.setattr(room, 'time_model', lambda *_: MODEL)


def test_the_whole_way_from_a_model_to_the_page(folder: Path, tmp_path: Path) -> None:
    options = parser(None).parse_args(['--model', str(folder), '--device', 'cpu', '--items', '3'])
    results = tmp_path / 'results'
    budgets.run_budgets(options, results)
    report = json.loads((results / 'budgets.json').read_text())
    assert set(report['results']) == {'kill', 'skip_next', 'partial'}
    for by_budget in report['results'].values():
        assert set(by_budget) == {f'{budget_s:g}' for budget_s in report['budgets_s']}
        for arms in by_budget.values():
            assert {VANILLA, *FIXED, FOUR_BIT, TIMEBILL} < set(arms)
            for arm in arms.values():
                assert {'score', 'fidelity', 'completion', 'n', 'less_timebill'} <= set(arm)
                assert 0.0 <= arm['completion'] <= 1.0
    assert (results / 'budgets.png').stat().st_size > 0
    assert report['tasks']['codes']['n'] == 3
    assert set(report['by_task']) == {'codes', 'needle'}
    assert report['tasks']['needle']['n'] == 2
    assert report['unrounded_sample']['n'] == 5

    recording, rival = sorted(
        (tmp_path / 'cache' / 'timebill_ros' / 'budgets').iterdir(),
        key=lambda path: path.stat().st_size,
        reverse=True,
    )
    header, *rivals = [json.loads(line) for line in rival.read_text().splitlines()]
    assert header['quantization'] == 'int4'
    assert {answer['alpha'] for answer in rivals} == {0.0}
    assert len(rivals) == 5
    answers = [json.loads(line) for line in recording.read_text().splitlines()[1:]]
    assert {answer['alpha'] for answer in answers} <= set(GRID)
    for answer in answers:
        assert answer['kept_tokens'] <= answer['prompt_tokens']
        assert list(answer['times_s']) == sorted(answer['times_s'])
        assert len(answer['times_s']) == len(answer['pieces']) <= 12

    before = recording.stat().st_size
    run_factors(options, results)
    by_k = json.loads((results / 'k.json').read_text())
    assert list(by_k['results']) == list(report['results']['kill'])
    for rows in by_k['results'].values():
        assert list(rows) == [*map(str, FACTORS), EXPECTED, VANILLA]
    assert recording.stat().st_size >= before

    page = results_page(results)
    assert 'not measured' in page  # predictor.json and estimator.json are not there
    assert 'the same target, rounded to int4' in page
    assert re.search(r'\| int4 weights +\|', page)
    for heading in ('Kill', 'Skip-Next', 'What alpha alone buys', 'pessimistic factor'):
        assert heading in page


def test_the_same_for_a_gpu(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = parser(None).parse_args(['--model', str(folder), '--device', 'cuda', '--items', '2'])
    with fake_cuda(monkeypatch):
        budgets.run_budgets(options, tmp_path)
    report = json.loads((tmp_path / 'budgets.json').read_text())
    assert report['unrounded_sample']['n'] == 4
    assert report['machine']['gpu'] == 'no GPU'
    for arms in report['results']['kill'].values():
        assert {VANILLA, *FIXED, TIMEBILL} < set(arms)
        assert FOUR_BIT not in arms


def test_every_copy_of_a_prefill_is_a_whole_one(folder: Path) -> None:
    options = parser(None).parse_args(['--model', str(folder), '--device', 'cpu', '--items', '2'])
    with room.budget_run(options) as run:
        for item, recorded in zip(run.items, run.recorded(), strict=True):
            ids = ChatPrompt(run.engine.target.tokenizer).token_ids(item.prompt)
            longest = item.max_new_tokens
            prefilled = run.engine.prefill(ids, longest, NEVER)
            tokens = [token for token, _ in run.engine.decode(prefilled, longest, NEVER)]
            whole = recorded.unevicted
            assert whole.text() == run.engine.target.tokenizer.decode(
                tokens, skip_special_tokens=True
            )
            assert (whole.tokens, whole.kept_tokens) == (len(tokens), len(ids))
            assert whole.eviction_s == 0.0
            for alpha, answer in recorded.answers.items():
                assert answer.kept_tokens == kept_tokens(
                    len(ids), alpha, run.engine.scorer.min_kept_tokens
                )


def test_what_is_predicted_beside_the_prefill_is_recorded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, 'load_predictor', lambda *_: FakeLengthPredictor(0))
    monkeypatch.setattr(room, 'TASKS', (Task('codes', True, 640, 40, hidden_lists.codes),))
    options = parser(None).parse_args(['--model', str(folder), '--device', 'cpu', '--items', '2'])
    with room.budget_run(options) as run:
        for item in run.recorded():
            assert {answer.predicted_tokens for answer in item.answers.values()} == {16}


def test_a_page_without_results_says_so(tmp_path: Path) -> None:
    assert results_page(tmp_path).count('ot measured') >= 5


def test_what_is_recorded_is_not_answered_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = parser(None).parse_args(['--model', str(folder), '--device', 'cpu', '--items', '2'])
    with room.budget_run(options) as run:
        assert all(len(item.answers) == 5 for item in run.recorded())
    monkeypatch.setattr(
        'benchmark.budgets.recording_file.RecordingFile.add',
        lambda *_: pytest.fail('recorded again'),
    )
    with room.budget_run(options) as run:
        assert all(len(item.answers) == 5 for item in run.recorded())


def test_a_mistake_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, 'argv', ['budgets', '--items', '1'])
    assert budgets.main() == 1
    assert capsys.readouterr().err == 'items must be at least 2, got 1\n'


def test_only_a_target_that_can_be_rounded_has_a_four_bit_rival(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = ['--model', str(folder), '--device', 'cpu', '--items', '2']
    with room.budget_run(parser(None).parse_args([*fixed, '--quantization', 'int4'])) as run:
        assert run.rival is None
        assert all(item.four_bit is None for item in run.recorded())
    monkeypatch.setattr(room.native_families, 'why_not', lambda _: 'its heads are too small')
    with room.budget_run(parser(None).parse_args(fixed)) as run:
        assert run.rival is None


def test_n_max_of_every_item_can_be_chosen_and_has_a_recording_of_its_own(folder: Path) -> None:
    fixed = ['--model', str(folder), '--device', 'cpu', '--items', '2']
    with room.budget_run(parser(None).parse_args(fixed)) as run:
        longest = {item.unevicted.max_new_tokens for item in run.recorded()}
        own = run.recording.path
    with room.budget_run(parser(None, 5).parse_args(fixed)) as run:
        assert {item.unevicted.max_new_tokens for item in run.recorded()} == {5}
        assert run.recording.path != own
    assert longest == {8, 12}
    options = parser(None).parse_args([*fixed, '--max-new-tokens', '0'])
    with (
        pytest.raises(ValueError, match='max-new-tokens must be at least 1, got 0'),
        room.budget_run(options),
    ):
        pass
