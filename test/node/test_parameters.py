"""The table of parameters: bounds, choices, and what rclpy makes of it."""

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from support.fake_logger import FakeLogger
from support.ros_domain import next_domain
from timebill_ros.core.parameter_spec import ParameterSpec
from timebill_ros.node import parameters
from timebill_ros.node.lenient_parameters import LenientParameters
from timebill_ros.node.settings import NodeSettings

SPECS = NodeSettings().specs
SCORERS = ', '.join(SPECS['eviction_scorer'].choices)
LOAD_TIME = [name for name, spec in SPECS.items() if spec.change == 'unconfigured']


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context, domain_id=next_domain())
    node = Node('holder', context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize('spec', SPECS.values(), ids=SPECS)
def test_every_parameter_says_what_it_is(spec: ParameterSpec) -> None:
    assert spec.description.endswith('.')
    if isinstance(spec.default, int | float) and not isinstance(spec.default, bool):
        with pytest.raises(ValueError, match=f'^{spec.name} must be in'):
            NodeSettings().with_values({spec.name: -1})


def test_a_set_is_taken_whole_or_not_at_all() -> None:
    before = NodeSettings()
    both = [Parameter('chunk_rate', value=5.0), Parameter('publish_reserve', value=99.0)]
    with pytest.raises(ValueError, match=r'publish_reserve must be in \[0.0, 10.0\] s, got 99.0'):
        parameters.changed(before, both, is_unconfigured=False)
    assert parameters.changed(before, both[:1], is_unconfigured=False).serving.chunk_rate == 5.0


def test_the_default_budget_may_not_exceed_the_largest() -> None:
    with pytest.raises(ValueError, match='default_time_budget must be at most max_time_budget'):
        parameters.changed(
            NodeSettings(), [Parameter('max_time_budget', value=5.0)], is_unconfigured=False
        )


def test_other_types_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match='chunk_rate must be a float, got 5'):
        parameters.changed(
            NodeSettings(), [Parameter('chunk_rate', value=5)], is_unconfigured=False
        )


def test_declared_parameters_have_descriptions_units_and_ranges(node: Node) -> None:
    assert parameters.declare(node) == NodeSettings()
    descriptor = node.describe_parameter('publish_reserve')
    assert descriptor.description.endswith('[s] Applies at the next query.')
    assert descriptor.floating_point_range[0].to_value == 10.0
    assert 'at the next configure' in node.describe_parameter('model').description
    order = node.describe_parameter('queue_order')
    assert order.additional_constraints == 'One of fifo, edf.'
    assert 'One of fifo, edf. Applies' in order.description


def test_ranges_suit_a_slider(node: Node) -> None:
    parameters.declare(node)
    for name, spec in SPECS.items():
        descriptor = node.describe_parameter(name)
        for floats in descriptor.floating_point_range:
            assert (floats.step, floats.from_value < floats.to_value) == (0.0, True)
            assert floats.from_value <= spec.default <= floats.to_value
        for integers in descriptor.integer_range:
            assert (spec.default - integers.from_value) % integers.step == 0
            assert (integers.to_value - integers.from_value) % integers.step == 0


@pytest.fixture
def lenient() -> Iterator[LenientParameters]:
    context = Context()
    rclpy.init(context=context, domain_id=next_domain())
    node = LenientParameters(
        'holder', context=context, parameter_overrides=[Parameter('chunk_rate', value=5)]
    )
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_an_integer_given_at_start_is_taken_for_a_double(lenient: LenientParameters) -> None:
    assert parameters.declare(lenient).serving.chunk_rate == 5.0
    assert type(lenient.get_parameter('chunk_rate').value) is float


def test_an_integer_is_taken_for_a_double_which_stays_one(lenient: LenientParameters) -> None:
    parameters.declare(lenient)
    assert lenient.set_parameters_atomically([Parameter('publish_reserve', value=1)]).successful
    parameter = lenient.get_parameter('publish_reserve')
    assert (parameter.type_, parameter.value) == (Parameter.Type.DOUBLE, 1.0)
    assert lenient.describe_parameter('publish_reserve').type == Parameter.Type.DOUBLE.value
    for other in ('1', True):
        refused = lenient.set_parameters_atomically([Parameter('publish_reserve', value=other)])
        assert not refused.successful


OFF = [name for name, spec in SPECS.items() if 'off' in spec.choices]


