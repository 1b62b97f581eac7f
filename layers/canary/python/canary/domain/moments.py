"""Times as people read them in the tables, and the keys that releases have by theirs.

A module of its own, with nothing else in it: a router needs no more of a release to know whether there is one.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache


@lru_cache
def release_key(version: int, value: str, modified_at: int) -> str:
    """Derive a release's key from what SSM returns for ``latest``; ``modified_at`` in milliseconds.

    Router and flipper derive the same key with no further read, and a newer write gives another one.
    """
    digest = hashlib.sha256((value + timestamp(modified_at)).encode()).hexdigest()
    return f"{version:08d}-{digest[:8]}"


def version_of(release: str) -> int:
    """The version of ``latest`` that a release's key was derived from."""
    return int(release.split("-", 1)[0])


def timestamp(at: int) -> str:
    """Write a time as ``2026-11-21T09:30:00.123Z``."""
    return f"{_second(at // 1000)}.{at % 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    """Most times of a request lie within a second or two."""
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def from_timestamp(text: str) -> int:
    """Read a time back into milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
