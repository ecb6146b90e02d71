"""What an operator chooses for queries that do not say, and how long a prompt may be."""

from dataclasses import dataclass

from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.settings import Settings


@dataclass(frozen=True)
class QuerySettings(Settings):
    """Defaults of a query's fields, and bounds of its texts."""

    system_prompt: str = parameter(
        '', "Default for `system_prompt`. Empty: the model's chat template decides."
    )
    default_time_budget_s: float = parameter(
        10.0,
        'Time budget of queries with neither `time_budget` nor `deadline`.',
        name='default_time_budget',
        unit='s',
        bounds=(0.001, 86400.0),
    )
    max_new_tokens: int = parameter(
        256,
        'Default for `max_new_tokens`, the greatest length of an answer.',
        unit='tokens',
        bounds=(1, 1000000),
    )
    overrun_policy: str = parameter(
        'kill',
        "Default for `overrun_policy`: what the node does when time is up. 'kill': ends the query "
        "without an answer. 'skip_next': finishes the answer late, and skips every query that "
        "waits or arrives meanwhile. 'partial': answers with the text so far.",
        choices=('kill', 'skip_next', 'partial'),
    )
    max_prompt_bytes: int = parameter(
        262144,
        'Largest `prompt`, `system_prompt`, `context` and `history` (all turns), each in UTF-8.',
        unit='bytes',
        bounds=(1, 67108864),
    )
