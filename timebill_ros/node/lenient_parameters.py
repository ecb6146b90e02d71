"""What rclpy does not do with parameters: take integers and off, and log what it refuses."""

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from timebill_ros.node import parameters


class LenientParameters(Node):
    """A node that takes integers for doubles and YAML's off, and warns of what it refuses.

    Tools such as rqt_reconfigure show a refused value as though it were set. All parameter
    services call this method, and so it sees what rclpy refuses by itself too.
    """

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set all parameters or none, as rclpy does."""
        try:
            result = super().set_parameters_atomically(parameters.as_declared(parameter_list))
        except ParameterNotDeclaredException:  # its text does not always name them
            unknown = [p.name for p in parameter_list if not self.has_parameter(p.name)]
            self._warn_of_refusal(f'this node has no parameter {", ".join(unknown)}')
            raise
        if not result.successful:
            self._warn_of_refusal(result.reason)
        return result

    def _warn_of_refusal(self, reason: str) -> None:
        self.get_logger().warning(f'no parameter is changed: {reason}')
