"""docs/interface.md names every key of the statuses on /diagnostics."""

import re
from pathlib import Path

from support.told_statuses import told

PAGE = (Path(__file__).parents[2] / 'docs' / 'interface.md').read_text()


def test_the_row_of_a_status_has_its_keys() -> None:
    for status in told().status:
        name = status.name.removeprefix('/timebill: ')
        (row,) = re.findall(rf'^\| `<node>: {name}`.*?\|(.*)\|$', PAGE, re.M)
        keys = {re.sub('missed_[A-Z_]+', 'missed_<REASON>', pair.key) for pair in status.values}
        assert keys == set(re.findall(r'`([\w<>]+)`', row)), name
