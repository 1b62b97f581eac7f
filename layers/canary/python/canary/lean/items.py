"""What AWS's JSON protocols say, and items of DynamoDB, where every value stands in a wrapper that names its type.

What is sent is written as text at once: a request to latest sends three small documents, and to build each as dicts for an
encoder costs more than its signature. So what these functions return is JSON, and what they take as JSON is not looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from canary.domain.moments import from_timestamp, timestamp

#: What reading an item raises that another version of the code has written, or somebody's hand.
NOT_UNDERSTOOD: Final = (ValueError, KeyError, TypeError, AttributeError)
TRUE: Final = '{"BOOL":true}'

#: Writes a text as JSON.
quoted = encode_basestring_ascii


def text(value: str) -> str:
    """Wrap a text."""
    return f'{{"S":{quoted(value)}}}'


def number(value: int) -> str:
    """Wrap a whole number."""
    return f'{{"N":"{value}"}}'


def time(at: int) -> str:
    """A time stands in the tables as a text that people can read."""
    return f'{{"S":"{timestamp(at)}"}}'


def mapping(values: Mapping[str, str]) -> str:
    """Put JSON values under names, none of which has anything to quote."""
    return _form(tuple(values)) % tuple(values.values())


@lru_cache(maxsize=128)
def _form(names: tuple[str, ...]) -> str:
    """A mapping of these names, for its values to be filled in: there are some dozens of them in all."""
    return "{" + ",".join([f'"{name}":%s' for name in names]) + "}"


def listing(values: Iterable[str]) -> str:
    """Put JSON values in a row."""
    return f"[{','.join(values)}]"


def text_of(item: dict[str, Any], name: str) -> str | None:
    """Read a text; None where there is none."""
    value = item.get(name)
    return None if value is None or "NULL" in value else str(value["S"])


def number_of(item: dict[str, Any], name: str) -> int | None:
    """Read a whole number; None where there is none."""
    value = item.get(name)
    return None if value is None or "NULL" in value else int(value["N"])


def time_of(item: dict[str, Any], name: str) -> int | None:
    """Read a time; None where there is none."""
    value = text_of(item, name)
    return from_timestamp(value) if value else None


def flag_of(item: dict[str, Any], name: str) -> bool:
    """Read a flag; one that is not there is not set."""
    value = item.get(name)
    return value is not None and bool(value.get("BOOL"))


class Setting:
    """An update that sets attributes: its expression, with the names and values that stand in it, numbered as they come.

    ``names`` and ``values`` are those of the condition, which stands first. Names have nothing to quote, values are JSON.
    """

    def __init__(self, *names: str, values: tuple[str, ...] = ()) -> None:
        self._names = {name: f"#{place}" for place, name in enumerate(names)}
        self._values = list(values)
        self._parts: list[str] = []

    def set(self, name: str, value: str) -> None:
        """Set an attribute."""
        place = self._names.setdefault(name, f"#{len(self._names)}")
        self._parts.append(f"{place} = :{len(self._values)}")
        self._values.append(value)

    def members(self) -> dict[str, str]:
        """The members of a request that say it."""
        return {
            "UpdateExpression": f'"SET {", ".join(self._parts)}"',
            "ExpressionAttributeNames": mapping({place: f'"{name}"' for name, place in self._names.items()}),
            "ExpressionAttributeValues": mapping({f":{place}": value for place, value in enumerate(self._values)}),
        }
