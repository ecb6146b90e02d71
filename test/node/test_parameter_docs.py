"""What is written of the parameters is what is declared."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from timebill_ros.node import parameter_docs
from timebill_ros.node.settings import NodeSettings

ROOT = Path(__file__).parents[2]
SPECS = NodeSettings().specs


@pytest.mark.parametrize(
    ('path', 'generated'),
    [
        ('docs/parameters.md', parameter_docs.markdown()),
        ('config/timebill.yaml', parameter_docs.yaml_file()),
    ],
)
def test_the_file_is_as_make_reference_writes_it(path: str, generated: str) -> None:
    assert (ROOT / path).read_text() == generated, 'run: make reference'


def same(value: Any, default: Any) -> bool:
    """Tell whether a written value has the default's type and value; 10 is not 10.0 for rcl."""
    return type(value) is type(default) and value == default


def test_the_yaml_file_has_every_parameter_with_its_default_for_every_namespace() -> None:
    document = yaml.safe_load(parameter_docs.yaml_file())
    assert list(document) == ['/**']
    values = document['/**']['ros__parameters']
    assert list(values) == list(SPECS)
    assert [name for name in SPECS if not same(values[name], SPECS[name].default)] == []


def test_the_table_has_a_row_of_six_cells_for_every_parameter() -> None:
    rows = [line for line in parameter_docs.markdown().splitlines() if line.startswith('| `')]
    assert [row.split('`')[1] for row in rows] == list(SPECS)
    assert {row.replace('\\|', '').count('|') for row in rows} == {7}


def test_a_row_tells_default_unit_bounds_change_and_description() -> None:
    row = next(line for line in parameter_docs.markdown().splitlines() if '`profile_time`' in line)
    assert row.startswith(
        '| `profile_time` | `60.0` | s | 0 to 3600 | while unconfigured | How long the node'
    )


def test_both_files_are_written(tmp_path: Path) -> None:
    paths = [tmp_path / 'parameters.md', tmp_path / 'timebill.yaml']
    assert parameter_docs.main([str(path) for path in paths]) == 0
    assert paths[0].read_text() == parameter_docs.markdown()
    assert paths[1].read_text() == parameter_docs.yaml_file()
