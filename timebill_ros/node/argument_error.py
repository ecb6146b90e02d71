"""What is wrong with ROS's arguments of a process, as a sentence."""

import re

_PLACE = re.compile(r', at /\S+:\d+')
"""rcl names the lines of its source."""


def argument_error(error: Exception) -> str:
    """Return a sentence for what rcl cannot read."""
    sentence = _PLACE.sub('', str(error)).strip()
    if 'parameter override rule' in sentence:
        sentence += '. The value must be YAML: quote a text twice, -p "NAME:=\'TEXT\'"'
    return sentence
