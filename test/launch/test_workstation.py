"""The launch file of a workstation: the server and the node, with a fake of vLLM's command."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

launch_pytest = pytest.importorskip(
    'launch_pytest', reason='launch_pytest is not installed; it comes with a ROS 2 installation'
)

from launch import LaunchDescription  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

import timebill_ros.msg as msg  # noqa: E402
from benchmark.remote.chat_server import free_port  # noqa: E402
from support.asker import Asker, wait_until  # noqa: E402
from support.ros_domain import next_domain  # noqa: E402

LAUNCH_FILE = Path(__file__).parents[2] / 'launch' / 'workstation.launch.py'
FAKE = Path(__file__).parents[1] / 'support' / 'fake_vllm.py'
_LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = dict(one.split(':=') for one in sys.argv[2:]).items()
service = LaunchService(argv=[])
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> int:
    domain = next_domain()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    return domain


@pytest.fixture
def vllm(tmp_path: Path) -> Path:
    """Return a command that runs the fake, and notes what it was called with."""
    command = tmp_path / 'vllm'
    command.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nexec {sys.executable} {FAKE} "$@"\n'
    )
    command.chmod(0o755)
    return command


@launch_pytest.fixture
def workstation(domain: int, vllm: Path) -> LaunchDescription:
    arguments = {
        'remote_model': 'big',
        'remote_policy': 'only',
        'vllm': str(vllm),
        'vllm_arguments': '--max-model-len 4096',
        'port': str(free_port()),
    }
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    return LaunchDescription(
        [IncludeLaunchDescription(source, launch_arguments=arguments.items())]
    )


@pytest.mark.launch(fixture=workstation)
def test_the_node_asks_the_server_beside_it(domain: int, tmp_path: Path) -> Iterator[None]:
    asker = Asker(domain)

    def answered() -> bool:
        reply = asker.ask(asker.query(id=f'asked {len(asker.replies)}'))
        return isinstance(reply, msg.Response) and reply.backend == 'remote'

    try:
        asker.wait_until_matched()
        wait_until(answered, 120.0, 'a remote answer')
    finally:
        asker.close()
    called = (tmp_path / 'called').read_text()
    assert called.startswith('serve big --host 127.0.0.1 --port ')
    assert '--scheduling-policy priority --max-model-len 4096' in called
    yield


@pytest.mark.parametrize(
    ('argument', 'sentence'),
    [
        ('remote_model:=', "remote_model must be given: 'remote_model:=OWNER/NAME' or a folder"),
        ('port:=0', "port must be in [1, 65535], got '0'"),
        ('port:=http', "port must be in [1, 65535], got 'http'"),
    ],
)
def test_a_bad_argument_ends_the_launch_with_a_sentence(argument: str, sentence: str) -> None:
    command = [sys.executable, '-c', _LAUNCH, str(LAUNCH_FILE), 'remote_model:=big', argument]
    launch = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    assert launch.returncode == 1
    assert sentence in launch.stdout
    assert 'process started' not in launch.stdout
    assert 'Traceback' not in launch.stdout
