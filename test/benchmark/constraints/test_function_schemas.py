"""Function signatures become JSON schemas, and each is asked for once."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.constraints.choice_items import _distinct, _function_items
from benchmark.constraints.function_schemas import as_json_schema, function_schemas
from timebill_ros.training.archive import Archive


def parameters(name: str) -> dict[str, object]:
    return {'type': 'dict', 'properties': {name: {'type': 'float', 'default': 1.0}}}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive with three functions, two of which have the same parameters."""
    functions = [
        {'name': name, 'description': 'Drives.', 'parameters': parameters(key)}
        for name, key in (('go', 'metres'), ('drive', 'metres'), ('turn', 'degrees'))
    ]
    rows = [
        {'question': [[{'role': 'user', 'content': 'Come here.'}]], 'function': functions},
        {'question': [[{'role': 'user', 'content': 'Turn.'}]], 'function': functions[2:]},
    ]
    with zipfile.ZipFile(tmp_path / 'a.whl', 'w') as written:
        for name in (
            *('live_simple', 'live_multiple', 'live_parallel', 'live_parallel_multiple'),
            *('simple_python', 'simple_java', 'simple_javascript'),
            *('multiple', 'parallel', 'parallel_multiple'),
        ):
            text = '\n'.join(map(json.dumps, rows)) if name == 'multiple' else ''
            written.writestr(f'bfcl_eval/data/BFCL_v4_{name}.json', text)
    with Archive(tmp_path / 'a.whl') as archive:
        yield archive


def test_the_same_parameters_are_asked_for_once(archive: Archive) -> None:
    found = function_schemas(archive, 2, seed=0)
    assert {function.name for function in found} == {'go', 'turn'}
    assert found == function_schemas(archive, 2, seed=0)
    for function in found:
        assert function.schema['type'] == 'object'
        assert json.loads(function.text) == function.schema
        assert function.prompt.startswith('Come here.')


def test_types_are_those_of_json_and_all_else_stays() -> None:
    schema = {
        'type': 'dict',
        'properties': {
            'type': {'type': 'String', 'enum': ['float', 'dict']},
            'many': {'type': 'ArrayList', 'items': {'type': 'dict', 'properties': {}}},
            'what': {'type': 'any', 'default': 'tuple'},
            'odd': {'type': 'date'},
        },
        'required': ['type'],
    }
    assert as_json_schema(schema) == {
        'type': 'object',
        'properties': {
            'type': {'type': 'string', 'enum': ['float', 'dict']},
            'many': {'type': 'array', 'items': {'type': 'object', 'properties': {}}},
            'what': {'default': 'tuple'},
            'odd': {'type': 'date'},
        },
        'required': ['type'],
    }


def test_functions_to_choose_from_are_an_item_unless_there_is_one(archive: Archive) -> None:
    (item,) = _distinct(_function_items(archive))
    assert item.choices == ('go', 'drive', 'turn')
    assert item.prompt.endswith('- go\n- drive\n- turn')
