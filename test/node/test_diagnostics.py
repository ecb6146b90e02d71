"""Levels, messages and keys of the three statuses."""

import os
import platform

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from timebill_ros.core.link_model import LinkReport, LinkState
from timebill_ros.core.outcome import MissReason
from timebill_ros.core.remote_settings import RemoteSettings
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.query_statistics import QuerySummary
from timebill_ros.node.diagnostics import (
    ERROR_CONSECUTIVE_MISSES,
    QUIET_S,
    RATED_QUERIES,
    WARN_CONSECUTIVE_MISSES,
    deadlines_status,
    estimate_status,
    inference_status,
    percentile,
    resident_memory_mb,
)
from timebill_ros.node.remote_status import remote_status
from timebill_ros.worker.protocol import Estimate, PrefixesHeld, Ready
from timebill_ros.worker.worker_client import WorkerState

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
READY = Ready('model', 'cpu', 'bfloat16', 8192, 20, 'int4', 'native avx2', 'none')
HELD = PrefixesHeld(3, 1_500_000, 900)


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


@pytest.mark.parametrize(
    ('state', 'sentence', 'level'),
    [
        (WorkerState.READY, '', OK),
        (WorkerState.READY, 'the node is not active', WARN),
        (WorkerState.LOADING, 'being loaded', WARN),
        (WorkerState.STOPPED, 'not configured', WARN),
        (WorkerState.WAITING, 'it ended', ERROR),
        (WorkerState.FAILED, 'no such model', ERROR),
    ],
)
def test_inference_is_ok_only_while_queries_are_served(
    state: WorkerState, sentence: str, level: bytes
) -> None:
    status = inference_status('/robot/timebill', state, sentence, 'model', READY, 2, 321.09, HELD)
    assert status.name == '/robot/timebill: inference'
    assert (status.level, status.message) == (level, sentence or 'serving queries')
    assert values(status) == {
        'state': state.value,
        'model': 'model',
        'device': 'cpu',
        'dtype': 'bfloat16',
        'quantization': 'int4',
        'step': 'native avx2',
        'length_predictor': 'none',
        'restarts': '2',
        'worker_memory_mb': '321.1',
        'prefix_cache_prompts': '3',
        'prefix_cache_mb': '1.5',
    }


@pytest.mark.parametrize(
    ('queries', 'misses', 'consecutive', 'level'),
    [
        (0, 0, 0, OK),
        (100, 9, 0, OK),
        (100, 10, 0, WARN),
        (100, 50, 0, ERROR),
        (RATED_QUERIES - 1, RATED_QUERIES - 2, 0, OK),
        (3, 2, WARN_CONSECUTIVE_MISSES - 1, OK),
        (3, 3, WARN_CONSECUTIVE_MISSES, WARN),
        (10, 10, ERROR_CONSECUTIVE_MISSES, ERROR),
    ],
)
def test_deadlines_warn_of_many_misses_and_of_misses_in_a_row(
    queries: int, misses: int, consecutive: int, level: bytes
) -> None:
    summary = QuerySummary(queries, misses, consecutive)
    assert deadlines_status('/timebill', summary, 0, False).level == level


@pytest.mark.parametrize(
    ('quiet_s', 'is_serving', 'level'),
    [(QUIET_S - 1, False, ERROR), (QUIET_S, False, OK), (QUIET_S, True, ERROR)],
)
def test_misses_are_forgiven_after_a_minute_without_a_query(
    quiet_s: float, is_serving: bool, level: bytes
) -> None:
    status = deadlines_status(
        '/timebill', QuerySummary(10, 10, 10, quiet_s=quiet_s), 0, is_serving
    )
    assert status.level == level
    assert status.message.startswith('10 of the last 10 queries missed, the last 10 in a row')
    assert status.message.endswith('; no query for 60 s') == (level == OK)
    assert values(status)['consecutive_misses'] == '10'


def test_every_status_names_the_machine() -> None:
    estimate, summary = Estimate(None), QuerySummary()
    for status in (
        inference_status('/timebill', WorkerState.LOADING, '', 'model', None, 0, 0.0, HELD),
        deadlines_status('/timebill', summary, 0, False),
        estimate_status('/timebill', estimate, [], 0.95),
        *remote_status('/timebill', RemoteSettings(), LinkReport(LinkState.OK, '', 0)),
    ):
        assert status.hardware_id == platform.node() != ''


def test_deadlines_have_the_keys_of_autoware() -> None:
    summary = QuerySummary(
        queries=4,
        misses=2,
        consecutive_misses=2,
        missing_for_s=1.25,
        total_times_s=(0.1, 0.4, 0.2),
        answered=7,
        missed=((MissReason.KILLED, 2),),
    )
    status = deadlines_status('/timebill', summary, 5, True)
    assert status.message == '2 of the last 4 queries missed, the last 2 in a row'
    assert values(status) == {
        'queue_length': '5',
        'miss_rate': '0.500',
        'consecutive_misses': '2',
        'processing_time_ms': '200.0',
        'is_processing_time_ms_in_expected_range': 'False',
        'consecutive_processing_delay_ms': '1250.0',
        'is_consecutive_processing_delay_in_range': 'True',
        'processing_time_p50_ms': '200.0',
        'processing_time_p95_ms': '400.0',
        'processing_time_p99_ms': '400.0',
        'answered': '7',
        'missed_KILLED': '2',
    }


def test_a_drifting_machine_is_a_warning_that_says_what_to_do() -> None:
    model = TimeModel(0, 1e-3, 0, p=1e-5, q=1e-2, delta=0.2, step_delta=0.5)
    status = estimate_status('/timebill', Estimate(model), [0.1, -0.3], 0.95)
    assert (status.level, status.message) == (OK, 'following the machine')
    told = values(status)
    assert (told['estimate_error'], told['estimate_bias']) == ('0.200', '-0.100')
    assert (told['drift_factor'], told['worst_case_margin']) == ('1.000', '0.200')
    assert 0 < float(told['leverage_1024_tokens']) < float(told['leverage_4096_tokens']) < 0.95
    assert (told['reading_drift_factor'], told['worst_case_step_margin']) == ('1.000', '0.500')
    estimate = Estimate(model, 1.6, is_drifting=True, reading_drift_factor=0.9)
    status = estimate_status('/timebill', estimate, [], 0.95)
    assert status.level == WARN
    assert 'prompts take 0.90 times and answers 1.60 times' in status.message
    assert '~/recalibrate' in status.message


def test_the_keys_are_the_same_before_anything_is_known() -> None:
    model = TimeModel(0, 1e-3, 0, p=1e-5, q=1e-2)
    before = values(estimate_status('/timebill', Estimate(None), [], 0.95))
    assert before.keys() == values(estimate_status('/timebill', Estimate(model), [], 0.5)).keys()


@pytest.mark.parametrize(('percent', 'expected'), [(50, 50.0), (95, 95.0), (99, 99.0)])
def test_a_percentile_is_one_of_the_values(percent: int, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_memory_is_that_of_the_process_and_none_of_no_process() -> None:
    assert 1 < resident_memory_mb(os.getpid()) < 10_000
    assert resident_memory_mb(None) == resident_memory_mb(2**22 + 1) == 0.0
