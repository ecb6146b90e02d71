"""Collecting, with the built-in model on a few short prompts."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from timebill_ros.core.deadline import Deadline
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import BUILT_IN
from timebill_ros.training.answer_length import answered, length_key
from timebill_ros.training.collect_lengths import collect, main, other_numerics
from timebill_ros.training.length_file import LengthFile, LengthKey, read_lengths
from timebill_ros.training.prompt import Kind, Prompt

MAX_NEW_TOKENS = 16
PROMPTS = [
    Prompt('What is the capital of France? Answer in one word.', 'a', Kind.SHORT_ANSWER),
    Prompt('Write a long story about a robot.', 'b', Kind.OPEN_ENDED),
]


@pytest.fixture(scope='module')
def engine() -> Engine:
    return loaded_engine(ModelSettings(device='cpu'))


@pytest.fixture
def key(engine: Engine) -> LengthKey:
    return length_key(engine, MAX_NEW_TOKENS)


def for_so_many(prompts: int) -> Callable[[], bool]:
    answers = iter([True] * prompts + [False])
    return lambda: next(answers)


def always() -> bool:
    return True


def test_lengths_are_those_of_the_engines_own_answers(
    engine: Engine, key: LengthKey, tmp_path: Path
) -> None:
    with LengthFile(tmp_path / 'f', key) as lengths:
        assert collect(engine, PROMPTS, lengths, MAX_NEW_TOKENS, always) == 0
    never = Interrupt(Deadline(float('inf')))
    for prompt, record in zip(PROMPTS, lengths.records, strict=True):
        ids = ChatPrompt(engine.target.tokenizer).token_ids(prompt.text)
        prefilled = engine.prefill(ids, MAX_NEW_TOKENS, never)
        steps = list(engine.decode(prefilled, MAX_NEW_TOKENS, never))
        assert record.sha256 == prompt.sha256
        assert (record.source, record.kind) == (prompt.source, prompt.kind)
        assert (record.prompt_tokens, record.response_tokens) == (len(ids), len(steps))
        assert steps[-1][1] is not None
        assert record.finish_reason == steps[-1][1].name
        assert record.prefill_s > 0
    assert lengths.records[1].finish_reason == 'LENGTH'


def test_a_second_start_asks_only_what_is_missing(
    engine: Engine, key: LengthKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LengthFile(tmp_path / 'f', key) as lengths:
        collect(engine, PROMPTS, lengths, MAX_NEW_TOKENS, for_so_many(1))
        assert [record.source for record in lengths.records] == ['a']
    asked: list[str] = []

    def spy(*arguments: object) -> object:
        asked.append(arguments[2].source)  # type: ignore[attr-defined]
        return answered(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr('timebill_ros.training.collect_lengths.answered', spy)
    with LengthFile(tmp_path / 'f', key) as lengths:
        collect(engine, PROMPTS, lengths, MAX_NEW_TOKENS, always)
        assert [record.source for record in lengths.records] == ['a', 'b']
    assert asked == ['b']


def test_a_prompt_is_not_asked_when_its_longest_answer_does_not_fit(engine: Engine) -> None:
    chat = ChatPrompt(engine.target.tokenizer)
    too_many = engine.target.context_length
    assert answered(engine, chat, PROMPTS[0], too_many) is None


def test_the_key_names_how_the_target_is_served(engine: Engine, key: LengthKey) -> None:
    assert (key.target, key.device) == (BUILT_IN, 'cpu')
    assert (key.quantization, key.step) == ('int4', engine.step.name)
    assert key.repetition_penalty == engine.target.repetition_penalty
    assert key.weights_hash
    assert key.max_new_tokens == MAX_NEW_TOKENS
    assert 'torch ' in key.versions


def test_other_numerics_are_of_the_same_weights_and_differ(key: LengthKey) -> None:
    assert other_numerics(key)[1] == key.quantization == 'int4'
    for dtype in ('float32', 'bfloat16'):
        plain = dataclasses.replace(key, dtype=dtype, quantization='none')
        assert other_numerics(plain)[0] != dtype


def test_the_command_collects_goes_on_and_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('timebill_ros.training.collect_lengths._prompts', lambda seed: PROMPTS)

    def run(*options: str) -> int:
        fixed = ['--device', 'cpu', '--folder', str(tmp_path)]
        monkeypatch.setattr('sys.argv', ['collect_lengths', *fixed, *options])
        return main()

    assert run('--max-new-tokens', '16', '--again') == 1
    assert 'collect lengths first' in capsys.readouterr().err
    assert run('--max-new-tokens', '16', '--limit', '1') == 0
    assert run('--max-new-tokens', '16') == 0
    assert 'the whole set of 2 prompts' in capsys.readouterr().out
    assert len(read_lengths(tmp_path / 'lengths.jsonl')[1]) == 2
    assert run('--max-new-tokens', '17') == 1
    assert 'max_new_tokens 16, not 17' in capsys.readouterr().err
    assert run('--max-new-tokens', '16', '--again') == 0
    assert 'for bfloat16: 2 prompts' in (said := capsys.readouterr().out) or (
        'for float32: 2 prompts' in said
    )
    key, records = read_lengths(tmp_path / 'lengths-again.jsonl')
    assert (key.quantization, len(records)) == ('int4', 2)
    assert run('--max-new-tokens', '16', '--again', 'newline') == 0
    assert 'with a line break behind the prompt: 2 prompts' in capsys.readouterr().out
    first, changed = (
        read_lengths(tmp_path / name) for name in ('lengths.jsonl', 'lengths-newline.jsonl')
    )
    assert changed[0] == first[0]
    for one, other in zip(first[1], changed[1], strict=True):
        assert other.sha256 == one.sha256
        assert other.prompt_tokens > one.prompt_tokens
    assert run('--max-new-tokens', '3') == 1
    assert 'max-new-tokens must be at least 16, got 3' in capsys.readouterr().err
