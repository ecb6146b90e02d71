"""The service ~/cancel."""

from rclpy.node import Node

import timebill_ros.srv as srv
from timebill_ros.dispatch.dispatcher import Dispatcher


class CancelService:
    """Ends queries on request.

    Arguments:
        node: whose service it is.
        dispatcher: has the queries.
    """

    def __init__(self, node: Node, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        node.create_service(srv.CancelQuery, '~/cancel', self._on_cancel)

    def _on_cancel(
        self, request: srv.CancelQuery.Request, response: srv.CancelQuery.Response
    ) -> srv.CancelQuery.Response:
        count = self._dispatcher.cancel(request.asker, request.id, 'cancelled on request')
        what = f'query {request.id!r}' if request.id else 'query'
        response.success = count > 0
        response.message = (
            f'{count} cancelled'
            if response.success
            else f'no {what} of asker {request.asker!r} waits or runs'
        )
        return response
