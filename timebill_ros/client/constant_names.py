"""The names of a message's constants."""

from timebill_ros.msg import DeadlineMiss, Response


def constant_name(message_type: type[DeadlineMiss] | type[Response], value: int) -> str:
    """Return the name of a message's constant, such as 'KILLED'; '' if no constant has the value.

    Arguments:
        message_type: a message whose constants are the values of one field.
        value: the value of that field.
    """
    # rosidl makes constants properties of the metaclass; 'CHOICE__DEFAULT' is a field's default.
    names = [name for name in dir(type(message_type)) if name.isupper() and '__' not in name]
    return next((name for name in names if getattr(message_type, name) == value), '')
