"""A lifecycle node whose configure takes long, while its executor goes on."""

from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.task import Future

_NUMBERS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'cleanup': Transition.TRANSITION_CLEANUP,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
}
_SHUTDOWNS = (
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    Transition.TRANSITION_INACTIVE_SHUTDOWN,
    Transition.TRANSITION_ACTIVE_SHUTDOWN,
)
_FROM = {
    'cleanup': ('inactive',),
    'activate': ('inactive',),
    'deactivate': ('active',),
    'shutdown': ('unconfigured', 'inactive', 'active'),
}


class LoadingLifecycleNode(LifecycleNode):
    """Stays *configuring* until end_configuring(), and answers the service only then.

    rclpy's handler of `change_state` is synchronous: the executor would stand still. This one is a
    coroutine in a callback group of its own. Meanwhile timers, parameters and other services go
    on. A cleanup or shutdown ends a configure that is under way.

    Call all methods in the executor's thread.

    Arguments:
        name: of the node.
        rclpy_arguments: passed on to rclpy's node.
    """

    def __init__(self, name: str, **rclpy_arguments: Any) -> None:
        super().__init__(name, **rclpy_arguments)
        self._configured: Any = None  # a Future while the node is configuring
        group, service = ReentrantCallbackGroup(), self._service_change_state
        service.callback, service.callback_group = self._on_change_state, group
        group.add_entity(service)

    def begin_configuring(self) -> None:
        """Start what takes long, and return at once."""
        raise NotImplementedError

    def abandon_configuring(self) -> None:
        """End what begin_configuring() has started."""
        raise NotImplementedError

    @property
    def state_label(self) -> str:
        """The lifecycle state: 'unconfigured', 'configuring', 'inactive' and so on."""
        return str(self._state_machine.current_state[1])

    def configure(self) -> Any:
        """Begin to configure. Return a Future that tells whether it has succeeded."""
        configured: Any = Future(executor=self.executor)
        if self.state_label != 'unconfigured':
            self._warn_of_transition('configure')
            configured.set_result(False)
            return configured
        self._state_machine.trigger_transition_by_id(Transition.TRANSITION_CONFIGURE, True)
        self._configured = configured
        self.begin_configuring()
        return configured

    def trigger_configure(self) -> TransitionCallbackReturn:
        """Begin to configure, for who knows rclpy's own method; it does not wait either."""
        before = self.state_label
        self.configure()
        is_begun = before == 'unconfigured'
        return TransitionCallbackReturn.SUCCESS if is_begun else TransitionCallbackReturn.ERROR

    def end_configuring(self, has_succeeded: bool) -> None:
        """Go on to inactive, or back to unconfigured; do nothing if the node is not configuring.

        Arguments:
            has_succeeded: becomes the answer to who has asked for the transition.
        """
        configured, self._configured = self._configured, None
        if configured is None:
            return
        callback_return = TransitionCallbackReturn
        result = callback_return.SUCCESS if has_succeeded else callback_return.FAILURE
        self._state_machine.trigger_transition_by_label(result.to_label(), True)
        self._log_state('configure')
        configured.set_result(has_succeeded)

    def change_state(self, transition: str) -> bool:
        """Make a transition that takes no time; return whether it was made.

        Arguments:
            transition: 'cleanup', 'activate', 'deactivate' or 'shutdown'.
        """
        if self._configured is not None and transition in ('cleanup', 'shutdown'):
            self.abandon_configuring()
            self.end_configuring(False)
            if transition == 'cleanup':
                return True
        if self.state_label not in _FROM[transition]:
            self._warn_of_transition(transition)
            return False
        result = getattr(self, f'trigger_{transition}')()
        self._log_state(transition)
        return bool(result == TransitionCallbackReturn.SUCCESS)

    async def _on_change_state(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        transition = _asked_for(request.transition)
        if transition == 'configure':
            response.success = bool(await self.configure())
        elif transition:
            response.success = self.change_state(transition)
        else:
            self._warn_of_transition(request.transition.label or str(request.transition.id))
            response.success = False
        return response

    def _warn_of_transition(self, transition: str) -> None:
        self.get_logger().warning(
            f'there is no transition {transition} from the state {self.state_label}'
        )

    def _log_state(self, transition: str) -> None:
        self.get_logger().info(f'{transition}: the node is {self.state_label}')


def _asked_for(transition: Transition) -> str:
    """Return the name of the transition that is asked for; '' if there is none such."""
    if transition.label:
        return transition.label if transition.label in (*_NUMBERS, 'shutdown') else ''
    if transition.id in _SHUTDOWNS:
        return 'shutdown'
    return next((name for name, number in _NUMBERS.items() if number == transition.id), '')
