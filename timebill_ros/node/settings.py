"""All parameters of the node, grouped by concern."""

import importlib.util
from dataclasses import dataclass, field

from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.remote_settings import RemoteSettings
from timebill_ros.core.settings import Settings
from timebill_ros.dispatch.dispatch_settings import DispatchSettings
from timebill_ros.node.query_settings import QuerySettings


@dataclass(frozen=True)
class NodeSettings(Settings):
    """All parameters of the node."""

    loading: ModelSettings = field(default_factory=ModelSettings)
    queries: QuerySettings = field(default_factory=QuerySettings)
    serving: DispatchSettings = field(default_factory=DispatchSettings)
    planning: PlannerSettings = field(default_factory=PlannerSettings)
    remote: RemoteSettings = field(default_factory=RemoteSettings)
    autostart: bool = parameter(
        True,
        'Configure the node when it starts, and activate it when the model is ready. false: wait '
        'for lifecycle transitions.',
        change='never',
    )
    bond_heartbeat_period_s: float = parameter(
        0.0,
        "Period of the heartbeat by which nav2's lifecycle manager knows that the node lives, "
        "while it is active. 0.0: no heartbeat; set the manager's `bond_timeout` to 0.0 then. "
        'Needs `bondpy`.',
        name='bond_heartbeat_period',
        unit='s',
        bounds=(0.0, 10.0),
        change='unconfigured',
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bond_heartbeat_period_s > 0.0 and importlib.util.find_spec('bondpy') is None:
            raise ValueError(
                'bond_heartbeat_period must be 0.0 s as long as the ROS package bondpy is not '
                f'installed, got {self.bond_heartbeat_period_s} s'
            )
        budget_s, most_s = self.queries.default_time_budget_s, self.serving.max_time_budget_s
        if budget_s > most_s:
            raise ValueError(
                f'default_time_budget must be at most max_time_budget, {most_s} s, got '
                f'{budget_s} s'
            )
