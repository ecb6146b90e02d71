"""What an operator chooses about eviction: which prompt tokens stay in the KV cache."""

from dataclasses import dataclass

ROOM_BESIDE_WINDOW = 64
"""The fewest tokens that are kept beside the observation window."""
_CHOICES = {
    'scorer': ('snapkv', 'streaming_llm', 'random'),
    'pooling': ('avg', 'max'),
    'window_aggregation': ('mean', 'max'),
    'group_aggregation': ('mean', 'max'),
}


@dataclass(frozen=True)
class EvictionSettings:
    """How the tokens that stay are chosen.

    The defaults are the best of a grid of 36 on a development split of 24 needle prompts, seed 100
    (benchmark/eviction_defaults.py): the hidden values' log-likelihood a token was -1.03, that of
    the paper's kind of settings (window 32, kernel 7, averages) -2.08.

    Arguments:
        scorer: 'snapkv', 'streaming_llm' or 'random'.
        window: the last so many prompt tokens vote, and always stay [tokens].
        kernel: width of the pooling along the sequence, odd; 1 is none [tokens].
        pooling: 'avg' or 'max' of the votes within the kernel.
        window_aggregation: 'mean' or 'max' of the votes over the window's tokens.
        group_aggregation: 'mean' or 'max' over the query heads that share a KV head.
        sinks: the first so many prompt tokens always stay [tokens].
        seed: of the scorer 'random'.

    Raises:
        ValueError: names the setting, its value and its bound.
    """

    scorer: str = 'snapkv'
    window: int = 16
    kernel: int = 21
    pooling: str = 'avg'
    window_aggregation: str = 'max'
    group_aggregation: str = 'max'
    sinks: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f'{name} must be one of {allowed}, got {getattr(self, name)!r}')
        if self.window < 1:
            raise ValueError(f'window must be at least 1 token, got {self.window}')
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f'kernel must be odd and at least 1 token, got {self.kernel}')
        if not 0 <= self.sinks <= ROOM_BESIDE_WINDOW:
            raise ValueError(f'sinks must be in [0, {ROOM_BESIDE_WINDOW}], got {self.sinks}')

    @property
    def min_kept_tokens(self) -> int:
        """The fewest tokens that a plan may keep."""
        return self.window + ROOM_BESIDE_WINDOW
