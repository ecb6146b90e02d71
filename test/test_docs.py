"""The pages for people: their links lead somewhere, and their commands exist."""

import re
from pathlib import Path

import pytest

from benchmark.__main__ import QUESTIONS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
EXAMPLES = [
    path.stem
    for path in (ROOT / 'timebill_ros' / 'examples').glob('*.py')
    if 'def main(' in path.read_text()
]
EXECUTABLES = re.findall(r'^    ([a-z_]+) = timebill_ros', (ROOT / 'setup.cfg').read_text(), re.M)
TARGETS = re.findall(r'^([a-z-]+):(?!=)', (ROOT / 'Makefile').read_text(), re.M)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r'^#+ (.*)$', page.read_text(), re.M)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if link.startswith('https://'):
            continue  # a test needs no network
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_make_command_exists(page: Path) -> None:
    named = set(re.findall(r'(?:`|^)make ([\w-]+)', page.read_text(), re.M))
    known = {
        *TARGETS,
        *(f'bench-{name}' for name in (*QUESTIONS, 'NAME')),
        *(f'example-{name}' for name in EXAMPLES),
    }
    assert named - known == set()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_executable_exists(page: Path) -> None:
    named = set(re.findall(r'ros2 run timebill_ros (\w+)', page.read_text()))
    assert named - set(EXECUTABLES) == set()


@pytest.mark.parametrize('page', ['README.md', 'docs/quickstart.md', 'docs/hardware.md'])
def test_the_packages_to_install_are_those_that_are_needed(page: str) -> None:
    (needed,) = re.findall(
        r'^install_requires =\n((?:    .*\n)+)', (ROOT / 'setup.cfg').read_text(), re.M
    )
    (line,) = re.findall(r'pip install (accelerate .*)', (ROOT / page).read_text())
    # numpy comes with ROS, tokenizers with transformers, torch perhaps from a board's vendor.
    missing = set(re.findall(r'^ +([a-z_]+)', needed, re.M)) - {'numpy', 'tokenizers', 'torch'}
    assert missing - set(re.findall(r'[a-z_]+', line)) == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / 'README.md').read_bytes()) <= 9000
