"""Requests with an Idempotency-Key: one record for each key, the same answer for a day."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

#: The same key gives the same answer this long.
KEEP_MS: Final = 86_400_000
#: A router lives 29 s at most: a record in progress that is older was left behind by a crash.
IN_PROGRESS_MS: Final = 35_000


class KeyState(StrEnum):
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    FREE = "FREE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the upstream was told: an HTTP status and a JSON body."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key's record. ``key`` is a digest, so the table tells neither keys nor tenants."""

    key: str
    app: str
    state: KeyState
    request_id: str
    body_sha256: str
    since: int
    answer: Answer | None = None


class Repeat(StrEnum):
    """What a repeated key means."""

    SAME_ANSWER = "SAME_ANSWER"
    OTHER_BODY = "OTHER_BODY"
    IN_PROGRESS = "IN_PROGRESS"
    TAKE_OVER = "TAKE_OVER"


def key_digest(app: str, api_key: str, tenant: str, key: str) -> str:
    """Digest what makes a key one's own: 32 hexadecimal characters."""
    parts = (app, api_key, tenant, key)
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:32]


def judge_repeat(found: KeyRecord, body_sha256: str, now: int) -> Repeat:
    """Decide about a request whose key has a live record."""
    if found.body_sha256 != body_sha256:
        return Repeat.OTHER_BODY
    if found.state is KeyState.DONE:
        return Repeat.SAME_ANSWER
    return Repeat.IN_PROGRESS if now - found.since < IN_PROGRESS_MS else Repeat.TAKE_OVER
