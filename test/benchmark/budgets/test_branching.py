"""Answers that branch off from one unevicted answer, against answers that are decoded alone."""

from dataclasses import replace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.branching import Branching
from benchmark.budgets.way import WHOLE
from support.tiny_models import NEVER, random_prompt, tiny_model, tiny_target
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.step import native_families
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.native_step import NativeStep

PROMPT, LONGEST = random_prompt(200), 40
WORDS = Tokenizer(WordLevel({f'w{index}': index for index in range(96)}, unk_token='w0'))


def engine_with(kind: str, settings: DecodingSettings) -> Engine:
    model = tiny_model('llama')
    if kind == 'native' and (why_not := native_families.why_not(model)):
        pytest.skip(why_not)
    step = NativeStep(model, {}, threads=1) if kind == 'native' else GenericStep(model)
    return Engine(tiny_target('llama'), settings, SnapKV(window=8), step)


def alone(engine: Engine, evict_at: int, alpha: float) -> list[int]:
    """Return an answer of which the prompt is evicted while it is decoded."""
    prefilled = engine.prefill(PROMPT, LONGEST, NEVER)
    kept = kept_tokens(len(PROMPT), alpha, engine.scorer.min_kept_tokens)
    if evict_at == 0:
        engine.evict(prefilled, kept)
    tokens = []
    for token, reason in engine.decode(prefilled, LONGEST, NEVER):
        tokens.append(token)
        if len(tokens) == evict_at and reason is None:
            engine.evict(prefilled, kept)
    return tokens


@pytest.mark.parametrize('kind', ['generic', 'native'])
@pytest.mark.parametrize(
    'settings',
    [DecodingSettings(1.3, stop_at_repetition=False), DecodingSettings(1.0)],
    ids=['penalty', 'loops'],
)
def test_a_branch_is_the_answer_that_is_decoded_alone(
    kind: str, settings: DecodingSettings
) -> None:
    engine = engine_with(kind, settings)
    tree = Branching(engine, WORDS, engine.prefill(PROMPT, LONGEST, NEVER), LONGEST)
    whole = tree.token_ids(WHOLE)
    assert whole == alone(engine, 0, 0.0)
    found = set()
    for evict_at in (0, 1, 2, 7, len(whole) - 1):
        for alpha in (0.25, 0.5):
            branch = tree.token_ids((evict_at, alpha))
            assert branch == alone(engine, evict_at, alpha)
            assert branch[:evict_at] == whole[:evict_at]
            found.add(tuple(branch))
    assert len(found) > 1  # an eviction makes a difference
    assert tree.token_ids(WHOLE) == whole  # and leaves the common cache as it was
    assert tree.token_ids((1, 0.5)) == alone(engine, 1, 0.5)


def test_a_branch_ends_at_a_stop_token() -> None:
    engine = engine_with('generic', DecodingSettings(1.3))
    answer = Branching(engine, WORDS, engine.prefill(PROMPT, LONGEST, NEVER), LONGEST).token_ids(
        WHOLE
    )
    stops = replace(engine.target, stop_token_ids=frozenset([answer[9]]))
    engine = Engine(stops, engine.settings, engine.scorer, engine.step)
    tree = Branching(engine, WORDS, engine.prefill(PROMPT, LONGEST, NEVER), LONGEST)
    assert tree.token_ids(WHOLE) == answer[: answer.index(answer[9]) + 1]
    assert tree.token_ids((3, 0.5)) == alone(engine, 3, 0.5)
    assert len(tree.pieces(WHOLE)) == len(tree.token_ids(WHOLE))
