"""docs/troubleshooting.md knows every reason of a miss, and every status on /diagnostics."""

import re
from pathlib import Path

from support.told_statuses import told
from timebill_ros.core.outcome import MissReason

PAGE = (Path(__file__).parents[2] / 'docs' / 'troubleshooting.md').read_text()


def sections(heading: str) -> dict[str, str]:
    """Return the text below each third heading of a second one."""
    (chapter,) = re.findall(rf'^## {heading}\n(.*?)(?=^## |\Z)', PAGE, re.M | re.S)
    parts = re.split(r'^### (.*)\n', chapter, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_reason_of_a_miss_has_a_section() -> None:
    found = sections('Reasons of a DeadlineMiss')
    assert sorted(found) == sorted(reason.name for reason in MissReason)
    assert all(len(text) > 100 for text in found.values())


def test_every_status_has_a_section() -> None:
    names = {status.name.removeprefix('/timebill: ') for status in told().status}
    assert set(sections('Statuses on /diagnostics')) == names


def test_every_level_of_a_status_has_a_row() -> None:
    folder = Path(__file__).parents[2] / 'timebill_ros' / 'node'
    for path in folder.glob('*.py'):
        for function in re.split(r'^def ', path.read_text(), flags=re.M)[1:]:
            named = re.search(r"f'\{name\}: (\w+)'", function)
            if not named:
                continue
            levels = set(re.findall(r'DiagnosticStatus\.(OK|WARN|ERROR)\b', function))
            section = sections('Statuses on /diagnostics')[named[1]]
            rows = re.findall(r'^\| (\w+) \|', section, re.M)
            assert set(rows) - {'level'} == levels, named[1]
