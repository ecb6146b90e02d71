"""Writes docs/parameters.md and config/timebill.yaml from the declarations of the parameters.

`make reference` runs it; a test fails while a file differs from what this writes.
"""

import dataclasses
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from timebill_ros.core.parameter_spec import ParameterSpec, ParameterValue
from timebill_ros.core.settings import Settings
from timebill_ros.node.settings import NodeSettings

_CHANGE = {
    'running': 'at any time',
    'unconfigured': 'while unconfigured',
    'never': 'at the start only',
}
_MARKDOWN = """\
# Parameters

All parameters of the node `timebill`. `make reference` writes this page from their declarations.

Set a parameter in a YAML file ([config/timebill.yaml](../config/timebill.yaml) has them all), on
the command line (`--ros-args -p model:=FILE.gguf`), or with `ros2 param set`. The column *change*
says when `ros2 param set` works:

- *at any time*: the new value applies at the next query.
- *while unconfigured*: the new value applies at the next configure.
- *at the start only*: the value is fixed when the node starts.

The node refuses a value outside its bounds, and says why. If you set several parameters at once,
the node takes all of them or none. When it starts, it warns of values for unknown parameters.
"""
_YAML = """\
# All parameters of the node `timebill`, with their defaults; `make reference` writes this file.
# After each value: its unit, its bounds or choices, and when `ros2 param set` can change it. See
# also docs/parameters.md.
/**:  # in every namespace
  ros__parameters:
"""


def markdown() -> str:
    """Return docs/parameters.md."""
    return _MARKDOWN + ''.join(
        f'\n## {heading}\n\n{introduction}\n\n'
        '| name | default | unit | values | change | description |\n'
        '| --- | --- | --- | --- | --- | --- |\n' + ''.join(f'{_row(spec)}\n' for spec in specs)
        for heading, introduction, specs in _concerns()
    )


def yaml_file() -> str:
    """Return config/timebill.yaml."""
    return _YAML + '\n'.join(
        f'    # -- {heading} --\n' + ''.join(f'{_entry(spec)}\n' for spec in specs)
        for heading, _, specs in _concerns()
    )


def _concerns() -> Iterator[tuple[str, str, list[ParameterSpec]]]:
    """Yield heading, introduction and parameters of each concern; the node's own come last."""
    settings, own = NodeSettings(), NodeSettings().specs
    for field in dataclasses.fields(settings):
        concern = getattr(settings, field.name)
        if isinstance(concern, Settings):
            introduction = (type(concern).__doc__ or '').partition('\n')[0]
            yield field.name.capitalize(), introduction, list(concern.specs.values())
            for name in concern.specs:
                del own[name]
    yield 'Node', 'The node as a whole.', list(own.values())


def _row(spec: ParameterSpec) -> str:
    cells = (
        f'`{spec.name}`',
        f'`{_literal(spec.default)}`',
        spec.unit,
        _values(spec),
        _CHANGE[spec.change],
        spec.description.replace('|', r'\|'),
    )
    return f'| {" | ".join(cells)} |'


def _entry(spec: ParameterSpec) -> str:
    facts = [fact for fact in (spec.unit, _values(spec), f'change {_CHANGE[spec.change]}') if fact]
    comment = textwrap.fill(
        spec.description, 99, initial_indent='    # ', subsequent_indent='    # '
    )
    return f'{comment}\n    {spec.name}: {_literal(spec.default)}  # {"; ".join(facts)}'


def _values(spec: ParameterSpec) -> str:
    """Return the bounds or the choices; '' if any value is allowed."""
    if spec.bounds is not None:
        return f'{spec.bounds[0]:.15g} to {spec.bounds[1]:.15g}'
    return ', '.join(spec.choices)


def _literal(value: ParameterValue) -> str:
    """Return a value as YAML has it; a float keeps its point, for ROS tells it from an integer."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower()


def main(arguments: list[str]) -> int:
    """Write the files that are not as they should be; return the exit status.

    Arguments:
        arguments: the paths of docs/parameters.md and config/timebill.yaml.
    """
    for path, text in zip(arguments, (markdown(), yaml_file()), strict=True):
        file = Path(path)
        if not file.exists() or file.read_text(encoding='utf-8') != text:  # make builds anew then
            file.write_text(text, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
