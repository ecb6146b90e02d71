"""What is kept, for how long, and for whom."""

import torch

from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.prefix.state_sums import StateSums

CAPACITY = 100
ENTRY = 2 * CAPACITY * 4  # one layer, one head of one element, fp32


def memory(capacity: int = CAPACITY) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.zeros(1, 1, capacity, 1), torch.zeros(1, 1, capacity, 1))]


def prompt(first: int, tokens: int = 60) -> list[int]:
    return list(range(first, first + tokens))


def read(cache: PrefixCache, ids: list[int], capacity: int = CAPACITY) -> int:
    """Have a prompt read; return how many tokens of it were cached."""
    beginning = cache.begin(ids, capacity, capacity)
    cache.keep(beginning, beginning.memory or memory(capacity), len(ids))
    return beginning.cached_tokens


def test_the_least_recently_used_is_dropped_first() -> None:
    cache = PrefixCache(3 * ENTRY)
    for first in (0, 1000, 2000):
        read(cache, prompt(first))
    assert read(cache, prompt(0)) == 59
    read(cache, prompt(3000))
    assert [cache.cached_tokens(prompt(first)) > 0 for first in (0, 1000, 2000, 3000)] == [
        True,
        False,
        True,
        True,
    ]
    assert cache.nbytes == 3 * ENTRY


def test_what_is_larger_than_the_bound_is_not_kept_and_drops_nothing() -> None:
    cache = PrefixCache(2 * ENTRY)
    read(cache, prompt(0))
    read(cache, prompt(1000), 2 * CAPACITY + 1)
    assert cache.cached_tokens(prompt(0)) == 59
    assert cache.cached_tokens(prompt(1000)) == 0


def test_what_is_promised_is_there_whatever_is_read_meanwhile() -> None:
    cache = PrefixCache(2 * ENTRY)
    read(cache, prompt(0))
    waiting = prompt(0)[:50] + prompt(500, 20)
    promised = cache.pin(7, waiting)
    assert promised == 50
    for first in (1000, 2000, 3000):
        read(cache, prompt(first))
    read(cache, prompt(0)[:30] + prompt(600, 30))  # shares less
    read(cache, [*prompt(0)[:58], 9000, 9001])  # takes the memory over
    assert cache.cached_tokens(waiting) == promised
    cache.unpin(7)
    for first in (1000, 2000, 3000):
        read(cache, prompt(first))
    assert cache.cached_tokens(waiting) == 0


def test_memory_of_which_more_is_promised_than_is_shared_is_copied() -> None:
    cache = PrefixCache(2 * ENTRY)
    read(cache, prompt(0))
    assert cache.pin(7, prompt(0)[:58] + prompt(500, 20)) == 58
    beginning = cache.begin(prompt(0)[:56] + prompt(600, 4), 60, CAPACITY)
    assert (beginning.cached_tokens, beginning.entry) == (56, None)
    assert cache.cached_tokens(prompt(0)[:58] + prompt(500, 20)) == 58


def test_pins_go_over_to_a_longer_prompt() -> None:
    cache = PrefixCache(3 * ENTRY)
    read(cache, prompt(0))
    cache.hold('asker', prompt(0))
    read(cache, prompt(0) + prompt(500, 20), 2 * CAPACITY)  # needs more room: it is copied
    assert len(cache) == 1
    for first in (1000, 2000, 3000):
        read(cache, prompt(first))
    assert cache.cached_tokens([*prompt(0), 1]) == 60


def test_all_that_is_pinned_leaves_no_room() -> None:
    cache = PrefixCache(2 * ENTRY)
    for first, holder in ((0, 'a'), (1000, 'b')):
        read(cache, prompt(first))
        assert cache.hold(holder, prompt(first)) == 60
    assert cache.room_bytes('c') == 0
    assert cache.room_bytes('a') == ENTRY
    read(cache, prompt(2000))
    assert cache.cached_tokens(prompt(2000)) == 0
    cache.unpin('a')
    read(cache, prompt(2000))
    assert [cache.cached_tokens(prompt(first)) for first in (0, 1000, 2000)] == [0, 59, 59]


def test_a_long_document_is_not_overwritten_for_the_few_tokens_that_it_shares() -> None:
    cache = PrefixCache(3 * ENTRY)
    read(cache, prompt(0))
    assert read(cache, prompt(0)[:5] + prompt(500, 30)) == 5
    assert cache.cached_tokens(prompt(0)) == 59


def test_the_last_tokens_are_always_read() -> None:
    cache = PrefixCache(ENTRY, fresh_tokens=16)
    read(cache, prompt(0))
    assert cache.cached_tokens(prompt(0)) == 44
    assert cache.cached_tokens(prompt(0)[:16]) == 0


def test_only_checkpoints_count_where_states_are_summed() -> None:
    cache = PrefixCache(2 * ENTRY, fresh_tokens=4, sums=True)
    beginning = cache.begin(prompt(0), 60, CAPACITY)
    beginning.sums.add(3, torch.ones(60, 2))
    cache.keep(beginning, memory(), 60)
    assert cache.cached_tokens(prompt(0)) == 48
    again = cache.begin(prompt(0), 60, CAPACITY)
    assert again.sums.tokens(3) == again.cached_tokens == 48
    assert again.sums.total(3).tolist() == [48.0, 48.0]
    again.sums.add(3, torch.ones(12, 2))
    cache.keep(again, again.memory or [], 60)
    assert cache.cached_tokens(prompt(0)) == 48


def test_an_entry_without_sums_is_not_used_where_they_are_needed() -> None:
    cache = PrefixCache(ENTRY, sums=True)
    read(cache, prompt(0))
    assert cache.cached_tokens(prompt(0)) == 0


def test_sums_are_those_of_the_whole_whatever_the_chunks() -> None:
    states = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    for chunks in ((100,), (64, 36), (16, 20, 64)):
        sums = StateSums()
        for chunk in states.split(list(chunks)):
            sums.add(1, chunk)
        assert sums.tokens(1) == 100
        torch.testing.assert_close(sums.total(1), states.sum(0))
        beginning = StateSums(sums, 32)
        torch.testing.assert_close(beginning.total(1), states[:32].sum(0))
        beginning.add(1, states[32:])
        torch.testing.assert_close(beginning.total(1), states.sum(0))


def test_clear_drops_what_is_pinned_too() -> None:
    cache = PrefixCache(ENTRY)
    read(cache, prompt(0))
    cache.pin(1, prompt(0))
    cache.clear()
    assert (len(cache), cache.nbytes, cache.longest_tokens) == (0, 0, 0)
    assert cache.pin(1, prompt(0)) == 0
