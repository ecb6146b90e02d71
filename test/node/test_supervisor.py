"""Whether queries are served, as the worker comes and goes and the node changes its state."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from lifecycle_msgs.msg import State
from msgspec import structs
from rclpy.context import Context
from rclpy.parameter import Parameter

import timebill_ros.msg as msg
from support.fake_desk import Desk
from support.fake_logger import FakeLogger
from support.fake_worker_client import FakeWorkerClient
from support.ros_domain import next_domain
from timebill_ros.core.outcome import Miss, MissReason
from timebill_ros.core.time_model import TimeModel
from timebill_ros.dispatch.answer_length import AnswerLength
from timebill_ros.dispatch.habit import Habit
from timebill_ros.node import supervisor as room
from timebill_ros.node.settings import NodeSettings
from timebill_ros.node.supervisor import Supervisor
from timebill_ros.node.timebill_node import TimebillNode
from timebill_ros.worker.protocol import (
    Estimate,
    Phase,
    Prepare,
    Prepared,
    Ready,
    Recalibrate,
)
from timebill_ros.worker.worker_client import WorkerState

READY = Ready('model', 'cpu', 'float32', 100, 16, 'none', 'transformers', 'none')
END = Miss(MissReason.CANCELLED, 'end')


class Watched:
    """A supervisor with a fake worker, before a dispatcher with fakes."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.desk.dispatcher.close(END)
        self.readies = 0
        self.logger = FakeLogger()
        self.supervisor = Supervisor(
            NodeSettings(), self.desk.dispatcher, self.logger, self._on_loaded, lambda _: None
        )
        (self.worker,) = FakeWorkerClient.made

    def _on_loaded(self) -> None:
        self.readies += 1

    def answer_to(self, query_id: str) -> MissReason | None:
        """Return why a new query is refused, None if it is not."""
        self.desk.submit(query_id)
        ended = self.desk.replies.ended()
        self.desk.dispatcher.cancel('a', query_id, 'asked')
        return ended.get(query_id)


@pytest.fixture(autouse=True)
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeWorkerClient.made = []
    monkeypatch.setattr(room, 'WorkerClient', FakeWorkerClient)


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.desk.dispatcher.shut_down()


def test_a_context_is_prepared_and_again_by_the_worker_that_replaces_another() -> None:
    watched = Watched()
    supervisor, worker = watched.supervisor, watched.worker
    told: list[Prepared] = []
    assert 'loaded' in supervisor.prepare('a', '', 'A map.', told.append)
    supervisor.on_worker_ready(READY)
    assert supervisor.prepare('a', '', 'A map.', told.append) == ''
    assert supervisor.prepare('b', '', 'A log.', told.append) == ''
    assert worker.sent == [
        Prepare(0, 'asker a', '', 'A map.'),
        Prepare(1, 'asker b', '', 'A log.'),
    ]
    supervisor.on_worker_prepared(Prepared(0, '', 4))
    assert told == [Prepared(0, '', 4)]
    worker.sent.clear()
    supervisor.on_worker_lost('killed')
    assert told[1:] == [Prepared(1, 'the worker process ended: killed')]
    supervisor.on_worker_ready(READY)
    assert worker.sent == [Prepare(2, 'asker a', '', 'A map.')]
    # What is dropped, or cannot be held, is not prepared again.
    supervisor.on_worker_prepared(Prepared(2, ''))
    supervisor.prepare('a', '', '', told.append)
    supervisor.on_worker_prepared(Prepared(3, ''))
    worker.sent.clear()
    supervisor.on_worker_lost('killed')
    supervisor.on_worker_ready(READY)
    assert worker.sent == []


