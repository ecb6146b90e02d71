"""The two meanings of Ctrl-C."""

import signal

import pytest

from timebill_ros.training.ends_after_this import EndsAfterThis


def test_the_first_interrupt_is_a_wish_and_the_second_an_order() -> None:
    # A shell starts its background jobs with SIGINT ignored: the tests may be one.
    started_with = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), EndsAfterThis() as ends:
            signal.raise_signal(signal.SIGINT)
            assert ends.told
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, started_with)
