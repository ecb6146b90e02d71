"""The services of the node that an asker's node can call: lifecycle, parameters, cancel."""

from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter

from support.asker import START_TIMEOUT_S, Asker, wait_until
from timebill_ros.srv import CancelQuery

CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
CLEANUP = Transition.TRANSITION_CLEANUP
SHUTDOWN = Transition.TRANSITION_UNCONFIGURED_SHUTDOWN


class NodeServices:
    """Calls the services of the node that an asker asks, from the test's thread."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._clients: dict[str, Any] = {}

    def change_state(self, *transitions: int) -> None:
        """Make transitions, one after the other; each must succeed."""
        for transition in transitions:
            assert self.is_changed(transition), transition

    def is_changed(self, transition: int, label: str = '') -> bool:
        """Ask for a transition; return whether it was made."""
        request = ChangeState.Request(transition=Transition(id=transition, label=label))
        timeout_s = START_TIMEOUT_S if transition == CONFIGURE else 5.0
        return bool(self._call(ChangeState, 'change_state', request, timeout_s).success)

    def begin(self, transition: int) -> Any:
        """Ask for a transition, and do not wait; return the future of the answer."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self._client(ChangeState, 'change_state').call_async(request)

    def state(self) -> str:
        return str(self._call(GetState, 'get_state', GetState.Request()).current_state.label)

    def set(self, **values: Any) -> SetParametersResult:
        """Set parameters, all at once."""
        parameters = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        return self._call(SetParametersAtomically, 'set_parameters_atomically', request).result

    def cancel(self, asker: str, query_id: str) -> CancelQuery.Response:
        return self._call(CancelQuery, 'cancel', CancelQuery.Request(asker=asker, id=query_id))

    def _call(self, service_type: Any, name: str, request: Any, timeout_s: float = 5.0) -> Any:
        future = self._client(service_type, name).call_async(request)
        wait_until(future.done, timeout_s, f'the answer of {name}')
        return future.result()

    def _client(self, service_type: Any, name: str) -> Any:
        if name not in self._clients:
            client = self._asker.node.create_client(service_type, f'{self._asker.peer}/{name}')
            assert client.wait_for_service(20.0), name
            self._clients[name] = client
        return self._clients[name]
