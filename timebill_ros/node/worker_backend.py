"""The worker process as the dispatcher's backend: its calls as messages, and the messages back."""

from timebill_ros.core.asker_lengths import AskerLengths
from timebill_ros.core.outcome import Confidence
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.query import Query
from timebill_ros.dispatch.dispatcher import Dispatcher
from timebill_ros.worker.progress import (
    Cached,
    Finished,
    Planned,
    Progress,
    Rejected,
    Text,
    Tokenised,
)
from timebill_ros.worker.protocol import Drop, Run, Submit
from timebill_ros.worker.worker_client import WorkerClient


class WorkerBackend:
    """A dispatch.ports.Backend.

    Arguments:
        worker: takes the messages.
        dispatcher: is told what the worker says.
    """

    def __init__(self, worker: WorkerClient, dispatcher: Dispatcher) -> None:
        self._worker = worker
        self._dispatcher = dispatcher

    def submit(self, number: int, query: Query) -> None:
        """Have a query tokenised and held."""
        self._worker.send(
            Submit(
                number,
                query.prompt,
                query.system_prompt,
                query.constraint,
                query.context,
                query.history,
            )
        )

    def run(
        self,
        number: int,
        *,
        max_new_tokens: int,
        last_moment_s: float,
        stop_at_s: float,
        planner: PlannerSettings,
        lengths: AskerLengths | None,
    ) -> None:
        """Have a tokenised query answered."""
        self._worker.send(Run(number, max_new_tokens, last_moment_s, stop_at_s, planner, lengths))

    def drop(self, number: int) -> None:
        """Have a query stopped, or forgotten."""
        self._worker.send(Drop(number))

    def kill(self, detail: str) -> None:
        """End the process; it is replaced."""
        self._worker.kill(detail)

    def tell(self, progress: Progress) -> None:
        """Tell the dispatcher what the worker says of a query."""
        number, own = progress.number, self._dispatcher.own
        if isinstance(progress, Tokenised):
            own.on_tokenised(
                number,
                progress.prompt_tokens,
                progress.max_response_tokens,
                progress.cached_tokens,
            )
        elif isinstance(progress, Cached):
            own.on_cached(number, progress.cached_tokens)
        elif isinstance(progress, Planned):
            own.on_planned(number, progress.bill, progress.predicted_lengths)
        elif isinstance(progress, Text):
            own.on_text(
                number,
                progress.text,
                progress.response_tokens,
                progress.thinking_tokens,
                progress.closing,
            )
        elif isinstance(progress, Finished):
            confidence = Confidence(
                progress.choice, progress.choice_probabilities, progress.mean_token_probability
            )
            own.on_finished(number, progress.finish_reason, progress.bill, confidence)
        elif isinstance(progress, Rejected):
            own.on_rejected(number, progress.detail)
        else:
            own.on_faulted(number, progress.detail)
