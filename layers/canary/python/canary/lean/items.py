"""Items of DynamoDB, as its JSON has them: every value in a wrapper that names its type."""

from __future__ import annotations

from typing import Any, Final

from canary.domain.moments import from_timestamp, timestamp

#: What reading an item raises that another version of the code has written, or somebody's hand.
NOT_UNDERSTOOD: Final = (ValueError, KeyError, TypeError, AttributeError)


def text(value: str) -> dict[str, str]:
    """Wrap a text."""
    return {"S": value}


def number(value: int) -> dict[str, str]:
    """Wrap a whole number."""
    return {"N": str(value)}


def time(at: int) -> dict[str, str]:
    """A time stands in the tables as a text that people can read."""
    return {"S": timestamp(at)}


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

    ``names`` and ``values`` are those of the condition, which stands first.
    """

    def __init__(self, *names: str, values: tuple[dict[str, Any], ...] = ()) -> None:
        self._names = {name: f"#{place}" for place, name in enumerate(names)}
        self._values = list(values)
        self._parts: list[str] = []

    def set(self, name: str, value: dict[str, Any]) -> None:
        """Set an attribute."""
        place = self._names.setdefault(name, f"#{len(self._names)}")
        self._parts.append(f"{place} = :{len(self._values)}")
        self._values.append(value)

    def document(self) -> dict[str, Any]:
        """The parts of a request that say it."""
        return {
            "UpdateExpression": "SET " + ", ".join(self._parts),
            "ExpressionAttributeNames": {place: name for name, place in self._names.items()},
            "ExpressionAttributeValues": {f":{place}": value for place, value in enumerate(self._values)},
        }
