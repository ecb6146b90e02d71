"""The node's executor goes on while the worker loads, measures and generates."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rcl_interfaces.srv import GetParameters

from support.asker import wait_until
from support.node_in_process import built_in_node, own_cache

pytestmark = pytest.mark.alone


def test_a_timer_and_a_parameter_request_run_on_meanwhile(tmp_path: Path) -> None:
    with built_in_node(own_cache(tmp_path), 4.0) as running:
        node, asker = running.node, running.asker
        ticks: list[float] = []
        node.create_timer(0.02, lambda: ticks.append(time.monotonic()))
        running.spinning.start()
        client = asker.node.create_client(GetParameters, '/timebill/get_parameters')
        assert client.wait_for_service(10.0)

        def longest_gap(work: str, until: Callable[[], bool]) -> None:
            ticks.clear()
            answered = 0
            while not until():
                future = client.call_async(GetParameters.Request(names=['model']))
                wait_until(future.done, 2.0, f'a parameter request during {work}')
                answered += 1
                time.sleep(0.05)
            gaps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
            assert answered > 5
            assert max(gaps) < 0.5, work  # 20 ms by design; a blocking call would take seconds
            assert sorted(gaps)[len(gaps) // 2] < 0.04, work

        longest_gap('loading', lambda: node._supervisor.ready is not None)
        asker.wait_until_serving()
        query = asker.query('Tell a long story.', 4.0, id='long', max_new_tokens=4000)
        asker.publisher.publish(query)
        longest_gap('generating', lambda: any(r.query_id == 'long' for r in asker.replies))
