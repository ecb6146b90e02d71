"""How much the engine benchmark measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The whole of it, if nothing is said.

    Arguments:
        lengths: of random prompts for the built-in model [tokens].
        file_lengths: of those for a file [tokens].
        new_tokens: of each measured answer; the first comes from the prefill.
        rounds: the first warms up, and does not count.
        prompts: questions whose greedy answers are compared.
        answer_tokens: of these answers.
        text_tokens: of each text whose likelihood is compared.
        guesses: what guessed tokens gain is measured too.
    """

    lengths: tuple[int, ...] = (128, 512, 1024, 2048, 4096)
    file_lengths: tuple[int, ...] = (512, 2048)
    new_tokens: int = 65
    rounds: int = 3
    prompts: int = 20
    answer_tokens: int = 64
    text_tokens: int = 256
    guesses: bool = True


QUICK = Plan((128, 512), (128,), 9, 2, 3, 8, 32, False)
"""Shows that all arms work; its figures say nothing."""


def context_tokens(lengths: tuple[int, ...], new_tokens: int) -> int:
    """Return the context that the other engines get room for, a multiple of 256."""
    return max(1024, -(-(max(lengths) + new_tokens) // 256) * 256)
