"""Inside the worker: reads a context that queries are going to begin with, in idle time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from timebill_ros.core.abort_flag import AbortFlag
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.cache_memory import token_bytes
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt, InterruptedGenerationError
from timebill_ros.inference.length.length_predictor import LengthPredictor
from timebill_ros.worker.preparation import Preparation
from timebill_ros.worker.protocol import Prepared

CHUNK_TOKENS = 256
"""Read together: a query that comes has to wait for one layer of it, and little is lost."""
ROOM_TOKENS = 512
"""Memory beside the context, so that the first query takes it over without a copy."""
_MEGABYTE = 1e6


@dataclass
class Preparing:
    """Prepares contexts on the thread that owns the model.

    Arguments:
        engine: its prefixes hold what is prepared.
        predictor: sums the states that it will need.
        beginning_ids: makes the ids that all prompts with a system prompt and a context share.
    """

    engine: Engine
    predictor: LengthPredictor
    beginning_ids: Callable[[str, str], list[int]]
    _token_bytes: int = field(default=0, init=False)

    def prepare(self, preparation: Preparation) -> Prepared | None:
        """Read a context; return what has become of it. None: it was interrupted, to go on."""
        message, prefixes = preparation.message, self.engine.prefixes
        if not (message.system_prompt or message.context):
            prefixes.unpin(message.holder)
            return Prepared(message.number, '')
        start_s = time.monotonic()
        ids = self.beginning_ids(message.system_prompt, message.context)
        if why_not := self._why_not(message.holder, ids):
            return Prepared(message.number, why_not)
        is_whole = prefixes.hold(message.holder, ids) == len(ids)
        if not is_whole:
            is_whole = self._read(ids, preparation.abort)
            prefixes.hold(message.holder, ids)
        preparation.spent_s += time.monotonic() - start_s
        if not is_whole:
            return None
        nbytes = len(ids) * self._token_bytes
        return Prepared(message.number, '', len(ids), preparation.spent_s, nbytes)

    def _read(self, ids: list[int], abort: AbortFlag) -> bool:
        room = min(ROOM_TOKENS, self.engine.target.context_length - len(ids))
        beginning = self.engine.begin(ids, room)
        starts = range(beginning.cached_tokens, len(ids), CHUNK_TOKENS)
        chunks = [(start, min(start + CHUNK_TOKENS, len(ids))) for start in starts]
        interrupt = Interrupt(Deadline(float('inf')), abort)
        try:
            with self.predictor.beside_preparation(ids, beginning.sums):
                self.engine.prefill(ids, room, interrupt, chunks, beginning)
        except InterruptedGenerationError:
            return False
        finally:
            self.engine.prefixes.done(beginning)
        return True

    def _why_not(self, holder: str, ids: list[int]) -> str:
        """Return why a context cannot be held, as a sentence; '' if it can."""
        prefixes, longest = self.engine.prefixes, self.engine.target.context_length
        if prefixes.limit_bytes == 0:
            return 'nothing is kept of prompts: prefix_cache_mb is 0, or the model allows it not'
        if len(ids) >= longest:
            return (
                f'system_prompt and context have {len(ids)} tokens with the chat template, but '
                f'the model has a context of {longest}, and a question needs some'
            )
        if not self._token_bytes:
            self._token_bytes = token_bytes(self.engine)
        needed_bytes = (len(ids) + ROOM_TOKENS) * self._token_bytes
        room_bytes = prefixes.room_bytes(holder)
        if needed_bytes > room_bytes:
            return (
                f'system_prompt and context have {len(ids)} tokens, which take '
                f'{needed_bytes / _MEGABYTE:.1f} MB with room for an answer, but '
                f'{max(0, room_bytes) / _MEGABYTE:.1f} MB of prefix_cache_mb are left beside what '
                'others have prepared'
            )
        return ''
