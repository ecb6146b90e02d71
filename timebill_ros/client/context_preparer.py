"""Has the node read what queries are going to begin with."""

from rclpy.task import Future

from timebill_ros.client.connection import Connection
from timebill_ros.client.question_check import check_unicode
from timebill_ros.srv import PrepareContext


class ContextPreparer:
    """A part of TimeBillClient."""

    _asker: str
    _connection: Connection

    def prepare(self, *, system_prompt: str = '', context: str = '') -> Future:
        """Have the node read a context now, and hold it for your queries; return at once.

        The node reads it while it serves no query. It holds one context for each asker: the next
        call replaces it, and a call without arguments drops it.

        Arguments:
            system_prompt: that of the queries; '': the node's parameter.
            context: that of the queries.

        Returns:
            the future of a PrepareContext.Response: success, message, tokens, seconds and bytes.
            It resolves when the context is read, or at once if no node is there.

        Raises:
            ValueError: an argument is no Unicode text.
        """
        check_unicode('system_prompt', system_prompt)
        check_unicode('context', context)
        request = PrepareContext.Request(
            asker=self._asker, system_prompt=system_prompt, context=context
        )
        future = self._connection.prepare(request)
        if future is None:
            future = Future()
            detail = 'not sent: no node was there to prepare a context'
            future.set_result(PrepareContext.Response(message=detail))
        return future
