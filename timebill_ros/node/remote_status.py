"""What the node says on /diagnostics of the link to a remote engine."""

from diagnostic_msgs.msg import DiagnosticStatus

from timebill_ros.core.link_model import LinkReport, LinkState
from timebill_ros.core.remote_settings import RemoteSettings
from timebill_ros.node.diagnostics import status


def remote_status(
    name: str, settings: RemoteSettings, link: LinkReport | None
) -> list[DiagnosticStatus]:
    """Return `<node>: link`. WARN: the link is slow; ERROR: it is down, and nothing replaces it.

    Arguments:
        name: the node's full name.
        link: how it does; None: the policy is 'off', and there is none.
    """
    if link is None:
        return []
    state, fault = link.state, link.fault
    is_only = settings.remote_policy == 'only'
    level = {
        LinkState.OK: DiagnosticStatus.OK,
        LinkState.SLOW: DiagnosticStatus.WARN,
        LinkState.DOWN: DiagnosticStatus.ERROR if is_only else DiagnosticStatus.WARN,
    }[state]
    message = f'{state.value}: {fault}' if fault and state is not LinkState.OK else state.value
    values = {
        'state': state.value,
        'last_fault': fault,
        'requests_last_hour': str(link.requests),
        'policy': settings.remote_policy,
        'origin': settings.origin,
        'model': settings.remote_model,
    }
    return [status(level, f'{name}: link', message, values)]
