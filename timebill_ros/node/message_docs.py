"""Writes docs/messages.md from the comments in msg/, srv/ and action/.

`make reference` runs it; a test fails while the file differs from what this writes.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

_PAGE = """\
# Messages, services and the action

`make reference` writes this page from the comments in `msg/`, `srv/` and `action/`. With ROS 2,
`ros2 interface show timebill_ros/msg/Query` shows the same. [The interface](interface.md) tells
how they are used.
"""
_SECTIONS = {
    'msg': ('',),
    'srv': ('Request', 'Reply'),
    'action': ('Goal', 'Result', 'Feedback'),
}
_CONSTANT = re.compile(r'(\S+)\s+([A-Z][A-Z0-9_]*)\s*=\s*(\S+)\s*(?:#\s*(.*))?$')
_FIELD = re.compile(r'(\S+)\s+([a-z][a-z0-9_]*)(?:\s+([^\s#]+))?\s*(?:#\s*(.*))?$')


@dataclass
class Section:
    """A message, or a part of a service or an action.

    Arguments:
        introduction: the comment above everything else.
        constants: by the comment above them: name, value, meaning.
        fields: type, name, meaning.
    """

    introduction: str = ''
    constants: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    fields: list[tuple[str, str, str]] = field(default_factory=list)


def sections_of(text: str) -> list[Section]:
    """Return what an interface file says.

    Raises:
        ValueError: a line that is neither a comment, a constant nor a field.
    """
    sections = [Section()]
    comment: list[str] = []
    is_used = is_constant = False
    for line in text.splitlines():
        section = sections[-1]
        if line == '---':
            sections.append(Section())
            comment, is_used = [], False
        elif not line.strip():
            if comment and not is_used and not (section.fields or section.constants):
                section.introduction = ' '.join(comment)
            comment, is_used = [], False
        elif line.startswith('#'):
            comment = [*([] if is_used else comment), line.lstrip('# ')]
            is_used = is_constant = False
        elif line.lstrip().startswith('#') and is_constant:
            group = section.constants[' '.join(comment)]
            name, value, meaning = group.pop()
            group.append((name, value, f'{meaning} {line.strip().lstrip("# ")}'))
        elif found := _CONSTANT.match(line):
            told = (found[2], found[3], found[4] or '')
            section.constants.setdefault(' '.join(comment), []).append(told)
            is_used = is_constant = True
        elif found := _FIELD.match(line):
            told_beside = [f'({found[4]})'] if found[4] else []
            section.fields.append((found[1], found[2], ' '.join([*comment, *told_beside])))
            is_used, is_constant = True, False
        else:
            raise ValueError(f'neither a comment, a constant nor a field: {line!r}')
    return sections


def markdown(root: Path) -> str:
    """Return docs/messages.md.

    Arguments:
        root: the folder with msg/, srv/ and action/.
    """
    page = _PAGE
    for kind, names in _SECTIONS.items():
        for path in sorted((root / kind).glob(f'*.{kind}')):
            sections = sections_of(path.read_text(encoding='utf-8'))
            page += f'\n## {path.stem}\n'
            for name, section in zip(names, sections, strict=True):
                page += (f'\n### {path.stem}: {name}\n' if name else '') + _body(section)
    return page


def _body(section: Section) -> str:
    body = f'\n{_cell(section.introduction)}\n' if section.introduction else ''
    for comment, constants in section.constants.items():
        rows = ''.join(
            f'| {name} | {value} | {_cell(told)} |\n' for name, value, told in constants
        )
        heading = f'\n{_cell(comment)}\n' if comment else ''
        body += f'{heading}\n| constant | value | meaning |\n| --- | --- | --- |\n{rows}'
    if section.fields:
        rows = ''.join(
            f'| `{name}` | `{kind}` | {_cell(told)} |\n' for kind, name, told in section.fields
        )
        body += f'\n| field | type | meaning |\n| --- | --- | --- |\n{rows}'
    return body


def _cell(text: str) -> str:
    """Return a comment as a cell of a table."""
    return text.replace('|', r'\|').replace('*', r'\*').replace('<', '&lt;')


def main(arguments: list[str]) -> int:
    """Write the page; return the exit status.

    Arguments:
        arguments: the folder with msg/, srv/ and action/; the path of docs/messages.md.
    """
    root, path = map(Path, arguments)
    path.write_text(markdown(root), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