def test_the_system_prompt_is_prepared_at_the_start_and_when_it_changes() -> None:
    watched = Watched()
    supervisor, worker = watched.supervisor, watched.worker
    settings = NodeSettings()
    brief = settings.with_values({'system_prompt': 'Be brief.'})
    supervisor.change_settings(brief)
    assert worker.sent == []
    supervisor.on_worker_ready(READY)
    supervisor.on_worker_prepared(Prepared(0, ''))
    supervisor.change_settings(brief.with_values({'max_new_tokens': 7}))
    supervisor.change_settings(settings)
    assert worker.sent == [
        Prepare(0, 'parameter system_prompt', 'Be brief.', ''),
        Prepare(1, 'parameter system_prompt', '', ''),
    ]


def test_learned_lengths_are_read_when_the_model_is_there_and_written_at_the_end(
    tmp_path: Path,
) -> None:
    path, habit = tmp_path / 'lengths.json', Habit('a')
    ready = structs.replace(READY, lengths_file=str(path))
    watched = Watched()
    watched.supervisor.on_worker_ready(ready)
    watched.desk.dispatcher.lengths.observe(habit, AnswerLength(20, True), 1024, ())
    known = watched.desk.dispatcher.lengths.of(habit)
    watched.supervisor.on_worker_lost('killed')
    watched.supervisor.on_worker_ready(ready)
    assert watched.desk.dispatcher.lengths.of(habit) == known
    watched.supervisor.close(END)
    assert path.exists()
    FakeWorkerClient.made = []
    again = Watched()
    assert again.desk.dispatcher.lengths.of(habit) is None
    again.supervisor.on_worker_ready(ready)
    assert again.desk.dispatcher.lengths.of(habit) is not None
    again.supervisor.close(END)


def test_no_more_than_64_askers_prepare() -> None:
    supervisor = Watched().supervisor
    supervisor.on_worker_ready(READY)
    refusals = [supervisor.prepare(str(n), '', 'A map.', lambda _: None) for n in range(65)]
    assert refusals[:64] == [''] * 64
    assert refusals[64] == '64 other askers have prepared a context, which is the most'
    assert supervisor.prepare('3', '', 'A log.', lambda _: None) == ''


def test_queries_are_served_while_the_worker_is_ready(watched: Watched) -> None:
    assert watched.answer_to('before') is MissReason.NOT_READY
    watched.supervisor.on_worker_ready(READY)
    assert watched.readies == 1
    assert watched.answer_to('ready') is None
    watched.supervisor.on_worker_lost('SIGKILL')
    assert watched.answer_to('lost') is MissReason.NOT_READY
    watched.supervisor.on_worker_ready(READY)
    assert watched.answer_to('again') is None


def test_from_the_end_of_its_connection_no_query_is_taken_and_its_own_end_with_the_reason(
    watched: Watched,
) -> None:
    watched.supervisor.on_worker_ready(READY)
    watched.desk.submit('held')
    watched.supervisor.on_worker_leaving()
    assert watched.answer_to('early') is MissReason.NOT_READY
    assert 'held' not in watched.desk.replies.ended()
    watched.supervisor.on_worker_lost('SIGKILL')
    assert watched.desk.outcome('held').reason is MissReason.ENGINE_FAULT
    assert 'SIGKILL' in watched.desk.outcome('held').detail


def test_a_worker_that_dies_right_after_ready_leaves_nothing_open(watched: Watched) -> None:
    """Whatever the node does at the same time: it is told of READY only after the fact."""
    for _ in range(200):
        node = threading.Thread(
            target=lambda: (watched.desk.dispatcher.pause(END), watched.desk.dispatcher.resume())
        )
        node.start()
        watched.supervisor.on_worker_ready(READY)
        watched.supervisor.on_worker_lost('SIGKILL')
        node.join()
        assert not watched.desk.dispatcher._slot.is_open


def test_after_the_end_nothing_that_the_worker_says_has_effect(watched: Watched) -> None:
    watched.supervisor.close(END)
    assert watched.worker.is_stopped
    watched.supervisor.on_worker_ready(READY)
    watched.supervisor.on_worker_estimate(Estimate(TimeModel(0.0, 1.0, 0.0, 0.0, 1.0)))
    watched.supervisor.on_worker_lost('stopped')
    assert watched.readies == 0
    assert watched.answer_to('q') is MissReason.NOT_READY


