"""Drives the node through its lifecycle, as a lifecycle manager does: by its services."""

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState

import timebill_ros.msg as msg
from support.asker import START_TIMEOUT_S, Asker, wait_until


class LifecycleManager:
    """Makes transitions of the node that an asker asks."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._change = asker.node.create_client(ChangeState, f'{asker.peer}/change_state')
        self._get = asker.node.create_client(GetState, f'{asker.peer}/get_state')

    @property
    def state(self) -> str:
        assert self._get.wait_for_service(20.0)
        future = self._get.call_async(GetState.Request())
        wait_until(future.done, 20.0, 'the state')
        return future.result().current_state.label

    def make(self, transition: str) -> None:
        """Make a transition, 'configure' to 'cleanup'; fail if the node refuses."""
        assert self._change.wait_for_service(20.0)
        number = getattr(Transition, f'TRANSITION_{transition.upper()}')
        request = ChangeState.Request(transition=Transition(id=number))
        future = self._change.call_async(request)
        wait_until(future.done, START_TIMEOUT_S, transition)
        assert future.result().success, transition

    def cycle(self, name: str) -> None:
        """From active down to unconfigured and back, asking at each stop."""
        asker = self._asker

        def ask(stop: str) -> msg.Response | msg.DeadlineMiss:
            return asker.ask(asker.query(id=f'{name} {stop}'))

        self.make('deactivate')
        assert ask('inactive').reason == msg.DeadlineMiss.NOT_READY
        self.make('activate')
        assert isinstance(ask('active again'), msg.Response)
        self.make('deactivate')
        self.make('cleanup')
        assert self.state == 'unconfigured'
        assert ask('unconfigured').reason == msg.DeadlineMiss.NOT_READY
        self.make('configure')
        assert self.state == 'inactive'  # the parameter autostart acts once, at the start
        self.make('activate')
        assert isinstance(ask('configured again'), msg.Response)
