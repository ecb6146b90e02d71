"""The handshake of asker and node, on a clock of its own."""

from rclpy.task import Future

from timebill_ros.client.handshake import RETRY_S, UNANSWERED_S, Handshake


class Greeted:
    """A service that responds when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.is_there = True
        self.requests: list[Future] = []
        self.forgotten: list[Future] = []
        self.handshake = Handshake(self._request, self.forgotten.append, lambda: self.now_s)

    def respond(self) -> None:
        self.requests[-1].set_result('here')

    def _request(self) -> Future | None:
        if not self.is_there:
            return None
        self.requests.append(Future())
        return self.requests[-1]


def test_it_is_done_when_the_server_has_responded() -> None:
    greeted = Greeted()
    assert not greeted.handshake.is_done(None)
    assert greeted.requests == []
    assert not greeted.handshake.is_done('node')
    greeted.respond()
    assert greeted.handshake.is_done('node')
    greeted.now_s = 1000.0
    assert greeted.handshake.is_done('node')
    assert len(greeted.requests) == 1


def test_a_request_is_repeated_and_the_lost_one_forgotten() -> None:
    greeted = Greeted()
    assert not greeted.handshake.is_done('node')
    greeted.now_s = RETRY_S - 0.01
    assert not greeted.handshake.is_done('node')
    assert len(greeted.requests) == 1
    greeted.now_s = RETRY_S
    assert not greeted.handshake.is_done('node')
    assert greeted.forgotten == greeted.requests[:1]
    greeted.respond()
    assert greeted.handshake.is_done('node')


def test_a_service_that_comes_late_is_asked_at_once() -> None:
    greeted = Greeted()
    greeted.is_there = False
    assert not greeted.handshake.is_done('node')
    greeted.is_there = True
    assert not greeted.handshake.is_done('node')
    assert len(greeted.requests) == 1


def test_another_server_must_respond_too() -> None:
    greeted = Greeted()
    greeted.handshake.is_done('node')
    greeted.respond()
    assert greeted.handshake.is_done('node')
    assert not greeted.handshake.is_done('another')
    greeted.respond()
    assert greeted.handshake.is_done('another')
    assert not greeted.handshake.is_done(None)
    assert len(greeted.requests) == 2


def test_silence_is_not_waited_for_longer_than_its_bound() -> None:
    greeted = Greeted()
    greeted.now_s = 5.0
    assert not greeted.handshake.is_done('node')
    greeted.now_s = 5.0 + UNANSWERED_S - 0.01
    assert not greeted.handshake.is_done('node')
    greeted.now_s = 5.0 + UNANSWERED_S
    assert greeted.handshake.is_done('node')
