"""Policy closed_loop: while an answer is written, decides again and again whether to evict."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from timebill_ros.core.answer_pace import AnswerPace
from timebill_ros.core.answer_worth import PRIOR, AnswerWorth
from timebill_ros.core.expected_worth import AnswerState, expected_worth, worth_of_none
from timebill_ros.core.remaining_lengths import RemainingLengths
from timebill_ros.core.time_model import TimeModel

Array = NDArray[np.float64]

TOKENS_BETWEEN = 4
"""An answer is looked at after so many tokens, later on after each sixteenth of its length."""
RATIOS = (0.25, 0.5, 0.75)
LATER = (0.0, 4.0, 8.0, 24.0, 72.0, 216.0)
TOKENS_TO_KNOW = 16.0
"""That each token takes a step counts as so many tokens of an answer."""
GAIN = 1e-3
"""An eviction must be worth so much more than none, or than a later one."""


def steps_per_token(written: int, steps: int) -> float:
    """Return how many steps a token takes of what is left of an answer, in (0, 1].

    As many tokens are forced, or guessed rightly, as in what is there.

    Arguments:
        written: tokens that are there.
        steps: that they took.
    """
    rate = (steps + TOKENS_TO_KNOW) / (max(0, written - 1) + TOKENS_TO_KNOW)
    return min(rate, 1.0)


@dataclass(frozen=True)
class ClosedLoop:
    """Decides whether to evict now, for the largest expected worth.

    Arguments:
        time_model: mean times, and how far true ones lie from them.
        prompt_tokens: N_x.
        fewest: the fewest prompt tokens that may be kept, in 1..N_x.
        lengths: of the answer.
        worth: of an answer after an eviction.
        later: at how many tokens from now an eviction is thought of, now at first.
    """

    time_model: TimeModel
    prompt_tokens: int
    fewest: int
    lengths: RemainingLengths
    worth: AnswerWorth = PRIOR
    later: tuple[float, ...] = LATER

    def kept_tokens(
        self, written: int, decode_s: float, remaining_s: float, passes: float | None = None
    ) -> int:
        """Return how many prompt tokens to keep from now on; all: do not evict now.

        Arguments:
            written: tokens of the answer; nothing has been evicted before.
            decode_s: that they took [s].
            remaining_s: the time left; may be negative or infinite [s].
            passes: that they took [steps]; None: one for each but the first. Fewer tell of
                forced and guessed tokens, and nothing of the machine's pace.
        """
        choices = self._choices
        if written >= self.lengths.max_new_tokens or len(choices) == 0:
            return self.prompt_tokens
        steps = max(0, written - 1) if passes is None else round(passes)
        predicted_s = self.time_model.t_decode(self.prompt_tokens, steps + 1)
        pace = AnswerPace.after(self.time_model.spread(), steps, decode_s, predicted_s)
        rate = steps_per_token(written, steps)
        ahead = self.time_model.scaled(1.0, rate, 1.0) if rate < 1.0 else self.time_model
        state = AnswerState(
            self.prompt_tokens,
            written,
            remaining_s,
            pace,
            *self.lengths.after(written),
            self.lengths.max_new_tokens,
            self.time_model.step_spread,
        )
        never = worth_of_none(state, ahead)
        if never > 1.0 - GAIN:
            return self.prompt_tokens
        switches = written + np.array(self.later)
        switches = switches[switches < self.lengths.max_new_tokens]
        worths = expected_worth(state, ahead, self.worth, switches, choices)
        now, later = worths[0], worths[1:]
        best = int(now.argmax())
        if now[best] <= max(never, float(later.max(initial=0.0))) + GAIN:
            return self.prompt_tokens
        more = (switches[1:3] - written) * rate
        if now[best] <= self._worth_of_waiting(state, ahead, steps, more, switches[1:3]) + GAIN:
            return self.prompt_tokens
        return int(choices[best])

    def _worth_of_waiting(
        self, state: AnswerState, ahead: TimeModel, steps: int, more: Array, switches: Array
    ) -> float:
        """Return what to expect of deciding soon instead, when more is known of the pace.

        An eviction is never undone. So what is worth it at the expected pace may have to wait for
        the measured one.

        Arguments:
            ahead: mean times of the tokens that are left.
            steps: that were taken.
            more, switches: after so many more steps, at so many tokens, it could be decided.
        """
        expected = [0.0]
        for more_steps, switch in zip(more, switches, strict=True):
            best = 0.0
            for weight, pace in state.pace.foreseen(steps, float(more_steps)):
                known = replace(state, pace=pace)
                at = np.array([switch])
                worths = expected_worth(known, ahead, self.worth, at, self._choices)
                never = worth_of_none(known, ahead)
                best += weight * max(float(worths.max()), never)
            expected.append(best)
        return max(expected)

    @staticmethod
    def next_look(written: int) -> int:
        """Return at how many tokens to look again."""
        return written + max(TOKENS_BETWEEN, written // 16)

    @cached_property
    def _choices(self) -> Array:
        """How many prompt tokens may be kept, from many to few."""
        kept = {
            max(self.fewest, int((1.0 - ratio) * self.prompt_tokens)) for ratio in (*RATIOS, 1.0)
        }
        return np.array(sorted(kept - {self.prompt_tokens}, reverse=True), dtype=np.float64)
