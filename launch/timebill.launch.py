"""Start the node `timebill`.

From another launch file, what needs an answering node can wait for it: the node is active when its
model is loaded, so `OnStateTransition(goal_state='active', ...)` is the moment.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# Arguments that go before the params file when they are given.
OVERRIDES = {'model': str, 'device': str, 'use_sim_time': bool}


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, and the node that they describe."""
    default_params_file = PathJoinSubstitution(
        [FindPackageShare('timebill_ros'), 'config', 'timebill.yaml']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'namespace',
                default_value='',
                description="Namespace of the node: with 'robot1', queries go to "
                "/robot1/timebill/query. '': none of its own.",
            ),
            DeclareLaunchArgument(
                'params_file',
                default_value=default_params_file,
                description='YAML file with the parameters of the node.',
            ),
            DeclareLaunchArgument(
                'model',
                default_value='',
                description='The language model: a built-in name, a .gguf file, a folder in '
                "Hugging Face format, or a hub id. '': as params_file says.",
            ),
            DeclareLaunchArgument(
                'device',
                default_value='',
                description="Where the model runs: 'auto', 'cpu', 'cuda' or 'cuda:N'. "
                "'': as params_file says.",
            ),
            DeclareLaunchArgument(
                'log_level',
                default_value='info',
                description="Lowest severity that is logged: 'debug', 'info', 'warn', 'error' or "
                "'fatal'; of one logger, 'NAME:=debug'.",
            ),
            DeclareLaunchArgument(
                'use_sim_time',
                default_value='',
                description="'true': ROS time comes from /clock, 'false': from the system. "
                "'': as params_file says.",
            ),
            OpaqueFunction(function=_node),
        ]
    )


def _node(context: LaunchContext) -> list[LifecycleNode]:
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in OVERRIDES.items()
        if LaunchConfiguration(name).perform(context)
    }
    return [
        # The node makes its transitions itself (parameter autostart); this action adds that launch
        # sees them as events, and can ask for others.
        LifecycleNode(
            package='timebill_ros',
            executable='timebill_node',
            name='timebill',
            namespace=LaunchConfiguration('namespace'),
            parameters=[LaunchConfiguration('params_file'), given],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
        )
    ]
