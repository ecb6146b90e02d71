import re
from pathlib import Path

import pytest

from timebill_ros.client.constant_names import constant_name
from timebill_ros.core.outcome import FinishReason, MissReason
from timebill_ros.msg import DeadlineMiss, Response

MESSAGES = Path(__file__).parents[2] / 'msg'


@pytest.mark.parametrize(
    ('message_type', 'reasons'), [(DeadlineMiss, MissReason), (Response, FinishReason)]
)
def test_the_constants_of_the_message_are_those_of_the_node(message_type, reasons) -> None:
    text = (MESSAGES / f'{message_type.__name__}.msg').read_text()
    constants = re.findall(r'^uint8 ([A-Z_]+)=(\d+)', text, re.M)
    written = {int(value): name for name, value in constants}
    assert written == {int(reason): reason.name for reason in reasons}
    assert {value: constant_name(message_type, value) for value in written} == written


def test_an_unknown_value_has_no_name() -> None:
    assert constant_name(DeadlineMiss, 200) == ''
