"""A package's archive, read as a folder of texts. Nothing is installed, imported or run."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast


class Archive:
    """A wheel (a zip file) or an sdist (a tar file), open for reading. A context manager.

    Arguments:
        path: the archive, .whl or .tar.gz.
    """

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path) if path.suffix == '.whl' else None
        self._tar = tarfile.open(path) if self._zip is None else None  # noqa: SIM115

    def __enter__(self) -> 'Archive':
        return self

    def __exit__(self, *_: object) -> None:
        for archive in (self._zip, self._tar):
            if archive is not None:
                archive.close()

    def names(self, contains: str = '', suffix: str = '') -> list[str]:
        """Return the sorted names of the files that contain one text and end with another."""
        if self._zip is not None:
            names = self._zip.namelist()
        else:
            assert self._tar is not None
            names = self._tar.getnames()
        return sorted(name for name in names if contains in name and name.endswith(suffix))

    def text(self, name: str) -> str:
        """Return a file's text; a .gz file is unpacked."""
        with self._open(name) as file:
            return file.read().decode()

    def json(self, name: str) -> Any:
        """Return the content of a JSON file."""
        return json.loads(self.text(name))

    def json_lines(self, name: str) -> Iterator[Any]:
        """Yield the content of each JSON line; read no further than the caller needs."""
        with self._open(name) as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:  # an empty line, or a pointer to a file that is elsewhere
                    continue

    def _open(self, name: str) -> IO[bytes]:
        if self._zip is not None:
            file: IO[bytes] = self._zip.open(name)
        else:
            assert self._tar is not None
            file = self._tar.extractfile(name) or io.BytesIO()
        # typeshed's GzipFile is no IO.
        return cast(IO[bytes], gzip.open(file)) if name.endswith('.gz') else file
