"""Reading texts straight from a package's archive."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from timebill_ros.training.archive import Archive

FILES = {
    'p/b.jsonl': b'{"a": 1}\n\nversion https://git-lfs\n{"a": 2}',
    'p/a.jsonl.gz': gzip.compress(b'{"a": 3}\n'),
    'p/c.json': json.dumps(['\u00e9']).encode(),
}


@pytest.fixture(params=['p-1.whl', 'p-1.tar.gz'])
def archive(request: pytest.FixtureRequest, tmp_path: Path):
    path = tmp_path / request.param
    if path.suffix == '.whl':
        with zipfile.ZipFile(path, 'w') as wheel:
            for name, content in FILES.items():
                wheel.writestr(name, content)
    else:
        with tarfile.open(path, 'w:gz') as sdist:
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                sdist.addfile(member, io.BytesIO(content))
    with Archive(path) as opened:
        yield opened


def test_names_are_sorted_and_filtered(archive: Archive) -> None:
    assert archive.names() == ['p/a.jsonl.gz', 'p/b.jsonl', 'p/c.json']
    assert archive.names('p/', '.json') == ['p/c.json']


def test_lines_that_are_not_json_are_passed_over(archive: Archive) -> None:
    assert list(archive.json_lines('p/b.jsonl')) == [{'a': 1}, {'a': 2}]


def test_what_is_packed_inside_is_unpacked(archive: Archive) -> None:
    assert list(archive.json_lines('p/a.jsonl.gz')) == [{'a': 3}]
    assert archive.json('p/c.json') == ['é']
