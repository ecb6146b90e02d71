"""Start the node `timebill`.

The node becomes active when its model is loaded. Another launch file can wait for this with
`OnStateTransition(goal_state='active', ...)`, and then start the nodes that ask questions.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# Arguments that replace the value of the params file, if they are given.
OVERRIDES = {
    'model': str,
    'device': str,
    'use_sim_time': bool,
    'remote_policy': str,
    'remote_url': str,
    'remote_model': str,
}


def generate_launch_description() -> LaunchDescription:
    """Return the launch arguments, and the node."""
    default_params_file = PathJoinSubstitution(
        [FindPackageShare('timebill_ros'), 'config', 'timebill.yaml']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'namespace',
                default_value='',
                description="Namespace of the node. With 'robot1', the topic of queries is "
                "/robot1/timebill/query. '': no namespace.",
            ),
            DeclareLaunchArgument(
                'params_file',
                default_value=default_params_file,
                description='YAML file with the values of the node parameters.',
            ),
            DeclareLaunchArgument(
                'model',
                default_value='',
                description="The language model: 'smollm2-135m-instruct' (built in), a .gguf "
                "file, a folder in Hugging Face format, or a hub id 'owner/name'. '': the value "
                'in params_file.',
            ),
            DeclareLaunchArgument(
                'device',
                default_value='',
                description="Where the model runs: 'auto', 'cpu', 'cuda' or 'cuda:N'. "
                "'': the value in params_file.",
            ),
            DeclareLaunchArgument(
                'log_level',
                default_value='info',
                description="The lowest severity that the node logs: 'debug', 'info', 'warn', "
                "'error' or 'fatal'. For one logger only: 'NAME:=debug'.",
            ),
            DeclareLaunchArgument(
                'use_sim_time',
                default_value='',
                description="'true': ROS time comes from /clock. 'false': it comes from the "
                "system. '': the value in params_file.",
            ),
            *(
                DeclareLaunchArgument(
                    name,
                    default_value='',
                    description=f"The node parameter {name}. '': the value in params_file.",
                )
                for name in ('remote_policy', 'remote_url', 'remote_model')
            ),
            OpaqueFunction(function=_node),
        ]
    )


def _node(context: LaunchContext) -> list[LifecycleNode]:
    params_file = LaunchConfiguration('params_file').perform(context)
    if not Path(params_file).is_file():
        # Launch tells this sentence and ends; the node alone would end with rcl's, or without the
        # parameters.
        raise FileNotFoundError(f'params_file {params_file!r} does not exist')
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in OVERRIDES.items()
        if LaunchConfiguration(name).perform(context)
    }
    return [
        # The node makes its own transitions (parameter autostart). With this action, launch sees
        # them as events, and can request others.
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
