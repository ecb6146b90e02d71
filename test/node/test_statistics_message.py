"""The numbers of ~/statistics: each of them is filled, and from the right place."""

import ast
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from builtin_interfaces.msg import Time

import timebill_ros.msg as msg
from timebill_ros.core.outcome import MissReason
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.query_statistics import QuerySummary
from timebill_ros.node.diagnostics import resident_memory_mb
from timebill_ros.node.node_state import NodeState
from timebill_ros.node.settings import NodeSettings
from timebill_ros.node.statistics_message import statistics_message
from timebill_ros.worker.protocol import Estimate, PrefixesHeld
from timebill_ros.worker.worker_client import WorkerState

CONFIG = Path(__file__).parents[2] / 'config'
MODEL = TimeModel(0, 1e-3, 0, p=1e-5, q=1e-2, delta=0.25)
KINDS = ('answered', 'answered_late', *(f'missed_{reason.name.lower()}' for reason in MissReason))
STATE = NodeState(
    NodeSettings(),
    WorkerState.READY,
    '',
    ready=None,
    estimate=Estimate(MODEL, 1.5),
    prefixes=PrefixesHeld(3, 1_500_000, 9),
    restarts=2,
    worker_memory_mb=300.0,
    link=None,
)
SUMMARY = QuerySummary(
    queries=4,
    misses=1,
    consecutive_misses=1,
    total_times_s=(0.1, 0.4, 0.2),
    estimate_errors=(0.1, -0.3),
    answered=9,
    missed=tuple((reason, 10 + reason.value) for reason in MissReason),
    answered_late=2,
    rates={kind: 0.5 + number for number, kind in enumerate(KINDS)},
    response_times_s=(1.0, 3.0, 2.0),
    cached_share=0.75,
)


def values(message: msg.Statistics) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.get_fields_and_field_types()}


def test_every_number_is_filled_from_its_place() -> None:
    told = values(statistics_message(Time(sec=3), SUMMARY, STATE, 5))
    assert told.pop('header').stamp.sec == 3
    assert told.pop('node_memory_mb') == pytest.approx(resident_memory_mb(os.getpid()), rel=0.1)
    expected: dict[str, Any] = {
        'is_serving': True,
        'queue_length': 5,
        'answered': 7,
        'answered_late': 2,
        **{f'missed_{reason.name.lower()}': 10 + reason.value for reason in MissReason},
        **{f'{kind}_rate': 0.5 + number for number, kind in enumerate(KINDS)},
        'miss_rate': 0.25,
        'consecutive_misses': 1,
        'processing_time': 0.2,
        'processing_time_p50': 0.2,
        'processing_time_p95': 0.4,
        'processing_time_p99': 0.4,
        'response_time_p50': 2.0,
        'response_time_p95': 3.0,
        'response_time_p99': 3.0,
        'estimate_error': 0.2,
        'estimate_bias': -0.1,
        'drift_factor': 1.5,
        'worst_case_margin': 0.25,
        'prefix_cache_prompts': 3,
        'prefix_cache_mb': 1.5,
        'prefix_cache_share': 0.75,
        'worker_memory_mb': 300.0,
        'worker_restarts': 2,
    }
    assert told == pytest.approx(expected)


def test_nothing_is_known_at_the_start() -> None:
    nothing = replace(STATE, why_not_serving='it loads', estimate=Estimate(None))
    nothing = replace(nothing, prefixes=PrefixesHeld(0, 0, 0), restarts=0, worker_memory_mb=0.0)
    told = values(statistics_message(Time(), QuerySummary(), nothing, 0))
    assert told.pop('header') == msg.Statistics().header
    assert told.pop('node_memory_mb') > 1
    assert not any(told.values())


def test_the_perspective_draws_numbers_that_there_are() -> None:
    plugins = json.loads((CONFIG / 'timebill.perspective').read_text())['groups']['pluginmanager']
    running = ast.literal_eval(plugins['keys']['running-plugins']['repr'])
    assert running == {'rqt_plot/Plot': [1, 2], 'rqt_robot_monitor/RobotMonitor': [1]}
    for plot in (1, 2):
        settings = plugins['groups'][f'plugin__rqt_plot__Plot__{plot}']['groups']['plugin']['keys']
        assert ast.literal_eval(settings['x_limits']['repr']) == [0.0, 60.0]
        topics = ast.literal_eval(settings['topics']['repr'])
        names = {topic.removeprefix('/timebill/statistics/') for topic in topics}
        assert len(names) > 3
        assert names <= msg.Statistics.get_fields_and_field_types().keys()


def test_the_analyzer_takes_our_statuses_in_any_namespace_and_no_others() -> None:
    path = CONFIG / 'diagnostic_aggregator.yaml'
    analyzers = yaml.safe_load(path.read_text())['analyzers']['ros__parameters']
    assert analyzers['timebill']['type'] == 'diagnostic_aggregator/GenericAnalyzer'
    (part,) = analyzers['timebill']['contains']
    for name in ('/timebill', '/robot1/timebill', '/a/b/timebill'):
        for status in ('inference', 'deadlines', 'estimate', 'link'):
            assert part in f'{name}: {status}'
    assert part not in '/timebill_planner: battery'
