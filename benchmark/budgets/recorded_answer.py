"""A recorded answer with the time of each token: tells the outcome for any time budget."""

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class RecordedAnswer:
    """A greedy answer from one evicted cache.

    Arguments:
        item: the item's key; task: its task's name.
        prompt_tokens, max_new_tokens: N_x and N_max.
        predicted_tokens: N_hat.
        prefill_s: what the prefill took, in the run that this answer is of [s].
        alpha: the ratio asked for, on the grid.
        kept_tokens: prompt tokens that stayed.
        eviction_s: what the eviction took; 0 if nothing was evicted [s].
        times_s: when each token was there, from the start of decoding [s].
        pieces: the text that each token completed; the last one has what was left.
        finish_reason: 'EOS', 'LENGTH' or 'REPETITION'.
    """

    item: str
    task: str
    prompt_tokens: int
    max_new_tokens: int
    predicted_tokens: int
    prefill_s: float
    alpha: float
    kept_tokens: int
    eviction_s: float
    times_s: tuple[float, ...]
    pieces: tuple[str, ...]
    finish_reason: str

    @property
    def tokens(self) -> int:
        """N, the stop token counts."""
        return len(self.times_s)

    @property
    def after_prefill_s(self) -> float:
        """Eviction and decoding [s]."""
        return self.eviction_s + self.times_s[-1]

    def tokens_within(self, seconds: float) -> int:
        """Return how many tokens are there that long after the prefill [s]."""
        return bisect_right(self.times_s, seconds - self.eviction_s)

    def text(self, tokens: int | None = None) -> str:
        """Return the text of the first tokens, or of all."""
        return ''.join(self.pieces[:tokens])
