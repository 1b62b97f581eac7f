"""What AWS's JSON protocols say, and items of DynamoDB, where every value stands in a wrapper that names its type.

What is sent is written as text at once: a request to latest sends three small documents, and to build each as dicts for an
encoder costs more than its signature. So what these functions return is JSON, and what they take as JSON is not looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple

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


class Update(NamedTuple):
    """How an item is updated: on a condition that speaks of attributes as #0, #1, and of values as :0, :1."""

    condition: str
    names: tuple[str, ...]

    def members(self, values: tuple[str, ...], changes: Mapping[str, str]) -> str:
        """The members of a request that set attributes. ``values`` are the condition's, as JSON like those of ``changes``."""
        return _update(self, len(values), tuple(changes)) % (*values, *changes.values())


@lru_cache(maxsize=128)
def _update(update: Update, values: int, changed: tuple[str, ...]) -> str:
    """Such members, for the values to be filled in."""
    places = {name: f"#{place}" for place, name in enumerate(dict.fromkeys((*update.names, *changed)))}
    parts = ", ".join(f"{places[name]} = :{place}" for place, name in enumerate(changed, values))
    members = {
        "ConditionExpression": quoted(update.condition),
        "UpdateExpression": quoted(f"SET {parts}"),
        "ExpressionAttributeNames": mapping({place: quoted(name) for name, place in places.items()}),
        "ExpressionAttributeValues": _form(tuple(f":{place}" for place in range(values + len(changed)))),
    }
    return mapping(members)[1:-1]
