"""Tests that hang are ended with a traceback of every thread."""

import faulthandler

faulthandler.enable()
