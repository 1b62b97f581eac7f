"""Request ids: they sort by time, serve as execution names, and say themselves where their record is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: As many as the name of an execution may have. DynamoDB refuses to look for keys that are much longer.
_MOST_CHARACTERS: Final = 80
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two digits at once: every request needs thirteen of these.
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_SHAPE: Final = (
    r"[0-9A-HJKMNP-TV-Z]{26}"
    r"(?:-r(?P<release>[0-9]{8,}-[0-9a-f]{8})|-c(?P<share>[0-9]{4})(?P<digest>[0-9a-f]{8}))?"
    r"(?:-k(?P<key>[0-9a-f]{32}))?"
)


@dataclass(frozen=True, slots=True)
class Record:
    """Where a request's record is: the audit row of a release, the record of a key, both, or nowhere.

    ``control`` is set on a request that lost the coin: the release's digest and the share of latest, in parts of 10,000.
    """

    release: str | None
    key: str | None
    control: tuple[str, int] | None = None


def new_request_id(
    now: int, randomness: int, release: str | None = None, key: str | None = None, control: tuple[str, int] | None = None
) -> str:
    """Make a request id: a ULID, then ``-r{release}`` when latest may get it, then ``-k{key digest}`` when it is keyed.

    Instead of the release stands ``-c{share}{digest}`` when the coin showed current: so its execution, which bears the id as its
    name, says under which release and share it ran. 80 characters at most. ``now`` in milliseconds, ``randomness`` of 80 bits.
    """
    number = (now << 80) | (randomness & ((1 << 80) - 1))
    digits = [_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)]
    mark = f"-r{release}" if release else f"-c{control[1]:04d}{digest_of(control[0])}" if control else ""
    return "".join(digits) + mark + (f"-k{key}" if key else "")


def digest_of(release: str) -> str:
    """The part of a release's key that tells it from others of about the same time."""
    return release.rsplit("-", 1)[-1]


def without_release(request_id: str) -> str:
    """The same id, as if latest had never been meant."""
    place = record_of(request_id)
    return request_id.replace(f"-r{place.release}", "") if place and place.release else request_id


def record_of(request_id: str) -> Record | None:
    """Read where a request's record is; None when this is no request id of ours."""
    match = re.fullmatch(_SHAPE, request_id) if len(request_id) <= _MOST_CHARACTERS else None
    if match is None:
        return None
    control = (match["digest"], int(match["share"])) if match["digest"] else None
    return Record(match["release"], match["key"], control)
