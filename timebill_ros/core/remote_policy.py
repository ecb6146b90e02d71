"""Whether another machine may answer a query. The values are those of the message Query."""

from enum import IntEnum


class RemotePolicy(IntEnum):
    """Who may answer: this machine, or a remote engine."""

    OFF = 1
    PREFER = 2
    RACE = 3
    ONLY = 4
