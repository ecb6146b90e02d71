"""Raised for a constraint that cannot be served."""


class InvalidConstraintError(ValueError):
    """One sentence for a person that names the field, its value and the bound."""
