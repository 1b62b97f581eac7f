"""Small words for people: times, and foreign texts that must not run the terminal."""

from __future__ import annotations

from canary.domain.release import timestamp
from canary.domain.words import duration

NO_REASON = "no reason given"


def clock(at: int) -> str:
    """Write a time: ``2026-11-21 09:30:00 UTC``."""
    return f"{timestamp(at)[:19].replace('T', ' ')} UTC"


def ago(at: int, now: int) -> str:
    """Write a time in the past, relative and absolute: ``3 min ago (2026-11-21 09:30:00 UTC)``."""
    return f"{duration(now - at)} ago ({clock(at)})"


def ahead(at: int, now: int) -> str:
    """Write a time in the future: ``in 3 h (2026-11-21 09:30:00 UTC)``, or that it is over."""
    return f"in {duration(at - now)} ({clock(at)})" if at > now else f"over since {ago(at, now)}"


def plain(text: str | None) -> str:
    """Take from a foreign text what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "·" for letter in text or "")
