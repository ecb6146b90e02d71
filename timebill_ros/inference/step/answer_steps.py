"""One answer's way through the model: it guesses tokens ahead where that is cheap."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from timebill_ros.core.speculation import GuessRates, SpeculationCredit
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.step.decoder_library import MOST_TOKENS
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.prompt_lookup import PromptLookup

_LOOKED_UP = 4096
"""Newest tokens of a prompt in which guesses are looked up: more would take some time at first."""


class PassCount:
    """Passes through the model. One over several tokens counts as many as take about as long."""

    def __init__(self) -> None:
        self.steps = 0.0


class AnswerSteps:
    """Appends an answer's tokens, and counts the passes.

    Arguments:
        step: stands after the prompt.
        passes: counts.
    """

    def __init__(self, step: DecodingStep, passes: PassCount) -> None:
        self.step = step
        self._passes = passes

    @contextmanager
    def leave(self) -> Iterator[KVCache]:
        """Leave the answer for a while; see GenericStep."""
        with self.step.leave() as cache:
            yield cache

    def logits(self, token: torch.Tensor) -> torch.Tensor:
        """Append a token; see GenericStep."""
        self._passes.steps += 1.0
        return self.step.logits(token)

    def append(self, ids: Sequence[int], check: Callable[[], None]) -> torch.Tensor:
        """Append tokens, at least one; see GenericStep."""
        self._passes.steps += self.step.steps_of(len(ids))
        return self.step.append(ids, check)

    def rewind(self, tokens: int) -> None:
        """Take the newest tokens back."""
        self.step.rewind(tokens)


class SpeculativeSteps(AnswerSteps):
    """Guesses the next tokens, and runs them through the model with those that are known.

    The logits are those that there are without guesses, bit for bit. Wrong guesses are taken back.

    Arguments:
        step: stands after the prompt.
        passes: counts.
        prompt_ids: where guesses come from at first.
        window: to so many tokens some layer attends; 0: all layers attend to all. Nothing is
            guessed beyond it: each token has a window of its own there, which costs more.
    """

    def __init__(
        self, step: NativeStep, passes: PassCount, prompt_ids: Sequence[int], window: int = 0
    ) -> None:
        super().__init__(step, passes)
        self._native = step
        # The last token of an answer is never run: nothing comes after it.
        self._not_guessed = max(1, len(prompt_ids) + step.room - window) if window else 1
        """So many of the answer's last tokens."""
        self._lookup = PromptLookup(prompt_ids[-_LOOKED_UP:])
        self._credit, self._rates = SpeculationCredit(), GuessRates()
        # Its own: another answer may be written while this one is left.
        self._memory = torch.empty(MOST_TOKENS, step.vocabulary)
        self._ahead: list[int] = []
        """Guesses that have gone through the model, and may still turn out right."""
        self._matched = 0
        """So many tokens before them had been there before."""
        self._right = 0
        """So many guesses before them have turned out right."""
        self._logits = self._memory[:0]
        """After the token before each of them, and after the last."""

    @contextmanager
    def leave(self) -> Iterator[KVCache]:
        """Leave the answer for a while, without the guesses; see GenericStep."""
        self._take_back()
        with super().leave() as cache:
            yield cache

    def logits(self, token: torch.Tensor) -> torch.Tensor:
        """Append a token; see GenericStep."""
        return self.append([int(token)], lambda: None)

    def append(self, ids: Sequence[int], check: Callable[[], None]) -> torch.Tensor:
        """Append tokens, at least one; see GenericStep."""
        for token_id in ids:
            self._lookup.add(token_id)
            self._credit.wrote()
        if not self._native.is_step(len(ids)):
            self._take_back()  # a pass rounds in another way, and takes as long for fewer
            return super().append(ids, check)
        known = 0
        while known < len(ids) and self._ahead and self._ahead[0] == ids[known]:
            self._ahead, self._logits = self._ahead[1:], self._logits[1:]
            self._credit.saved()
            self._rates.count(self._matched, self._right, is_right=True)
            self._right += 1
            known += 1
        if known == len(ids):
            return self._logits[0]
        if self._ahead:
            self._rates.count(self._matched, self._right, is_right=False)
        self._take_back()
        run = ids[known:]
        guesses, costs = self._guesses(len(run)), self._native.costs
        self._passes.steps += costs[len(run) + len(guesses) - 1]
        self._credit.pay(costs[len(run) + len(guesses) - 1] - costs[len(run) - 1])
        logits = self._native.several([*run, *guesses], self._memory)
        self._ahead, self._right, self._logits = guesses, 0, logits[len(run) - 1 :]
        return self._logits[0]

    def rewind(self, tokens: int) -> None:
        """Take the newest tokens back."""
        self._take_back()
        super().rewind(tokens)

    def _guesses(self, run: int) -> list[int]:
        """Return guesses behind so many tokens that are known: what pays, and may be wrong."""
        most = min(MOST_TOKENS, self._native.room - self._not_guessed) - run
        self._matched, guesses = self._lookup.following(max(0, most))
        costs = self._native.costs
        extra = [cost - costs[run - 1] for cost in costs[run : run + len(guesses)]]
        count = self._rates.worth(self._matched, extra)
        while count and not self._credit.has(extra[count - 1]):
            count -= 1
        return guesses[:count]

    def _take_back(self) -> None:
        if self._ahead:
            self._native.rewind(len(self._ahead))
            self._ahead = []


def answer_steps(
    step: DecodingStep,
    passes: PassCount,
    prompt_ids: torch.Tensor,
    speculates: bool,
    window: int = 0,
) -> AnswerSteps:
    """Return what appends an answer's tokens; only a native step can guess.

    Arguments:
        prompt_ids: (prompt_tokens,).
        speculates: tokens may be guessed.
        window: of sliding_window().
    """
    if speculates and isinstance(step, NativeStep):
        return SpeculativeSteps(step, passes, prompt_ids.tolist(), window)
    return AnswerSteps(step, passes)


def sliding_window(cache: KVCache, config: Any) -> int:
    """Return to how many tokens some layer attends; 0: all layers attend to all.

    Arguments:
        config: of the cache's model.
    """
    is_sliding = any(layer.is_sliding for layer in cache.layers)
    return int(config.get_text_config().sliding_window) if is_sliding else 0
