"""The compiled eviction keeps what the scorer in torch keeps, on every instruction set."""

import copy

import pytest
import torch

from support.tiny_models import NEVER, random_prompt, target_of, tiny_model, tiny_target
from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference import native_eviction
from timebill_ros.inference.cache.eviction import evict
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.native_eviction import evict_natively, scores_natively
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.native_step import NativeStep

INSTRUCTION_SETS = decoder_library.instruction_sets()
ANSWER_TOKENS = 5


def prefilled_by(target, step: NativeStep, tokens: int, scorer: SnapKV) -> Prefilled:
    """Return a prompt that was read, with an answer behind it."""
    engine = Engine(target, DecodingSettings(), scorer, step)
    prefilled = engine.prefill(random_prompt(tokens), 8, NEVER)
    with step.answering(prefilled.cache, tokens, ANSWER_TOKENS) as answering:
        for token in range(ANSWER_TOKENS):
            answering.logits(torch.tensor(token))
    return prefilled


def copy_of(cache: KVCache, config) -> KVCache:
    copy = KVCache(config, 0, lambda: None)
    for old, new in zip(cache.layers, copy.layers, strict=True):
        new.take(old.keys.clone(), old.values.clone(), old.length)
    return copy


@pytest.mark.parametrize('threads', [1, 2, 5])
@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
@pytest.mark.parametrize('name', ['llama', 'qwen2', 'qwen3', 'mistral-sliding'])
def test_the_same_tokens_stay_as_in_torch(name: str, rank: int, threads: int) -> None:
    target = tiny_target(name)
    step = NativeStep(target.model, {}, threads, rank)
    for tokens, kept, scorer in (
        (61, 30, SnapKV(window=8, kernel=5, sinks=2)),
        (97, 96, SnapKV(window=1, kernel=1, sinks=0)),
        (64, 12, SnapKV(window=8, kernel=63, sinks=4)),
        (100, 40, SnapKV()),
    ):
        prefilled = prefilled_by(target, step, tokens, scorer)
        copy = copy_of(prefilled.cache, target.model.config)
        expected = evict(copy, prefilled.observed, tokens, kept, scorer)
        found = evict_natively(
            step, prefilled.cache, prefilled.observed, tokens, kept, scorer, NEVER
        )
        assert found.keys() == expected.keys()
        for layer, positions in expected.items():
            assert torch.equal(found[layer], positions)
        for mine, its in zip(prefilled.cache.layers, copy.layers, strict=True):
            assert (mine.length, mine.capacity) == (its.length, its.capacity)
            for one, other in ((mine.keys, its.keys), (mine.values, its.values)):
                assert torch.equal(one[:, :, : mine.length], other[:, :, : mine.length])


@pytest.mark.parametrize('rank', range(len(INSTRUCTION_SETS)), ids=INSTRUCTION_SETS)
def test_in_bf16_what_stays_has_the_votes_of_what_stays_in_fp32(rank: int) -> None:
    target = target_of('llama', copy.deepcopy(tiny_model('llama')).to(torch.bfloat16))
    tokens, kept, scorer = 500, 200, SnapKV()
    prefilled = prefilled_by(target, NativeStep(target.model, {}, 2, rank), tokens, scorer)
    observed = prefilled.observed
    scores = {
        i: scorer.score(
            i, layer.keys[0, :, :tokens].float(), layer.values[0, :, :tokens], observed[i]
        )
        for i, layer in enumerate(prefilled.cache.layers)
    }
    step = NativeStep(target.model, {}, 2, rank)
    stays = evict_natively(step, prefilled.cache, observed, tokens, kept, scorer, NEVER)
    for layer, positions in stays.items():
        assert (positions.diff(dim=1) > 0).all()
        chosen = scores[layer][:, 4:-16].topk(kept - 20).values.sum(1)
        ours = scores[layer].gather(1, positions[:, 4:-16]).sum(1)
        torch.testing.assert_close(ours, chosen, rtol=2e-3, atol=0.0)


def test_exactly_as_many_stay_where_all_votes_are_equal() -> None:
    target = tiny_target('llama')
    step, scorer = NativeStep(target.model, {}, 2), SnapKV(window=8, kernel=1, sinks=2)
    for value in (0.0, float('nan')):
        prefilled = prefilled_by(target, step, 61, scorer)
        for layer in prefilled.cache.layers:
            layer.keys.fill_(value)
        stays = evict_natively(step, prefilled.cache, prefilled.observed, 61, 30, scorer, NEVER)
        for positions in stays.values():
            assert positions.tolist() == [[*range(22), *range(53, 61)]] * 2


def test_fewer_queries_than_the_window_vote_after_a_short_last_chunk() -> None:
    """As many as were read, if the beginning of the prompt was in the cache."""
    target, scorer = tiny_target('llama'), SnapKV(window=8, kernel=5, sinks=2)
    step = NativeStep(target.model, {}, 2)
    engine = Engine(target, DecodingSettings(), scorer, step)
    prefilled = engine.prefill(random_prompt(61), 8, NEVER)
    for layer in range(3):
        seen = prefilled.observed[layer]
        prefilled.observed._layers[layer] = type(seen)(
            seen.queries[:, -3:], seen.scaling, seen.softcap, seen.log_sums[:, -3:]
        )
    copy = copy_of(prefilled.cache, target.model.config)
    expected = evict(copy, prefilled.observed, 61, 30, scorer)
    found = evict_natively(step, prefilled.cache, prefilled.observed, 61, 30, scorer, NEVER)
    for layer, positions in expected.items():
        assert torch.equal(found[layer], positions)


@pytest.mark.parametrize('why', ['aborted', 'late'])
def test_an_eviction_that_is_cut_off_leaves_the_cache_as_it_was(why: str, monkeypatch) -> None:
    target, scorer = tiny_target('llama'), SnapKV(window=8)
    step = NativeStep(target.model, {}, 2)
    prefilled = prefilled_by(target, step, 61, scorer)
    before = copy_of(prefilled.cache, target.model.config)
    interrupt = Interrupt(Deadline(0.0 if why == 'late' else float('inf')), AbortFlag())
    # Not before the library is asked: what is tested is that it asks.
    monkeypatch.setattr(Interrupt, 'check', lambda self: interrupt.abort.set())
    if why == 'late':
        monkeypatch.setattr(Interrupt, 'check', lambda self: None)
    with pytest.raises(InterruptedGenerationError):
        evict_natively(step, prefilled.cache, prefilled.observed, 61, 30, scorer, interrupt)
    for mine, its in zip(prefilled.cache.layers, before.layers, strict=True):
        assert (mine.length, mine.capacity) == (its.length, its.capacity)
        assert torch.equal(mine.keys[:, :, : mine.length], its.keys[:, :, : mine.length])


def test_other_settings_and_scorers_are_left_to_torch(monkeypatch) -> None:
    assert scores_natively(SnapKV(window=3, kernel=7, sinks=1))
    for setting in (
        {'pooling': 'max'},
        {'window_aggregation': 'mean'},
        {'group_aggregation': 'mean'},
    ):
        assert not scores_natively(SnapKV(**setting))
    monkeypatch.setattr(native_eviction, 'Eviction', pytest.fail)
    target = tiny_target('llama')
    engine = Engine(target, DecodingSettings(), SnapKV(pooling='max'))
    stays = engine.evict(engine.prefill(random_prompt(120), 1, NEVER), 90)
    assert all(positions.shape == (2, 90) for positions in stays.values())
