"""What tells questions apart whose answers are of different lengths."""

from dataclasses import dataclass

from timebill_ros.core.constraint import Constraint, ConstraintKind


@dataclass(frozen=True)
class Habit:
    """What an asker asks again and again.

    Arguments:
        asker: its name.
        constraint: the form of the answer; None: free text.
    """

    asker: str
    constraint: Constraint | None = None

    @property
    def kind(self) -> ConstraintKind:
        """The kind of the form."""
        return self.constraint.kind if self.constraint else ConstraintKind.NONE