@pytest.mark.parametrize('name', OFF)
def test_what_yaml_reads_of_off_is_the_text(node: Node, name: str) -> None:
    """`-p eviction_policy:=off` and `ros2 param set` make a bool of it."""
    context = node.context
    given = LenientParameters(
        'given', context=context, parameter_overrides=[Parameter(name, value=False)]
    )
    settings = parameters.declare(given)
    assert settings.values[name] == given.get_parameter(name).value == 'off'
    assert given.set_parameters_atomically([Parameter(name, value=False)]).successful
    assert given.get_parameter(name).value == 'off'
    assert not given.set_parameters_atomically([Parameter(name, value=True)]).successful
    given.destroy_node()


def test_only_where_off_is_a_choice(lenient: LenientParameters) -> None:
    assert OFF == ['eviction_policy', 'remote_policy']
    parameters.declare(lenient)
    refused = lenient.set_parameters_atomically([Parameter('queue_order', value=False)])
    assert not refused.successful


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('chunk_rate', 'fast', 'type'),
        ('chunk_rate', 5000.0, 'range'),
        ('autostart', False, 'read-only'),
    ],
)
def test_what_is_refused_is_warned_of_with_the_reason(
    lenient: LenientParameters,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
    reason: str,
) -> None:
    parameters.declare(lenient)
    logger = FakeLogger()
    monkeypatch.setattr(lenient, 'get_logger', lambda: logger)
    result = lenient.set_parameters_atomically([Parameter(name, value=value)])
    assert logger.lines == [('warning', f'no parameter is changed: {result.reason}')]
    assert reason in result.reason


def test_a_parameter_that_there_is_not_is_warned_of(
    lenient: LenientParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = FakeLogger()
    monkeypatch.setattr(lenient, 'get_logger', lambda: logger)
    with pytest.raises(ParameterNotDeclaredException):
        lenient.set_parameters_atomically([Parameter('nonsense', value=1)])
    assert len(logger.at('warning')) == 1
    assert 'nonsense' in logger.at('warning')[0]


def test_autostart_and_where_the_remote_engine_is_are_read_only(node: Node) -> None:
    parameters.declare(node)
    remote = {'url', 'model', 'api_key_env', 'ca_file', 'timeout', 'requests_per_hour'}
    read_only = {name for name in SPECS if node.describe_parameter(name).read_only}
    assert read_only == {'autostart'} | {f'remote_{name}' for name in remote}
    (result,) = node.set_parameters([Parameter('autostart', value=False)])
    assert not result.successful


def test_autostart_is_fixed_also_while_the_node_is_unconfigured() -> None:
    change = [Parameter('autostart', value=False)]
    with pytest.raises(ValueError, match='autostart is fixed when the node starts'):
        parameters.changed(NodeSettings(), change, is_unconfigured=True)


def test_load_time_parameters_may_change_only_while_unconfigured() -> None:
    assert {'model', 'device', 'dtype', 'threads', 'profile_time'} < set(LOAD_TIME)
    change = [Parameter('model', value='other'), Parameter('chunk_rate', value=5.0)]
    with pytest.raises(ValueError, match=r'model may be changed only while .* unconfigured'):
        parameters.changed(NodeSettings(), change, is_unconfigured=False)
    changed = parameters.changed(NodeSettings(), change, is_unconfigured=True)
    assert (changed.loading.model, changed.serving.chunk_rate) == ('other', 5.0)


def test_a_load_time_parameter_may_be_set_to_what_it_is() -> None:
    same = [Parameter(name, value=SPECS[name].default) for name in LOAD_TIME]
    assert parameters.changed(NodeSettings(), same, is_unconfigured=False) == NodeSettings()


@pytest.mark.parametrize(
    ('name', 'value', 'sentence'),
    [
        ('queue_order', 'lifo', "queue_order must be one of fifo, edf, got 'lifo'"),
        ('overrun_policy', 'wait', 'overrun_policy must be one of kill, skip_next, partial'),
        ('admission', 'none', 'admission must be one of backlog, alone'),
        ('keep_latest', 1, 'keep_latest must be a bool, got 1'),
        ('eviction_scorer', 'h2o', f'eviction_scorer must be one of {SCORERS}, got'),
        ('repetition_penalty', 0.5, 'repetition_penalty must be 0.0 or at least 1.0, got 0.5'),
    ],
)
def test_a_bad_choice_is_refused_with_the_choices(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parameters.changed(NodeSettings(), [Parameter(name, value=value)], is_unconfigured=True)
