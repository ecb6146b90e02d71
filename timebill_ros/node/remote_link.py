"""The remote engine of a node: its process runs while the node's policy is not 'off'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timebill_ros.core.bill import Bill
from timebill_ros.core.link_model import LinkReport, LinkState
from timebill_ros.core.outcome import Confidence
from timebill_ros.core.remote_settings import RemoteSettings
from timebill_ros.dispatch.dispatcher import Dispatcher
from timebill_ros.node.logger import Logger
from timebill_ros.node.worker_log import WorkerLog
from timebill_ros.worker.log_line import LogLine

if TYPE_CHECKING:
    from timebill_ros.remote.protocol import FromRemote
    from timebill_ros.remote.remote_client import RemoteClient


class RemoteLink:
    """Starts and ends the remote process, and tells the dispatcher what it says.

    Arguments:
        dispatcher: has the engine exactly while the process is kept alive.
        logger: takes the process's log, and what becomes of the link.
    """

    def __init__(self, dispatcher: Dispatcher, logger: Logger) -> None:
        self._dispatcher = dispatcher
        self._logger = logger
        self._log = WorkerLog(logger, 'remote process')
        self._client: RemoteClient | None = None
        self._was = LinkState.OK

    def change_settings(self, settings: RemoteSettings) -> None:
        """Start the process, or end it, as the policy says."""
        if settings.remote_policy == 'off':
            self.close()
        elif self._client is None:
            # Nobody else pays for it.
            from timebill_ros.remote.remote_client import RemoteClient

            self._client = RemoteClient(settings, self)
            self._client.start()
            self._dispatcher.remote.use(self._client, settings.remote_requests_per_hour)
            self._logger.info(f'remote engine: {settings.remote_model!r} at {settings.origin}')

    def close(self) -> None:
        """End the process; what it was asked comes back to the own model, or ends."""
        client, self._client = self._client, None
        if client is not None:
            self._dispatcher.remote.use(None)
            client.stop()

    def watch(self) -> LinkReport | None:
        """Return how the link does, None if it is off; log a change."""
        if self._client is None:
            return None
        report = self._dispatcher.remote.link
        state = report.state
        if (state is LinkState.DOWN) != (self._was is LinkState.DOWN):
            if state is LinkState.DOWN:
                self._logger.warning(f'the link to the remote engine is down: {report.fault}')
            else:
                self._logger.info('the link to the remote engine is up again')
        self._was = state
        return report

    # What the process says, from its threads

    def on_remote(self, message: FromRemote) -> None:
        """Tell the dispatcher what becomes of a query."""
        from timebill_ros.remote.protocol import Done, Piece

        remote = self._dispatcher.remote
        if isinstance(message, Piece):
            remote.on_text(message.number, message.text, message.response_tokens)
        elif isinstance(message, Done):
            bill = Bill(
                prompt_tokens=message.prompt_tokens, response_tokens=message.response_tokens
            )
            confidence = Confidence(message.choice)
            remote.on_finished(message.number, message.finish_reason, bill, confidence)
        else:
            remote.on_faulted(message.number, message.detail, message.is_link)

    def on_remote_log(self, line: LogLine) -> None:
        """Pass on a line of its log."""
        self._log.add(line)
