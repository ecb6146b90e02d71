"""Start vLLM on a workstation, and the node `timebill` beside it, which asks it.

The node serves queries as soon as its own model is loaded. The server may need minutes: until it
answers, the node's own model does. If the server ends, it is started again.

The arguments of timebill.launch.py can be given, too. Robots use the same server: see
docs/remote.md.
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

# Launch arguments: the default, and what each is.
ARGUMENTS = {
    'remote_model': ('', 'The model of the server: a hub id or a folder. It must be given.'),
    'remote_policy': ('prefer', "Which engine answers: 'prefer', 'race' or 'only'."),
    'vllm': ('vllm', 'The command of vLLM, for example /opt/vllm/bin/vllm.'),
    'vllm_arguments': ('', "Further arguments of vllm serve: '--tensor-parallel-size 2'."),
    'host': (
        '127.0.0.1',
        'Address that the server listens at. Robots need another one than 127.0.0.1; then give '
        'VLLM_API_KEY, and a certificate in vllm_arguments.',
    ),
    'port': ('8000', 'Port that the server listens at.'),
}
_RESTART_DELAY_S = 5.0


def generate_launch_description() -> LaunchDescription:
    """Return the launch arguments, the server and the node."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=_server_and_node),
        ]
    )


def _server_and_node(context: LaunchContext) -> list[Action]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if not given['remote_model'].strip():
        raise ValueError("remote_model must be given: 'remote_model:=OWNER/NAME' or a folder")
    if not (given['port'].isdecimal() and 0 < int(given['port']) < 65536):
        raise ValueError(f'port must be in [1, 65535], got {given["port"]!r}')
    server = ExecuteProcess(
        cmd=[
            given['vllm'],
            'serve',
            given['remote_model'],
            *('--host', given['host'], '--port', given['port']),
            # The earliest deadline first, among all robots.
            *('--scheduling-policy', 'priority'),
            *given['vllm_arguments'].split(),
        ],
        name='vllm',
        output='screen',
        respawn=True,
        respawn_delay=_RESTART_DELAY_S,
    )
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution(
                [FindPackageShare('timebill_ros'), 'launch', 'timebill.launch.py']
            )
        ),
        launch_arguments={
            'remote_policy': given['remote_policy'],
            'remote_url': f'http://127.0.0.1:{given["port"]}/v1',
            'remote_model': given['remote_model'],
        }.items(),
    )
    return [server, node]
