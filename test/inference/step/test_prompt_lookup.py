"""What followed the newest tokens before."""

import random

from timebill_ros.inference.step.prompt_lookup import PromptLookup


def slowly(ids, most):
    """Return what PromptLookup.following() is to return, by a search."""
    for size in (3, 2):
        for place in range(len(ids) - 1, size - 1, -1):
            if len(ids) >= size and ids[place - size : place] == ids[-size:]:
                return size, ids[place : place + most]
    return 0, []


def test_what_followed_three_tokens_counts_more_than_what_followed_two():
    lookup = PromptLookup([1, 2, 3, 4, 5, 9, 2, 3, 7, 7, 1, 2, 3])
    assert lookup.following(3) == (3, [4, 5, 9])
    lookup.add(7)
    assert lookup.following(3) == (3, [7, 1, 2])
    assert lookup.following(1) == (3, [7])


def test_what_was_written_last_is_found_first():
    lookup = PromptLookup([1, 2, 3, 5, 5, 5])
    for token_id in (1, 2, 3, 8, 1, 2, 3):
        lookup.add(token_id)
    assert lookup.following(2) == (3, [8, 1])


def test_nothing_follows_new_tokens():
    assert PromptLookup([]).following(3) == (0, [])
    assert PromptLookup([4]).following(3) == (0, [])
    assert PromptLookup([4, 4]).following(3) == (0, [])
    assert PromptLookup([1, 2, 3, 4]).following(3) == (0, [])
    assert PromptLookup([4, 4, 4]).following(3) == (2, [4])


def test_look_ups_are_those_of_a_search():
    chance = random.Random(1)
    for _ in range(200):
        ids = chance.choices(range(4), k=chance.randint(0, 12))
        lookup = PromptLookup(ids)
        for token_id in chance.choices(range(4), k=12):
            assert lookup.following(3) == slowly(ids, 3)
            lookup.add(token_id)
            ids.append(token_id)
