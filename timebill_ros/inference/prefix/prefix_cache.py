"""Keeps the keys and values of prompts, within a bound of memory, for prompts that begin alike."""

import threading
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from timebill_ros.inference.prefix.prefix_entry import Beginning, Holder, Memory, PrefixEntry
from timebill_ros.inference.prefix.state_sums import StateSums

_SMALL_TAIL = 8
"""An entry may lose its end to a prompt that begins alike, if that is so small a part of what they
share: 1/8. A standing context loses the last question, a long document nothing."""
_SLACK = 64
"""Memory is taken for so many more tokens, and up to the next multiple: the next question about
the same context may be longer, and needs no copy then."""


class PrefixCache:
    """The entries, their pins, and the bound of their memory.

    One thread reads prompts: it calls begin() and keep(). Others pin and unpin meanwhile.

    Arguments:
        limit_bytes: the entries together take at most so much; 0: nothing is kept.
        fresh_tokens: the last tokens of a prompt, which are always read: the observation window
            and the logits come from them.
        sums: a prompt must have the sums of its hidden states.
    """

    def __init__(self, limit_bytes: int = 0, fresh_tokens: int = 1, sums: bool = False) -> None:
        self.limit_bytes = limit_bytes
        self._fresh_tokens = fresh_tokens
        self._sums = sums
        self._lock = threading.Lock()
        self._entries: list[PrefixEntry] = []
        self._uses = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """The memory that the entries take [bytes]."""
        with self._lock:
            return sum(entry.nbytes for entry in self._entries)

    @property
    def longest_tokens(self) -> int:
        """The length of the longest entry [tokens]."""
        with self._lock:
            return max((len(entry.token_ids) for entry in self._entries), default=0)

    # Any thread

    def cached_tokens(self, token_ids: Sequence[int]) -> int:
        """Return how many first tokens of a prompt need not be read."""
        with self._lock:
            return self._best(np.asarray(token_ids))[1]

    def pin(self, holder: Holder, token_ids: Sequence[int]) -> int:
        """Promise what is cached of a prompt to a holder, instead of what it held before.

        Returns:
            so many first tokens of the prompt need not be read, until it is unpinned.
        """
        with self._lock:
            self._unpin(holder)
            entry, tokens = self._best(np.asarray(token_ids))
            if entry is not None:
                entry.pins[holder] = tokens
            return tokens

    def hold(self, holder: Holder, token_ids: Sequence[int]) -> int:
        """Pin a context that prompts are going to begin with, instead of what was held before.

        Returns:
            so many of its first tokens are held.
        """
        with self._lock:
            self._unpin(holder)
            ids = np.asarray(token_ids)
            common = [(entry.common_tokens(ids), entry.used, entry) for entry in self._entries]
            tokens, _, best = max(common, key=lambda found: found[:2], default=(0, 0, None))
            if best is None or tokens == 0:
                return 0
            # No more than prompts can use: to take over the memory, they must be able to keep it.
            best.pins[holder] = best.sums.checkpoint(tokens) if self._sums else tokens
            return tokens

    def unpin(self, holder: Holder) -> None:
        """Let go of what a holder has been promised."""
        with self._lock:
            self._unpin(holder)

    def room_bytes(self, holder: Holder) -> int:
        """Return how much memory no other holder's prepared context takes [bytes]."""
        with self._lock:
            held = [
                entry.nbytes
                for entry in self._entries
                if any(isinstance(other, str) and other != holder for other in entry.pins)
            ]
            return self.limit_bytes - sum(held)

    # The thread that reads prompts

    def capacity(self, tokens: int, most: int) -> int:
        """Return for how many tokens to take memory, when so many are needed."""
        if self.limit_bytes == 0:
            return tokens
        return max(tokens, min((tokens // _SLACK + 2) * _SLACK, most))

    def begin(self, token_ids: Sequence[int], needed: int, capacity: int) -> Beginning:
        """Return how the prefill of a prompt begins.

        The memory of an entry is handed over if it has enough room, its end is of little use to
        others, and no query writes to it: one that was preempted goes on. Else what is shared is
        copied. Call done() when the query has ended.

        Arguments:
            needed: tokens of the prompt and its answer.
            capacity: tokens that new memory is to have room for.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        with self._lock:
            entry, tokens = self._best(ids)
            if entry is None:
                return Beginning(ids)
            self._touch(entry)
            sums = StateSums(entry.sums, tokens)
            tail = len(entry.token_ids) - tokens
            may_lose_end = entry.pinned_tokens <= tokens and tail * _SMALL_TAIL <= tokens
            if may_lose_end and entry.capacity >= needed and not entry.is_in_use:
                entry.truncate(tokens)
                entry.is_in_use = True
                return Beginning(ids, tokens, entry.memory, sums, entry)
            memory = entry.memory  # dropping the entry meanwhile does not free it
        copied = [(_copied(k, tokens, capacity), _copied(v, tokens, capacity)) for k, v in memory]
        return Beginning(ids, tokens, copied, sums)

    def keep(self, beginning: Beginning, memory: Memory, tokens: int) -> None:
        """Keep what was read of a prompt, also of one that was cut off.

        Arguments:
            memory: where it was read to. It may be written to behind these tokens.
            tokens: of the prompt that were read in all layers.
        """
        ids = beginning.token_ids[:tokens]
        with self._lock:
            entry = beginning.entry
            if entry is not None:
                entry.token_ids, entry.sums = ids, beginning.sums
            elif self.limit_bytes and tokens > beginning.cached_tokens:
                entry = PrefixEntry(ids, memory, beginning.sums, is_in_use=True)
                beginning.entry = entry
                self._add(entry)
            if entry is not None:
                self._touch(entry)

    def done(self, beginning: Beginning) -> None:
        """Learn that a query has ended: its memory may be handed over."""
        with self._lock:
            if beginning.entry is not None:
                beginning.entry.is_in_use = False

    def clear(self) -> None:
        """Drop everything, also what is pinned."""
        with self._lock:
            self._entries.clear()

    # With the lock held

    def _best(self, ids: NDArray[np.int64]) -> tuple[PrefixEntry | None, int]:
        """Return the entry that saves most of a prompt, and how many tokens."""
        most = max(0, len(ids) - self._fresh_tokens)
        best, best_tokens = None, 0
        for entry in sorted(self._entries, key=lambda entry: entry.used, reverse=True):
            tokens = min(entry.common_tokens(ids), most)
            if self._sums:
                tokens = entry.sums.checkpoint(tokens)
            if tokens > best_tokens:
                best, best_tokens = entry, tokens
        return best, best_tokens

    def _unpin(self, holder: Holder) -> None:
        for entry in self._entries:
            entry.pins.pop(holder, None)

    def _touch(self, entry: PrefixEntry) -> None:
        self._uses += 1
        entry.used = self._uses

    def _add(self, newcomer: PrefixEntry) -> None:
        """Take an entry if there is room, for which the least recently used ones are dropped.

        Entries of which it has all but a small end are dropped for it; it takes their pins.
        """
        absorbed = [entry for entry in self._entries if _is_absorbed(entry, newcomer)]
        others = [entry for entry in self._entries if entry not in absorbed]
        others.sort(key=lambda entry: (bool(entry.pins), entry.used), reverse=True)
        held = newcomer.nbytes + sum(entry.nbytes for entry in others)
        while held > self.limit_bytes:
            if not others or others[-1].pins:
                return
            held -= others.pop().nbytes
        for entry in absorbed:
            newcomer.pins.update(entry.pins)
        self._entries = [*others, newcomer]


def _is_absorbed(entry: PrefixEntry, newcomer: PrefixEntry) -> bool:
    common = entry.common_tokens(newcomer.token_ids)
    tail = len(entry.token_ids) - common
    return entry.pinned_tokens <= common and tail * _SMALL_TAIL <= common


def _copied(states: torch.Tensor, tokens: int, capacity: int) -> torch.Tensor:
    with torch.inference_mode():
        batch, kv_heads, _, head_dim = states.shape
        memory = states.new_empty(batch, kv_heads, capacity, head_dim)
        memory[:, :, :tokens] = states[:, :, :tokens]
    return memory
