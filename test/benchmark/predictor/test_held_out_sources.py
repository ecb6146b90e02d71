"""The split by source, on planted lengths."""

from benchmark.predictor.held_out_sources import HELD_OUT_SOURCES, held_out_split
from support.planted_lengths import planted
from timebill_ros.training.prompt_sources import SOURCES


def test_held_out_sources_are_in_no_other_part() -> None:
    data = planted(300)
    split = held_out_split(data)
    parts = [set(map(int, rows)) for rows in (split.train, split.validation, split.test)]
    sources = [{data.records[row].source for row in part} for part in parts]
    assert sources == [{'evals', 'topics'}, {'evals', 'topics'}, {'libero'}]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 300
    assert len(parts[0]) > 3 * len(parts[1])


def test_held_out_sources_exist() -> None:
    assert {source.name for source in SOURCES} >= HELD_OUT_SOURCES
