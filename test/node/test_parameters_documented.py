"""Each parameter is declared once; the YAML file and the README's table say the same."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from timebill_ros.node.parameter_spec import ParameterSpec
from timebill_ros.node.settings import NodeSettings, spec_of

ROOT = Path(__file__).parents[2]
YAML = ROOT / 'config' / 'timebill.yaml'
README = ROOT / 'README.md'
DEFAULTS = {field.name: field.default for field in dataclasses.fields(NodeSettings)}

MAY_CHANGE = {
    'running': ['may change'],
    'unconfigured': ['may change while unconfigured'],
    'never': [],
}


def facts(spec: ParameterSpec) -> str:
    """Return what stands behind a value in the YAML file: unit, bounds, choices, may change."""
    return ', '.join(
        [
            *([spec.unit] if spec.unit else []),
            *([f'{spec.bounds[0]:.15g} to {spec.bounds[1]:.15g}'] if spec.bounds else []),
            *([' | '.join(spec.choices)] if spec.choices else []),
            *MAY_CHANGE[spec.change],
        ]
    )


def yaml_comments() -> Iterator[tuple[str, str, str]]:
    """Yield each parameter's name, the comment above it and the comment behind its value."""
    above: list[str] = []
    for line in YAML.read_text().splitlines():
        if line.strip().startswith('#'):
            above.append(line.strip(' #'))
            continue
        if found := re.fullmatch(r' {4}(\w+): \S*(?:  # (.*))?', line):
            yield found[1], ' '.join(above), found[2] or ''
        above.clear()


def readme_rows() -> dict[str, list[str]]:
    """Return the cells behind the name of each row of the README's table, by name."""
    if not README.exists():
        pytest.skip('there is no README.md')
    section = re.search(r'^## Parameters$(.*?)(?=^#|\Z)', README.read_text(), re.M | re.S)
    assert section, 'README.md has no heading "## Parameters"'
    rows = re.findall(r'^\| *`(\w+)` *\|(.*)\|\s*$', section[1], re.M)
    assert len({name for name, _ in rows}) == len(rows), 'a parameter has two rows'
    return {name: [cell.strip() for cell in re.split(r'(?<!\\)\|', cells)] for name, cells in rows}


def same(value: Any, default: Any) -> bool:
    """Tell whether a written value has the default's type and value; 10 is not 10.0 for rcl."""
    return type(value) is type(default) and value == default


def test_the_yaml_file_has_every_parameter_with_its_default_for_every_namespace() -> None:
    document = yaml.safe_load(YAML.read_text())
    assert list(document) == ['/**']
    values = document['/**']['ros__parameters']
    assert list(values) == list(DEFAULTS)
    assert [name for name in DEFAULTS if not same(values[name], DEFAULTS[name])] == []


def test_the_yaml_file_comments_every_parameter_as_declared() -> None:
    declared = [(name, spec_of(name).description, facts(spec_of(name))) for name in DEFAULTS]
    assert list(yaml_comments()) == declared


def test_the_readme_has_every_parameter() -> None:
    assert sorted(readme_rows()) == sorted(DEFAULTS)


@pytest.mark.parametrize('name', DEFAULTS)
def test_the_readme_states_the_default_and_the_unit(name: str) -> None:
    default, unit = readme_rows()[name][:2]
    assert re.fullmatch('`.+`', default), f'the default of {name} is not in backticks: {default}'
    assert same(yaml.safe_load(default.strip('`')), DEFAULTS[name])
    assert unit.strip('`') in ([spec_of(name).unit] if spec_of(name).unit else ['', '-', '–', '—'])
