"""The service `~/prepare`: its replies come when a context is read; the executor goes on."""

import queue
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

import timebill_ros.srv as srv
from timebill_ros.node import messages
from timebill_ros.node.settings import NodeSettings
from timebill_ros.node.supervisor import Supervisor
from timebill_ros.worker.protocol import Prepared


class PrepareService:
    """Prepares contexts for askers.

    Arguments:
        node: whose service it is.
        supervisor: returns that of the loaded model; None: there is none.
        settings: returns the node's parameters.
        why_not_serving: returns '' while queries are served, else a sentence.
    """

    def __init__(
        self,
        node: Node,
        supervisor: Callable[[], Supervisor | None],
        settings: Callable[[], NodeSettings],
        why_not_serving: Callable[[], str],
    ) -> None:
        self._node = node
        self._supervisor = supervisor
        self._settings = settings
        self._why_not_serving = why_not_serving
        # The worker's threads put; the executor's thread gets.
        self._told: queue.SimpleQueue[tuple[Any, Prepared]] = queue.SimpleQueue()
        group = ReentrantCallbackGroup()
        self._signal = node.create_guard_condition(self._on_told, callback_group=group)
        node.create_service(
            srv.PrepareContext, '~/prepare', self._on_prepare, callback_group=group
        )

    async def _on_prepare(
        self, request: srv.PrepareContext.Request, response: srv.PrepareContext.Response
    ) -> srv.PrepareContext.Response:
        told: Any = Future(executor=self._node.executor)
        refusal = self._refusal(request, told)
        prepared = Prepared(0, refusal) if refusal else await told
        response.success, response.message = not prepared.detail, prepared.detail
        response.tokens, response.seconds = prepared.tokens, prepared.seconds
        response.bytes = prepared.nbytes
        return response

    def _refusal(self, request: srv.PrepareContext.Request, told: Any) -> str:
        settings, supervisor = self._settings().queries, self._supervisor()
        if complaint := messages.complaint_about_names(asker=request.asker):
            return complaint
        for name in ('system_prompt', 'context'):
            size = len(getattr(request, name).encode('utf-8', 'surrogatepass'))
            if size > settings.max_prompt_bytes:
                return (
                    f'{name} must be at most {settings.max_prompt_bytes} bytes '
                    f'(max_prompt_bytes), got {size}'
                )
        if (reason := self._why_not_serving()) or supervisor is None:
            return reason

        def done(prepared: Prepared) -> None:
            self._told.put((told, prepared))
            self._signal.trigger()

        system_prompt = request.system_prompt
        if request.context:
            system_prompt = system_prompt or settings.system_prompt
        return supervisor.prepare(request.asker, system_prompt, request.context, done)

    def _on_told(self) -> None:
        while not self._told.empty():
            told, prepared = self._told.get()
            told.set_result(prepared)