def test_the_end_ends_queries_with_its_outcome(watched: Watched) -> None:
    watched.supervisor.on_worker_ready(READY)
    watched.desk.submit('q')
    watched.supervisor.close(END)
    assert watched.desk.outcome('q') == END


def test_nothing_is_served_while_the_time_model_is_measured(watched: Watched) -> None:
    supervisor = watched.supervisor
    assert 'being loaded' in supervisor.recalibrate()
    supervisor.on_worker_ready(READY)
    watched.desk.submit('q')
    assert 'queries are being served' in supervisor.recalibrate()
    watched.desk.dispatcher.cancel('a', 'q', 'asked')

    assert supervisor.recalibrate() == ''
    assert watched.worker.sent[-1] == Recalibrate()
    assert 'measured again' in supervisor.recalibrate()
    assert watched.answer_to('meanwhile') is MissReason.NOT_READY
    supervisor.on_worker_estimate(Estimate(None))
    assert watched.answer_to('afterwards') is None


def test_a_worker_lost_while_it_measures_serves_when_it_is_ready_again(watched: Watched) -> None:
    watched.supervisor.on_worker_ready(READY)
    assert watched.supervisor.recalibrate() == ''
    watched.supervisor.on_worker_lost('SIGKILL')
    watched.supervisor.on_worker_ready(READY)
    assert watched.answer_to('q') is None


def test_measuring_is_told_once_with_how_long_it_takes(watched: Watched) -> None:
    supervisor = watched.supervisor
    supervisor.on_worker_phase(Phase('loading'))
    assert watched.logger.lines == []
    supervisor.on_worker_phase(Phase('measuring'))
    supervisor.on_worker_phase(Phase('measuring', 0.5))
    (line,) = watched.logger.at('info')
    assert 'measuring the time model' in line and 'about 60 s' in line


def test_progress_is_told_while_something_takes_long(watched: Watched) -> None:
    assert watched.supervisor.progress == 'the model is being loaded'
    watched.worker.state = WorkerState.READY
    watched.supervisor.on_worker_ready(READY)
    assert watched.supervisor.progress == ''
    assert watched.supervisor.recalibrate() == ''
    assert watched.supervisor.progress == 'the time model is being measured again'


def test_the_ready_line_says_how_many_threads_compute(watched: Watched) -> None:
    watched.supervisor.on_worker_ready(structs.replace(READY, threads=3))
    assert 'in float32, threads 3,' in watched.logger.at('info')[0]


@pytest.fixture
def node() -> Iterator[Any]:
    """A node that makes no transition by itself, without a process behind it."""
    context = Context()
    rclpy.init(context=context, domain_id=next_domain())
    node = TimebillNode(context=context, parameter_overrides=[Parameter('autostart', value=False)])
    yield node
    node.close()
    node.destroy_node()
    rclpy.shutdown(context=context)


def configure(node: Any) -> FakeWorkerClient:
    """Configure the node, as though its model were there at once; return its worker."""
    node.configure()
    worker = FakeWorkerClient.made[-1]
    worker.listener.on_worker_ready(READY)
    node._on_loaded()  # what the executor calls
    return worker


def state_of(node: Any) -> int:
    return int(node._state_machine.current_state[0])


