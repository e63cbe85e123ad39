"""Values written into a statement of MySQL by the rules of its driver."""

from typing import Any

from django.db import connection


class Literals(dict[Any, str]):
    """The driver's literals of values, each text written once: as parameters, the driver writes each value anew."""

    def __missing__(self, value: Any) -> str:
        if type(value) is int:
            return str(value)  # Rarely the same: not kept.
        literal: str = connection.connection.literal(value).decode()
        if isinstance(value, str):  # Not False, which equals 0.
            self[value] = literal
        return literal
