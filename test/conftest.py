"""Lets tests import their helpers by name, and never wait for ever."""

import faulthandler
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
faulthandler.enable()