def test_a_transition_that_fails_ends_the_worker_and_the_node_can_be_configured_again(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError('as it happens')

    first = configure(node)
    assert state_of(node) == State.PRIMARY_STATE_INACTIVE
    with monkeypatch.context() as patched:
        patched.setattr(node._dispatcher, 'resume', fail)
        node.trigger_activate()
    assert state_of(node) == State.PRIMARY_STATE_UNCONFIGURED
    assert first.is_stopped

    assert node.set_parameters([Parameter('model', value='owner/another')])[0].successful
    second = configure(node)
    node.trigger_activate()
    assert state_of(node) == State.PRIMARY_STATE_ACTIVE
    assert second.load.settings.model == 'owner/another'
    assert node._why_not_serving() == ''
    first.listener.on_worker_lost('stopped')  # its thread had this to say still
    assert node._why_not_serving() == ''


def test_a_model_that_does_not_exist_fails_configure_before_a_worker_is_started(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = FakeLogger()
    monkeypatch.setattr(node, 'get_logger', lambda: logger)
    node.set_parameters([Parameter('model', value='/nowhere/model.gguf')])
    assert node.configure().result() is False
    assert FakeWorkerClient.made == []
    assert state_of(node) == State.PRIMARY_STATE_UNCONFIGURED
    (sentence,) = logger.at('error')
    assert sentence.startswith("model '/nowhere/model.gguf' does not exist: it must be")
    assert node._why_not_serving() == sentence
    assert node._worker_state is WorkerState.FAILED
    node.set_parameters([Parameter('model', value='owner/name')])
    configure(node)
    assert state_of(node) == State.PRIMARY_STATE_INACTIVE


def test_no_class_of_the_node_takes_a_private_name_of_another() -> None:
    owners: dict[str, list[type]] = {}
    for cls in TimebillNode.__mro__:
        for name in vars(cls):
            if name.startswith('_') and not name.startswith(('__', '_abc')):
                owners.setdefault(name, []).append(cls)
    taken = {name: classes for name, classes in owners.items() if len(classes) > 1}
    assert not [name for name, (first, *_) in taken.items() if 'timebill' in first.__module__]


def test_parameters_set_atomically_change_all_or_nothing(node: Any) -> None:
    good = Parameter('pessimistic_factor', value=2.0)
    for bad in (
        Parameter('max_eviction_ratio', value=1.5),
        Parameter('queue_order', value='lifo'),
        Parameter('default_time_budget', value=700.0),  # above max_time_budget
        Parameter('autostart', value=True),
        Parameter('chunk_rate', value='fast'),
    ):
        assert not node.set_parameters_atomically([good, bad]).successful, bad.name
        assert not node.set_parameters_atomically([bad, good]).successful, bad.name
        assert node.get_parameter('pessimistic_factor').value == 5.0
        assert node._settings.planning.pessimistic_factor == 5.0
    assert node.set_parameters_atomically([good]).successful
    assert node._settings.planning.pessimistic_factor == node.get_parameter(good.name).value == 2.0


def test_planning_parameters_apply_at_the_next_query(node: Any) -> None:
    configure(node)
    node.trigger_activate()
    node.set_parameters(
        [
            Parameter('pessimistic_factor', value=2.0),
            Parameter('max_eviction_ratio', value=0.5),
            Parameter('eviction_policy', value='off'),
            Parameter('queue_order', value='edf'),
            Parameter('publish_reserve', value=0.5),
        ]
    )
    planner, settings = node._dispatcher._turns.planner.settings, node._dispatcher._settings
    assert (planner.pessimistic_factor, planner.max_eviction_ratio) == (2.0, 0.5)
    assert (planner.eviction_policy, planner.min_kept_tokens) == ('off', 16)
    assert (settings.queue_order, settings.publish_reserve_s) == ('edf', 0.5)


def test_the_node_logs_what_takes_long_and_what_is_missed(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = FakeLogger()
    monkeypatch.setattr(node._replies._log, '_logger', logger)
    node._intake._on_query(msg.Query(asker='arm', id='early', prompt='?'))
    assert "'early' of asker 'arm': missed (NOT_READY" in logger.at('warning')[0]
    monkeypatch.setattr(node, 'get_logger', lambda: logger)
    node._log_progress()
    assert logger.at('info') == []
    node.configure()
    node._log_progress()
    assert logger.at('info')[-1] == 'the model is being loaded'


def test_an_integer_is_taken_for_a_double_by_the_node(node: Any) -> None:
    assert node.set_parameters_atomically([Parameter('chunk_rate', value=5)]).successful
    assert node._settings.serving.chunk_rate == 5.0
