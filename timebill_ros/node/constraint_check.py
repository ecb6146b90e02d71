"""The constraint fields of a query, checked as far as the node can: the worker compiles them."""

from collections.abc import Sequence

from timebill_ros.core.constraint import Constraint, ConstraintKind

MAX_BYTES = 65536
"""Largest constraint, and largest sum of choices, in UTF-8."""
MAX_CHOICES = 256


def checked_constraint(
    constraint_kind: int, constraint: str, choices: Sequence[str], fill_missing: bool
) -> Constraint | None:
    """Return the constraint that the fields of a message Query describe; None: they are unused.

    Raises:
        ValueError: the field, its value and the bound.
    """
    kind = _kind(constraint_kind)
    told = f'constraint_kind {kind.name} ({kind.value})'
    if constraint and choices:
        raise ValueError(
            f'constraint and choices exclude each other, got a constraint of {_size(constraint)} '
            f'bytes and {len(choices)} choices'
        )
    if kind in (ConstraintKind.JSON_SCHEMA, ConstraintKind.REGEX):
        if not constraint.strip():
            raise ValueError(f'constraint must not be empty for {told}')
        if choices:
            raise ValueError(f'choices must be empty for {told}, got {len(choices)}')
    elif constraint:
        raise ValueError(f'constraint must be empty for {told}, got {_size(constraint)} bytes')
    elif choices and kind is ConstraintKind.NONE:
        raise ValueError(f'choices must be empty for {told}, got {len(choices)}')
    if fill_missing and kind is not ConstraintKind.JSON_SCHEMA:
        raise ValueError(f'fill_missing must be false for {told}, got true')
    if kind is ConstraintKind.NONE:
        return None
    if kind is ConstraintKind.CHOICES:
        _check_choices(choices)
    elif _size(constraint) > MAX_BYTES:
        raise ValueError(f'constraint must be at most {MAX_BYTES} bytes, got {_size(constraint)}')
    return Constraint(kind, constraint, tuple(choices), fill_missing)


def _kind(value: int) -> ConstraintKind:
    try:
        return ConstraintKind(value)
    except ValueError:
        known = ', '.join(f'{kind.name} ({kind.value})' for kind in ConstraintKind)
        raise ValueError(f'constraint_kind must be one of {known}, got {value}') from None


def _check_choices(choices: Sequence[str]) -> None:
    if not 0 < len(choices) <= MAX_CHOICES:
        raise ValueError(f'choices must be 1 to {MAX_CHOICES} strings, got {len(choices)}')
    seen: dict[str, int] = {}
    for index, choice in enumerate(choices):
        if not choice.strip():
            raise ValueError(f'choices must not be empty, got {choice!r} at {index}')
        if choice in seen:
            raise ValueError(
                f'choices must differ, got {choice[:40]!r} at {seen[choice]} and at {index}'
            )
        seen[choice] = index
    size = sum(_size(choice) for choice in choices)
    if size > MAX_BYTES:
        raise ValueError(f'choices must be at most {MAX_BYTES} bytes together, got {size}')


def _size(text: str) -> int:
    return len(text.encode('utf-8', 'surrogatepass'))
