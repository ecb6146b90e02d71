"""The launch file, through the real launch: bring-up, arguments, namespaces, clean exit."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

launch_pytest = pytest.importorskip(
    'launch_pytest', reason='launch_pytest is not installed; it comes with a ROS 2 installation'
)

from launch import LaunchDescription  # noqa: E402
from launch.actions import (  # noqa: E402
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit, OnProcessStart  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from launch.substitutions import PathJoinSubstitution  # noqa: E402
from launch_ros.actions import Node  # noqa: E402
from launch_ros.event_handlers import OnStateTransition  # noqa: E402
from launch_ros.substitutions import FindPackageShare  # noqa: E402

import timebill_ros.msg as msg  # noqa: E402
from support.asker import START_TIMEOUT_S, Asker, wait_until  # noqa: E402
from support.lifecycle_manager import LifecycleManager  # noqa: E402
from support.ros_domain import next_domain  # noqa: E402
from timebill_ros.client import TimeBillClient  # noqa: E402

LAUNCH_FILE = Path(__file__).parents[2] / 'launch' / 'timebill.launch.py'
_LAUNCH_WITHOUT_FILE = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = {'params_file': '/nowhere.yaml'}.items()
service = LaunchService(argv=[])
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@dataclass
class Launched:
    """What launch has seen of its processes."""

    domain: int
    pids: list[int] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    goal_states: list[str] = field(default_factory=list)

    def workers(self) -> list[psutil.Process]:
        return [child for pid in self.pids for child in psutil.Process(pid).children()]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Launched:
    domain = next_domain()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    return Launched(domain)


def description(launched: Launched, *includes: dict[str, str]) -> LaunchDescription:
    """Include the launch file once for each set of arguments, and watch what becomes of it."""
    source = PathJoinSubstitution(
        [FindPackageShare('timebill_ros'), 'launch', 'timebill.launch.py']
    )

    def note(into: list[Any], name: str) -> list[OpaqueFunction]:
        return [OpaqueFunction(function=lambda ctx: into.append(getattr(ctx.locals.event, name)))]

    return LaunchDescription(
        [
            RegisterEventHandler(OnProcessStart(on_start=note(launched.pids, 'pid'))),
            RegisterEventHandler(OnProcessExit(on_exit=note(launched.exit_codes, 'returncode'))),
            RegisterEventHandler(
                OnStateTransition(entities=note(launched.goal_states, 'goal_state'))
            ),
            *(
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(source), launch_arguments=arguments.items()
                )
                for arguments in includes
            ),
        ]
    )


@launch_pytest.fixture
def one_node(launched: Launched) -> LaunchDescription:
    return description(launched, {})


@launch_pytest.fixture
def node_and_example(launched: Launched) -> LaunchDescription:
    example = Node(package='timebill_ros', executable='behavior_tree', arguments=['--rounds', '3'])
    return LaunchDescription([*description(launched, {}).entities, example])


@launch_pytest.fixture
def two_namespaces(launched: Launched) -> LaunchDescription:
    return description(launched, {'namespace': 'robot1'}, {'namespace': 'robot2'})


@launch_pytest.fixture
def with_and_without_arguments(launched: Launched, tmp_path: Path) -> LaunchDescription:
    file = tmp_path / 'params.yaml'
    file.write_text('/**: {ros__parameters: {model: /of_file.gguf, use_sim_time: true}}')
    bare = {'namespace': 'bare', 'params_file': str(file)}
    given = {'namespace': 'given', 'model': '/given.gguf', 'use_sim_time': 'false'}
    return description(launched, bare, {**bare, **given})


@pytest.mark.launch(fixture=one_node)
def test_a_launched_node_serves_and_exits_cleanly(launched: Launched) -> Iterator[None]:
    asker = Asker(launched.domain)
    try:
        wait_until(lambda: 'active' in launched.goal_states, START_TIMEOUT_S, 'the node active')
        asker.wait_until_matched()
        answer = asker.ask(asker.query('What is the capital of France?', id='answered'))
        assert isinstance(answer, msg.Response)
        assert 'Paris' in answer.text
        miss = asker.ask(asker.query('Tell a story.', 0.5, id='missed', max_new_tokens=4000))
        assert miss.reason == msg.DeadlineMiss.KILLED
        workers = launched.workers()
        assert len(workers) == 1
    finally:
        asker.close()
    yield
    assert launched.exit_codes == [0]
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.launch(fixture=one_node)
def test_a_launched_node_withdraws_a_query(launched: Launched) -> Iterator[None]:
    asker = Asker(launched.domain)
    try:
        asker.wait_until_serving()
        client = TimeBillClient(asker.node)
        writes = threading.Event()
        future = client.ask(
            'Tell a long story.', 90.0, max_new_tokens=4000, on_chunk=lambda _: writes.set()
        )
        assert writes.wait(30.0)
        client.cancel(future)
        reply = future.wait()
        assert (reply.reason, reply.is_local) == ('CANCELLED', False)
        client.close()
    finally:
        asker.close()
    yield
    assert launched.exit_codes == [0]


@pytest.mark.launch(fixture=one_node)
def test_a_launched_node_goes_through_its_lifecycle(launched: Launched) -> Iterator[None]:
    asker = Asker(launched.domain)
    try:
        asker.wait_until_serving()
        manager = LifecycleManager(asker)
        for cycle in range(2):
            manager.cycle(f'cycle {cycle}')
        assert launched.goal_states.count('unconfigured') == 2
        assert launched.goal_states.count('active') == 1 + 2 * 2
        workers = launched.workers()
        assert len(workers) == 1
    finally:
        asker.close()
    yield
    assert launched.exit_codes == [0]
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.launch(fixture=node_and_example)
def test_an_example_is_launched_beside_the_node_and_ends(launched: Launched) -> Iterator[None]:
    wait_until(lambda: launched.exit_codes, START_TIMEOUT_S, 'the end of the example')
    assert launched.exit_codes == [0]
    yield
    assert launched.exit_codes == [0, 0]


@pytest.mark.launch(fixture=two_namespaces)
def test_two_nodes_in_two_namespaces_answer_their_own_queries(
    launched: Launched,
) -> Iterator[None]:
    askers = [Asker(launched.domain, f'/robot{number}') for number in (1, 2)]
    try:
        for asker in askers:
            asker.wait_until_serving()
        for number, asker in enumerate(askers):
            reply = asker.ask(asker.query(id=f'asked-{number}'))
            assert isinstance(reply, msg.Response)
        assert [len(asker.replies) for asker in askers] == [1, 1]
        workers = launched.workers()
        assert len(workers) == 2
    finally:
        for asker in askers:
            asker.close()
    yield
    assert launched.exit_codes == [0, 0]
    assert not any(worker.is_running() for worker in workers)


def test_a_params_file_that_does_not_exist_ends_the_launch_with_a_sentence() -> None:
    launch = subprocess.run(
        [sys.executable, '-c', _LAUNCH_WITHOUT_FILE, str(LAUNCH_FILE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert launch.returncode == 1
    assert "params_file '/nowhere.yaml' does not exist" in launch.stdout
    assert 'process started' not in launch.stdout
    assert 'Traceback' not in launch.stdout


@pytest.mark.launch(fixture=with_and_without_arguments)
def test_only_arguments_that_are_given_override_the_params_file(
    launched: Launched,
) -> Iterator[None]:
    asker = Asker(launched.domain)
    statuses: dict[str, tuple[str, bool]] = {}

    def all_failed() -> bool:
        for array in list(asker.diagnostics):
            status = array.status[0]
            if status.level == b'\x02':
                statuses[status.name] = status.message, array.header.stamp.sec > 0
        return len(statuses) == 2

    try:
        wait_until(all_failed, START_TIMEOUT_S, 'both nodes to say that there is no such model')
    finally:
        asker.close()
    message, has_time = statuses['/bare/timebill: inference']
    assert '/of_file.gguf' in message
    assert not has_time  # by use_sim_time, and there is no /clock
    message, has_time = statuses['/given/timebill: inference']
    assert '/given.gguf' in message
    assert has_time
    yield
    assert launched.exit_codes == [0, 0]
