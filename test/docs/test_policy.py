"""The SROS 2 policy has what the node, the client and the monitor really use, and no more."""

import contextlib
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from support.ros_domain import next_domain
from timebill_ros.action import Generate
from timebill_ros.client import TimeBillClient
from timebill_ros.monitor.monitor_node import MonitorNode
from timebill_ros.node.timebill_node import TimebillNode

POLICY = Path(__file__).parents[2] / 'config' / 'sros2' / 'timebill.policy.xml'
KINDS = {
    ('topics', 'publish'): 'get_publisher_names_and_types_by_node',
    ('topics', 'subscribe'): 'get_subscriber_names_and_types_by_node',
    ('services', 'reply'): 'get_service_names_and_types_by_node',
    ('services', 'request'): 'get_client_names_and_types_by_node',
}
NOT_ALWAYS = {'/clock', '/parameter_events', '/bond', '/timebill/statistics'}
"""Used with use_sim_time, by some distributions, with a bond, or by other programs that watch."""
SERVICES_OF_AN_ACTION = ('send_goal', 'cancel_goal', 'get_result')
TOPICS_OF_AN_ACTION = ('feedback', 'status')


def allowed(enclave: str) -> dict[tuple[str, str], set[str]]:
    """Return the full names that an enclave allows, by kind and direction."""
    (profile,) = ElementTree.parse(POLICY).findall(f'.//enclave[@path="{enclave}"]//profile')
    own = profile.attrib['ns'].rstrip('/') + '/' + profile.attrib['node']
    names: dict[tuple[str, str], set[str]] = {kind: set() for kind in KINDS}
    for group in profile:
        told = {(item.text or '').replace('~', own) for item in group}
        for direction, rule in group.attrib.items():
            assert rule == 'ALLOW'
            if group.tag == 'actions':
                # As sros2's permissions.xsl takes it apart.
                topics, services = {'execute': ('publish', 'reply')}.get(
                    direction, ('subscribe', 'request')
                )
                names['topics', topics] |= _parts(told, TOPICS_OF_AN_ACTION)
                names['services', services] |= _parts(told, SERVICES_OF_AN_ACTION)
            else:
                names[group.tag, direction] |= told
    return names


def _parts(actions: set[str], parts: tuple[str, ...]) -> set[str]:
    return {f'{action}/_action/{part}' for action in actions for part in parts}


def used(node: Node) -> dict[tuple[str, str], set[str]]:
    """Return the full names that a node uses, by kind and direction."""
    time.sleep(0.2)  # the graph learns of a node's own parts a little later
    own = node.get_name(), node.get_namespace()
    return {
        kind: {name for name, _ in getattr(node, function)(*own)}
        for kind, function in KINDS.items()
    }


@contextlib.contextmanager
def context() -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made, domain_id=next_domain())
    try:
        yield made
    finally:
        rclpy.shutdown(context=made)


def made(enclave: str, ros: Context) -> Any:
    """Return the node of an enclave."""
    if enclave == '/timebill/node':
        autostart = [Parameter('autostart', value=False)]
        return TimebillNode(context=ros, parameter_overrides=autostart)
    if enclave == '/timebill/monitor':
        return MonitorNode('/timebill', context=ros)
    planner = Node('planner', context=ros)
    TimeBillClient(planner)
    ActionClient(planner, Generate, '/timebill/generate')
    return planner


@pytest.mark.parametrize('enclave', ['/timebill/node', '/timebill/planner', '/timebill/monitor'])
def test_an_enclave_allows_what_its_node_uses_and_no_more(enclave: str) -> None:
    with context() as ros:
        node = made(enclave, ros)
        found = used(node)
        node.destroy_node()
    for kind, names in allowed(enclave).items():
        assert found[kind] - names == set(), f'{enclave} may not {kind}'
        extra = {name for name in names - found[kind] if 'get_type_description' not in name}
        assert extra <= NOT_ALWAYS, f'{enclave} does not {kind}'


def test_who_asks_can_neither_set_parameters_nor_drive_the_lifecycle() -> None:
    node = allowed('/timebill/node')
    asked = {'/timebill/cancel', '/timebill/prepare'}
    asked |= _parts({'/timebill/generate'}, SERVICES_OF_AN_ACTION)
    assert allowed('/timebill/planner')['services', 'request'] == asked
    operated = allowed('/timebill/operator')['services', 'request']
    assert operated == node['services', 'reply'] - asked
    assert allowed('/timebill/monitor')['services', 'request'] == set()


def test_what_one_may_receive_another_may_send() -> None:
    for kind, other in (('publish', 'subscribe'), ('subscribe', 'publish')):
        of_node = allowed('/timebill/node')['topics', kind]
        for enclave in ('/timebill/planner', '/timebill/monitor', '/timebill/operator'):
            names = {
                name for name in allowed(enclave)['topics', other] if name.startswith('/timebill/')
            }
            assert names <= of_node
