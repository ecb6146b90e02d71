"""How figures follow from runs, and aims from figures."""

from typing import Any

import numpy as np
import pytest

from benchmark.engine.peers.peer_arm.server import scored
from benchmark.engine.summary import (
    aims,
    arm_summary,
    fastest_peers,
    fidelity,
    ratios,
    short_answer_ratio,
)

PEERS = ('llama_cpp', 'ik_llama_cpp')


def arm(prefill_s: float, step_ms: float) -> dict[str, Any]:
    return {'prefill_s': prefill_s, 'step_ms': {'p50': step_ms}}


def arms() -> dict[str, Any]:
    return {
        'ours': arm(2.0, 3.0),
        'ours_int8': arm(0.1, 0.1),
        'llama_cpp': arm(8.0, 6.0),
        'ik_llama_cpp': arm(4.0, 10.0),
    }


def result() -> dict[str, Any]:
    return {
        'lengths': {'128': arms(), '2048': arms()},
        'ratios': {'128': ratios(arms()), '2048': ratios(arms())},
        'bandwidth_limit_ms': {'128': 0.1, '2048': 2.4},
        'rss_mb': 527.0,
        'file_mb': 98.0,
        'files': {
            'Q4_K_M': {
                'rss_mb': 1100.0,
                'file_mb': 500.0,
                'ratios': {'512': {'step_vs_ik_llama_cpp': 0.9, 'prefill_vs_ik_llama_cpp': 1.1}},
            }
        },
        'speculation': {'copying': {'speedup': 1.5}, 'free_text': {'slowest': 1.04}},
    }


def test_the_first_token_is_the_prefill_and_the_others_are_steps():
    runs = [{'known_s': [1.0, 1.002, 1.006], 'rss_mb': 5}, {'known_s': [3.0, 3.002], 'rss_mb': 7}]
    found = arm_summary(runs)
    assert found['prefill_s'] == 2.0 and found['rss_mb'] == 7
    assert found['step_ms']['p50'] == pytest.approx(2.0) and found['step_ms']['n'] == 3
    assert found['step_ms']['max'] == pytest.approx(4.0)


def test_the_fastest_peer_is_another_one_for_reading_and_for_writing():
    found = ratios(arms())
    assert found['step_vs_fastest_peer'] == found['step_vs_llama_cpp'] == 0.5
    assert found['prefill_vs_fastest_peer'] == found['prefill_vs_ik_llama_cpp'] == 0.5
    assert found['prefill_vs_llama_cpp'] == 0.25
    assert fastest_peers(arms()) == {'step': 'llama_cpp', 'prefill': 'ik_llama_cpp'}


def test_our_other_arms_are_no_peers():
    ours = {name: found for name, found in arms().items() if name.startswith('ours')}
    assert ratios(ours) == fastest_peers(ours) == {}
    assert short_answer_ratio({'ours': 1.0, 'ours_none': 0.5}) is None
    assert short_answer_ratio({'ours': 1.0, 'llama_cpp': 4.0}) == 0.25


def test_aims_are_told_by_name():
    assert aims(result(), PEERS) == {
        'prefill_vs_fastest_peer': True,
        'step_vs_fastest_peer': True,
        'step_vs_bandwidth': True,
        'memory': True,
        'memory_Q4_K_M': False,
        'prefill_vs_ik_llama_cpp_Q4_K_M': False,
        'step_vs_ik_llama_cpp_Q4_K_M': True,
        'speculation_copying': True,
        'speculation_free_text': False,
    }


@pytest.mark.parametrize(
    ('name', 'length', 'figure', 'value'),
    [
        ('prefill_vs_fastest_peer', '128', 'prefill_s', 4.1),
        ('step_vs_fastest_peer', '128', 'step_ms', {'p50': 4.3}),
        ('step_vs_bandwidth', '2048', 'step_ms', {'p50': 3.2}),
    ],
)
def test_one_length_is_enough_to_miss_an_aim(name: str, length: str, figure: str, value: Any):
    found = result()
    found['lengths'][length]['ours'][figure] = value
    found['ratios'] = {n: ratios(row) for n, row in found['lengths'].items()}
    assert aims(found, PEERS)[name] is False


def test_aims_that_a_run_cannot_tell_are_left_out():
    found = {**result(), 'speculation': None, 'files': {}}
    del found['lengths']['128']['llama_cpp']
    assert set(aims(found, PEERS)) == {'step_vs_bandwidth', 'memory'}


def test_a_file_without_ik_llama_cpp_has_an_aim_of_memory_only():
    found = result()
    found['files']['Q4_K_M']['ratios'] = {'512': {}}
    assert [name for name in aims(found, PEERS) if 'Q4_K_M' in name] == ['memory_Q4_K_M']


def test_texts_count_by_their_tokens():
    exact = [{'log_likelihood': -1.0, 'top': [1, 2, 3]}, {'log_likelihood': -2.0, 'top': [4]}]
    found = [{'log_likelihood': -1.4, 'top': [1, 2, 9]}, {'log_likelihood': -2.0, 'top': [4]}]
    assert fidelity(exact, found) == {
        'log_likelihood_loss': pytest.approx(0.3),
        'top_token': {'identical': 3, 'n': 4},
    }


def test_logits_are_compared_with_the_tokens_that_follow():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], dtype=np.float32)) + 70
    found = scored(logits, [1, 2])
    assert found['top'] == [0, 2]
    assert found['log_likelihood'] == pytest.approx((np.log(0.25) + np.log(0.8)) / 2, rel=1e-4)
