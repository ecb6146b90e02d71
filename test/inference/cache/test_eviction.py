import numpy as np
import pytest
import torch
from transformers import DynamicCache

from benchmark.eviction.random_scorer import RandomScorer
from support.fake_tokenizer import FakeTokenizer
from support.masked_attention import NAME as MASKED
from support.masked_attention import only
from support.tiny_models import (
    ARCHITECTURES,
    NEVER,
    decoded,
    random_prompt,
    stock_model,
    tiny_target,
)
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference import engine as engine_module
from timebill_ros.inference.cache import scorers
from timebill_ros.inference.cache.eviction import kept_positions
from timebill_ros.inference.cache.observation_window import ObservedQueries
from timebill_ros.inference.cache.scorers import snapkv
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.cache.scorers.snapkv_lines import SnapKVLines
from timebill_ros.inference.cache.scorers.streaming_llm import StreamingLLM
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import InterruptedGenerationError

PROMPT_TOKENS = 61
KEPT_TOKENS = 30
SCORERS = {
    **{name: scorer(window=8) for name, scorer in scorers.SCORERS.items()},
    'snapkv-avg-mean': SnapKV(window=8, kernel=5, sinks=2, window_aggregation='mean'),
    'snapkv-max-max': SnapKV(
        window=8,
        kernel=3,
        pooling='max',
        window_aggregation='max',
        group_aggregation='max',
        sinks=0,
    ),
    'random': RandomScorer(window=8),
}
CHUNKS = {'one-shot': 512, 'chunks': 16, 'short last chunk': 20}
"""Chunks of 20 tokens leave a last one of a single token."""


def engine_for(architecture, scorer, monkeypatch, chunk_tokens=512):
    monkeypatch.setattr(engine_module, 'PREFILL_CHUNKS', ((1 << 62, chunk_tokens),))
    decoding = DecodingSettings(stop_at_repetition=False)
    return Engine(tiny_target(architecture), decoding, scorer)


def full_attention_layers(architecture):
    return [1] if architecture == 'gemma3' else [0, 1, 2]


