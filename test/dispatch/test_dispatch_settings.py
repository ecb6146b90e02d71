from timebill_ros.dispatch.dispatch_settings import DispatchSettings


def test_chunks_are_as_far_apart_as_their_rate_says() -> None:
    assert DispatchSettings(chunk_rate=20.0).chunk_period_s == 0.05
