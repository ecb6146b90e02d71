"""Configuration of Sphinx for the pages in this folder; `make docs` builds them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

project = 'timebill_ros'
author = 'timebill_ros maintainers'
release = re.findall(r'<version>(.*)</version>', (ROOT / 'package.xml').read_text())[0]
version = release

extensions = ['myst_parser']
exclude_patterns = ['figures', 'cpp']
# The anchors of GitHub, so that a link works there and here.
myst_heading_anchors = 4
html_theme = 'sphinx_rtd_theme'
html_title = 'timebill_ros'
html_show_sphinx = False
# Prose is English, and short: straight quotes stay as they are typed.
smartquotes = False
