"""What the node's log says of a model that is being loaded."""

from timebill_ros.node.logger import Logger
from timebill_ros.worker.protocol import Phase, Ready


class LoadingLog:
    """Says once that the machine is measured, and what was loaded.

    Arguments:
        logger: the node's.
        profile_time_s: how long it is measured [s].
    """

    def __init__(self, logger: Logger, profile_time_s: float) -> None:
        self._logger = logger
        self._profile_time_s = profile_time_s
        self._is_measuring = False

    def phase(self, phase: Phase) -> None:
        """Take what the worker is doing."""
        was_measuring, self._is_measuring = self._is_measuring, phase.doing == 'measuring'
        if self._is_measuring and not was_measuring:
            self._logger.info(
                'measuring the time model, once for this model on this machine: this takes about '
                f'{self._profile_time_s:.0f} s'
            )

    def ready(self, ready: Ready) -> None:
        """Take what was loaded."""
        self._logger.info(
            f'ready: {ready.model!r} on {ready.device} in {ready.dtype}, threads {ready.threads}, '
            f'quantization {ready.quantization}, step {ready.step}, length predictor '
            f'{ready.length_predictor!r}, context of {ready.context_length} tokens'
        )
