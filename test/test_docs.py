"""The pages for people: their links lead somewhere, and their commands exist."""

import re
from pathlib import Path

import pytest

from benchmark.__main__ import QUESTIONS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
TARGETS = re.findall(r'^([a-z-]+):(?!=)', (ROOT / 'Makefile').read_text(), re.M)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r'^#+ (.*)$', page.read_text(), re.M)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_make_command_exists(page: Path) -> None:
    named = set(re.findall(r'(?:`|^)make ([\w-]+)', page.read_text(), re.M))
    known = {*TARGETS, *(f'bench-{name}' for name in QUESTIONS), 'bench-NAME'}
    assert named - known == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / 'README.md').read_bytes()) <= 9000
