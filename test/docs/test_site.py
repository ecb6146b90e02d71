"""The pages become a web site without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_sphinx_builds_the_pages_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip('sphinx', reason='make docs installs Sphinx')
    pytest.importorskip('myst_parser', reason='make docs installs MyST')
    command = ['-m', 'sphinx', '-q', '-W', '--keep-going', '-b', 'html', 'docs', str(tmp_path)]
    built = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert (built.returncode, built.stderr) == (0, '')
    assert (tmp_path / 'index.html').exists()


def test_every_page_is_in_a_table_of_contents() -> None:
    index = (ROOT / 'docs' / 'index.md').read_text()
    listed = [
        name
        for table in re.findall(r'```\{toctree\}\n(.*?)```', index, re.S)
        for name in re.findall(r'^\w+$', table, re.M)
    ]
    pages = {path.stem for path in (ROOT / 'docs').glob('*.*') if path.suffix in ('.md', '.rst')}
    assert sorted(listed) == sorted(pages - {'index'})


def test_the_figures_are_as_their_script_draws_them() -> None:
    draw = ROOT / 'docs' / 'figures' / 'draw.py'
    names: dict[str, object] = {'__name__': 'draw', '__file__': str(draw)}
    exec(compile(draw.read_text(), draw, 'exec'), names)
    figures = sorted((ROOT / 'docs' / 'figures').glob('*.svg'))
    assert len(figures) == 5
    for figure in figures:
        drawing = names[figure.stem]
        assert callable(drawing)
        assert figure.read_text() == drawing().svg(), f'run: python {draw}'
