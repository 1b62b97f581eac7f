"""Reading JSON with its place: a value is checked where it stands, and a refusal says where that is and what would do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeVar

from canary.domain.plan import InvalidPlan

#: What durations look like, and rates that are written as texts. The published schema says the same.
DURATION: Final = "[0-9]{1,12} *(ms|s|m|h|d)"
PERCENT: Final = "[0-9]{1,2}([.][0-9]{1,6})? *%"
#: Characters that nobody names anything with. Nor does any service take half of a surrogate pair.
CONTROL: Final = r"\x00-\x1f\x7f"

_UNIT_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_UNPRINTABLE: Final = re.compile(rf"[{CONTROL}\ud800-\udfff]")
_SHOWN: Final = 60

D = TypeVar("D", float, None)
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object of known keys, and where it stands (``""``: it is the plan itself)."""

    values: Mapping[str, Any]
    place: str = ""

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def at(self, key: str) -> str:
        """Say where a key stands: ``stages[1].bake``."""
        return f"{self.place}.{key}" if self.place else key

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Refuse a value, saying what was expected."""
        raise InvalidPlan(f"{self.at(key)}: expected {expected}, not {shown(self.values[key])}")

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """Read a whole number."""
        if key not in self:
            return default
        number = self.values[key]
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            self.refuse(key, f"a whole number from {low} to {high}")
        return number

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """Read a number."""
        if key not in self:
            return default
        number = self.values[key]
        if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
            self.refuse(key, f"a number from {low:g} to {high:g}")
        return float(number)

    def rate(self, key: str, default: D, low: float, high: float) -> float | D:
        """Read a rate: a number such as 0.1, or a text such as ``10%``."""
        if key not in self:
            return default
        said = self.values[key]
        is_text = isinstance(said, str) and re.fullmatch(PERCENT, said)
        # Read as one number, so that "0.7%" is 0.007 to the last digit.
        rate = float(f"{said.rstrip('% ')}e-2") if is_text else said
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not low <= rate <= high:
            self.refuse(key, f'a rate from {100 * low:g} % to {100 * high:g} %, written as 0.1 or "10%"')
        return float(rate)

    def duration(self, key: str, default_ms: int, low_ms: int, high_ms: int) -> int:
        """Read a duration in milliseconds."""
        if key not in self:
            return default_ms
        said = self.values[key]
        match = re.fullmatch(DURATION, said) if isinstance(said, str) else None
        if match is None:
            self.refuse(key, 'a duration such as "90s", "30m", "24h" or "2d"')
        milliseconds = int(said.removesuffix(match[1])) * _UNIT_MS[match[1]]
        if not low_ms <= milliseconds <= high_ms:
            self.refuse(key, f"a duration from {duration_text(low_ms)} to {duration_text(high_ms)}")
        return milliseconds

    def word(self, key: str, default: E) -> E:
        """Read one of the words that there are."""
        if key not in self:
            return default
        kind, said = type(default), self.values[key]
        if not isinstance(said, str) or said not in set(kind):
            self.refuse(key, choice(kind))
        return kind(said)

    def items(self, key: str, most: int, what: str) -> list[Any]:
        """Read a list, whatever is in it."""
        found = self.values.get(key, [])
        if not isinstance(found, list):
            self.refuse(key, f"a list of at most {most} {what}")
        if len(found) > most:
            raise InvalidPlan(f"{self.at(key)}: {len(found)} {what}, and {most} are the most that there may be")
        return found


def fields_of(document: object, place: str, known: Iterable[str]) -> Fields:
    """Take a JSON object apart. Raises `InvalidPlan` for a key that nobody knows, naming the one that was meant."""
    here = place or "the plan"
    if not isinstance(document, dict):
        raise InvalidPlan(f"{here}: expected a JSON object, not {shown(document)}")
    keys = sorted(known)
    for key in document:
        if key not in keys:
            raise InvalidPlan(f"{here}: unknown key {shown(key)}{nearest(key, keys)}; known are {', '.join(keys)}")
    return Fields(document, place)


def text_of(value: object, place: str, what: str, most: int) -> str:
    """Read a text that says something."""
    if not isinstance(value, str) or not value.strip() or len(value) > most or _UNPRINTABLE.search(value):
        raise InvalidPlan(f"{place}: expected {what} of 1 to {most} printable characters, not {shown(value)}")
    return value


def nearest(said: str, known: Iterable[str]) -> str:
    """Name what was probably meant, to put into a refusal."""
    near = get_close_matches(said.lower(), known, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def choice(words: Iterable[str]) -> str:
    """Write the words that there are: ``"abort", "promote" or "hold"``."""
    *others, last = (f'"{word}"' for word in words)
    return f"{', '.join(others)} or {last}" if others else last


def shown(value: object) -> str:
    """Show a foreign value in a refusal: shortened, nothing that a terminal would obey, and never what is nested in it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def duration_text(milliseconds: int) -> str:
    """Write a duration as plans have it, in the largest unit that says it exactly: ``90s``, ``30m``, ``1d``."""
    unit = next((unit for unit, ms in _UNIT_MS.items() if milliseconds and milliseconds % ms == 0), "s")
    return f"{milliseconds // _UNIT_MS[unit]}{unit}"