def snapkv_in_numpy(attention, scorer, kept_tokens):
    """SnapKV as the paper tells it.

    Arguments:
        attention: (heads, window, length) weights of the window's tokens.
    """
    heads, window, length = attention.shape
    reduce = {'mean': np.mean, 'max': np.max}
    votes = reduce[scorer.window_aggregation](attention[:, :, : length - window], axis=1)
    half, prefix = scorer.kernel // 2, length - window
    pooled = np.zeros_like(votes)
    for position in range(prefix):
        around = votes[:, max(0, position - half) : position + half + 1]
        if scorer.pooling == 'avg':
            pooled[:, position] = around.sum(axis=1) / scorer.kernel
        else:
            pooled[:, position] = around.max(axis=1)
    pooled = pooled.reshape(2, heads // 2, prefix)
    score = reduce[scorer.group_aggregation](pooled, axis=1)
    positions = []
    for of_head in score:
        candidates = sorted(range(scorer.sinks, prefix), key=lambda p: -of_head[p])
        best = candidates[: kept_tokens - scorer.sinks - window]
        positions.append(sorted([*range(scorer.sinks), *best, *range(prefix, length)]))
    return np.array(positions), score


@pytest.mark.parametrize('chunk_tokens', CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize('scorer', SCORERS.values(), ids=SCORERS)
@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_evicted_cache_decodes_like_the_full_one_with_the_evicted_masked(
    monkeypatch, kept, architecture, scorer, chunk_tokens
):
    prompt = random_prompt(PROMPT_TOKENS)
    engine = engine_for(architecture, scorer, monkeypatch, chunk_tokens)
    prefilled = engine.prefill(prompt, 8, NEVER)
    engine.evict(prefilled, KEPT_TOKENS)
    tokens, logits = decoded(engine, prefilled, 8)

    layers = full_attention_layers(architecture)
    assert len(kept) == len(layers)
    visible = {
        layer: torch.zeros(2, PROMPT_TOKENS, dtype=torch.bool).scatter_(1, positions, True)
        for layer, positions in zip(layers, kept, strict=True)
    }
    model = stock_model(architecture, MASKED)
    cache = DynamicCache(config=model.config)
    expected = []
    with torch.no_grad():
        output = model(torch.tensor([prompt]), past_key_values=cache)
        expected.append(output.logits[0, -1])
        with only(visible):
            for step, token in enumerate(tokens[:-1]):
                output = model(
                    torch.tensor([[token]]),
                    position_ids=torch.tensor([[PROMPT_TOKENS + step]]),
                    past_key_values=cache,
                )
                expected.append(output.logits[0, -1])
    # What fp32 rounds; one wrong token in the cache changes logits by more than 0.1.
    torch.testing.assert_close(logits, torch.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('chunk_tokens', CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize('pooling', ['avg', 'max'])
@pytest.mark.parametrize('group_aggregation', ['mean', 'max'])
@pytest.mark.parametrize('window_aggregation', ['mean', 'max'])
@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_kept_positions_are_those_of_snapkv_in_numpy(
    monkeypatch,
    kept,
    architecture,
    window_aggregation,
    group_aggregation,
    pooling,
    chunk_tokens,
):
    scorer = SnapKV(
        window=8,
        kernel=5,
        pooling=pooling,
        window_aggregation=window_aggregation,
        group_aggregation=group_aggregation,
        sinks=2,
    )
    prompt = random_prompt(PROMPT_TOKENS)
    engine = engine_for(architecture, scorer, monkeypatch, chunk_tokens)
    engine.evict(engine.prefill(prompt, 1, NEVER), KEPT_TOKENS)
    with torch.no_grad():
        attentions = stock_model(architecture)(
            torch.tensor([prompt]), output_attentions=True
        ).attentions
    layers = full_attention_layers(architecture)
    for layer, positions in zip(layers, kept, strict=True):
        attention = attentions[layer][0, :, -scorer.window :].numpy()
        expected, score = snapkv_in_numpy(attention, scorer, KEPT_TOKENS)
        if pooling == 'avg':
            assert positions.tolist() == expected.tolist()
            continue
        # Max pooling makes equals of neighbours: which of them stays is free.
        for of_head, mine, its in zip(score, positions.numpy(), expected, strict=True):
            assert set(mine[:2]) == {0, 1}
            assert set(mine[-8:]) == set(range(PROMPT_TOKENS - 8, PROMPT_TOKENS))
            mine, its = mine[2:-8], its[2:-8]
            np.testing.assert_allclose(np.sort(of_head[mine]), np.sort(of_head[its]), atol=1e-6)


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_keeping_all_scores_nothing_and_decodes_the_same_tokens(monkeypatch, architecture):
    monkeypatch.setattr(snapkv, 'log_attention', pytest.fail)
    prompt = random_prompt(PROMPT_TOKENS)
    engine = engine_for(architecture, SnapKV(window=8), monkeypatch)
    plain = engine.prefill(prompt, 24, NEVER)
    kept_whole = engine.prefill(prompt, 24, NEVER)
    engine.evict(kept_whole, PROMPT_TOKENS)
    tokens, logits = decoded(engine, plain, 24)
    same_tokens, same_logits = decoded(engine, kept_whole, 24)
    assert tokens == same_tokens
    assert torch.equal(logits, same_logits)


@pytest.mark.parametrize('chunk_tokens', [1, 3, 7, 20, 60])
def test_window_spans_chunks(monkeypatch, chunk_tokens):
    prompt = random_prompt(PROMPT_TOKENS)
    scorer = SnapKV(window=8)
    whole = engine_for('llama', scorer, monkeypatch).prefill(prompt, 1, NEVER)
    in_chunks = engine_for('llama', scorer, monkeypatch, chunk_tokens).prefill(prompt, 1, NEVER)
    for layer in range(3):
        expected, found = whole.observed[layer].queries, in_chunks.observed[layer].queries
        assert found.shape == (6, 8, 32)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_decoding_records_nothing(monkeypatch):
    engine = engine_for('llama', SnapKV(window=8), monkeypatch)
    prefilled = engine.prefill(random_prompt(PROMPT_TOKENS), 4, NEVER)
    before = [prefilled.observed[layer].queries.clone() for layer in range(3)]
    decoded(engine, prefilled, 4)
    for layer in range(3):
        assert torch.equal(prefilled.observed[layer].queries, before[layer])


@pytest.mark.parametrize('scorer', [*scorers.SCORERS.values(), RandomScorer])
def test_sinks_and_window_always_stay(monkeypatch, kept, scorer):
    engine = engine_for('llama', scorer(window=8, sinks=5), monkeypatch)
    engine.evict(engine.prefill(random_prompt(PROMPT_TOKENS), 1, NEVER), 20)
    for positions in kept:
        assert positions.shape == (2, 20)
        assert (positions[:, :5] == torch.arange(5)).all()
        assert (positions[:, -8:] == torch.arange(PROMPT_TOKENS - 8, PROMPT_TOKENS)).all()
        assert (positions.diff(dim=1) > 0).all()


def test_streaming_llm_keeps_sinks_and_the_most_recent(monkeypatch, kept):
    scorer = StreamingLLM(window=8, sinks=3)
    engine = engine_for('llama', scorer, monkeypatch)
    engine.evict(engine.prefill(random_prompt(PROMPT_TOKENS), 1, NEVER), 20)
    expected = [0, 1, 2, *range(PROMPT_TOKENS - 17, PROMPT_TOKENS)]
    for positions in kept:
        assert positions.tolist() == [expected, expected]


def test_lines_stay_or_go_as_a_whole(monkeypatch, kept):
    scorer, prompt = SnapKVLines(window=8, sinks=0), random_prompt(PROMPT_TOKENS)
    engine = engine_for('llama', scorer, monkeypatch)
    engine.evict(engine.prefill(prompt, 1, NEVER), KEPT_TOKENS)
    ids = torch.tensor(prompt)
    line = scorer.for_prompt(ids, engine.target.tokenizer).line
    before_window = line[: PROMPT_TOKENS - 8]
    assert before_window[-1] > 3
    for positions in torch.cat(kept):
        stays = torch.zeros(PROMPT_TOKENS - 8, dtype=torch.bool)
        stays[positions[:-8]] = True
        shares = [
            stays[before_window == number].float().mean() for number in before_window.unique()
        ]
        assert sum(0 < share < 1 for share in shares) <= 1  # the last one that fits


def test_a_line_has_the_mean_vote_of_its_tokens(monkeypatch):
    scorer, prompt = SnapKVLines(window=8), random_prompt(PROMPT_TOKENS)
    engine = engine_for('llama', scorer, monkeypatch)
    prefilled = engine.prefill(prompt, 1, NEVER)
    scorer = scorer.for_prompt(prefilled.prompt_ids, engine.target.tokenizer)
    layer = prefilled.cache.layers[1]
    keys, values = layer.keys[0, :, :PROMPT_TOKENS], layer.values[0, :, :PROMPT_TOKENS]
    votes = scorer.votes(keys, prefilled.observed[1]).amax(1).sum(0)
    found = scorer.score(1, keys, values, prefilled.observed[1])
    for position in range(PROMPT_TOKENS - 8):
        own = scorer.line[: PROMPT_TOKENS - 8] == scorer.line[position]
        torch.testing.assert_close(found[:, position], votes[own].mean().expand(2))


@pytest.mark.skipif(
    not snapkv._multiplies(torch.zeros(1, dtype=torch.bfloat16)), reason='no products in bf16'
)
def test_attention_by_its_sums_in_bf16_is_near_to_that_of_fp32():
    torch.manual_seed(0)
    keys, queries = torch.randn(2, 500, 64), torch.randn(6, 16, 64)
    scores = torch.einsum('hgwd,hld->hgwl', queries.view(2, 3, 16, 64), keys) * 64**-0.5
    future = torch.ones(16, 16, dtype=torch.bool).triu(1)
    scores[..., -16:].masked_fill_(future, float('-inf'))
    sums = scores.logsumexp(-1).view(6, 16)
    exact = snapkv.log_attention(keys, ObservedQueries(queries, None, None))
    for dtype, bound in ((torch.float32, 1e-4), (torch.bfloat16, 0.08)):
        observed = ObservedQueries(queries.to(dtype), None, None, sums)
        found = snapkv.log_attention(keys.to(dtype), observed)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), exact, rtol=0.0, atol=bound)


def test_lines_end_with_breaks_and_sentences_in_any_tokenizers_spelling():
    tokens = ['a', '.', '\n', 'b', 'Ċ', 'c', '.Ġ', 'd', '<0x0A>', 'end?', '3.5', 'ĠĊĊ', 'e', '!▁']
    tokenizer = FakeTokenizer(0, tokens)
    found = SnapKVLines().for_prompt(torch.arange(len(tokens)), tokenizer).line
    assert found.tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7, 7]


def test_random_repeats_itself_by_its_seed_only(monkeypatch, kept):
    for seed in (1, 1, 2):
        scorer = RandomScorer(window=8, seed=seed)
        engine = engine_for('llama', scorer, monkeypatch)
        engine.evict(engine.prefill(random_prompt(PROMPT_TOKENS), 1, NEVER), 20)
    first, again, other = (torch.stack(kept[start : start + 3]) for start in (0, 3, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_memory_scales_with_what_is_kept(monkeypatch):
    scorer = SnapKV(window=8)
    engine = engine_for('llama', scorer, monkeypatch)
    new_tokens, bytes_per_token = 10, 3 * 2 * 2 * 32 * 4
    for kept_tokens in (PROMPT_TOKENS, 40, 20):
        prefilled = engine.prefill(random_prompt(PROMPT_TOKENS), new_tokens, NEVER)
        old = [layer.keys for layer in prefilled.cache.layers]
        engine.evict(prefilled, kept_tokens)
        assert prefilled.cache.nbytes == (kept_tokens + new_tokens) * bytes_per_token
        for layer, keys in zip(prefilled.cache.layers, old, strict=True):
            is_old = layer.keys.untyped_storage().data_ptr() == keys.untyped_storage().data_ptr()
            assert is_old == (kept_tokens == PROMPT_TOKENS)
            # No more memory behind the tensor than what it shows.
            assert layer.keys.untyped_storage().nbytes() == layer.keys.nbytes
        decoded(engine, prefilled, new_tokens)


def test_sliding_layers_stay_whole(monkeypatch):
    engine = engine_for('gemma3', SnapKV(window=8), monkeypatch)
    prefilled = engine.prefill(random_prompt(PROMPT_TOKENS), 4, NEVER)
    engine.evict(prefilled, KEPT_TOKENS)
    lengths = [layer.length for layer in prefilled.cache.layers]
    assert lengths == [PROMPT_TOKENS, KEPT_TOKENS, PROMPT_TOKENS]


def test_model_of_sliding_layers_only_is_left_alone(monkeypatch):
    engine = engine_for('mistral-sliding', SnapKV(window=8), monkeypatch)
    plain, evicted = (engine.prefill(random_prompt(PROMPT_TOKENS), 8, NEVER) for _ in range(2))
    engine.evict(evicted, KEPT_TOKENS)
    assert decoded(engine, plain, 8)[0] == decoded(engine, evicted, 8)[0]


def test_eviction_can_be_cut_off(monkeypatch):
    engine = engine_for('gemma3', SnapKV(window=8), monkeypatch)
    prefilled = engine.prefill(random_prompt(PROMPT_TOKENS), 8, NEVER)

    def cut_off():
        raise InterruptedGenerationError

    prefilled.cache.layers[1].before_update = cut_off
    with pytest.raises(InterruptedGenerationError):
        engine.evict(prefilled, KEPT_TOKENS)


def test_best_of_the_rest_stay():
    score = torch.tensor([[9.0, 0, 7, 1, 8, 2, 0, 0], [0, 9, 0, 8, 0, 7, 0, 0]])
    positions = kept_positions(score, 5, window=2, sinks=1)
    assert positions.tolist() == [[0, 2, 4, 6, 7], [0, 1, 3, 6, 7]]


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('window', 0),
        ('kernel', 4),
        ('kernel', -1),
        ('pooling', 'sum'),
        ('window_aggregation', 'sum'),
        ('group_aggregation', 'sum'),
        ('sinks', -1),
        ('sinks', 65),
    ],
)
def test_bad_setting_is_refused_by_name_and_value(name, value):
    with pytest.raises(ValueError, match=rf'^{name} must .*, got .*{value}'):
        SnapKV(**{name: value})


def test_floor_leaves_room_beside_the_window():
    assert StreamingLLM(window=16).min_kept_tokens == 16 + 64


def test_every_scorer_of_the_package_can_be_chosen_by_the_parameter():
    assert set(scorers.SCORERS) == set(ModelSettings().specs['eviction_scorer'].choices)
