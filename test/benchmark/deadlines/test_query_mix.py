from collections import Counter

from benchmark.deadlines.query_mix import LARGEST_BURST, QueryMix


def asks(mix):
    return [ask for section in mix.sections() for batch in section.batches for ask in batch.asks]


def test_the_same_seed_asks_the_same():
    assert asks(QueryMix(1, 'a')) == asks(QueryMix(1, 'a')) != asks(QueryMix(2, 'a'))


def test_no_id_is_used_twice():
    assert max(Counter(ask.id for ask in asks(QueryMix(1, 'a'))).values()) == 1


def test_there_is_one_burst_of_the_largest_size():
    sizes = [len(b.asks) for section in QueryMix(1, 'a').sections() for b in section.batches]
    assert sizes.count(LARGEST_BURST) == 1
    assert max(sizes) == LARGEST_BURST
