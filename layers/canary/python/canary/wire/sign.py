"""Signature version 4, for requests whose query is empty; bodies are always signed."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """What signs. ``token`` belongs to those that end; ``expires`` is when, in seconds since the epoch, where it is known."""

    access_key: str
    secret_key: str
    token: str | None = None
    expires: float | None = None


@lru_cache(maxsize=256)
def _quoted(path: str) -> str:
    """A path as it is signed: what is quoted in it already is quoted once more."""
    return quote(path, safe="/~")


@lru_cache(maxsize=8)
def _moment(second: int) -> str:
    """A time as it is signed: the calls of a request share it, mostly."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


class Signer:
    """Signs requests to one service of one region. The day's key is derived once."""

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        self._derived_from: tuple[str, str] = ("", "")
        self._key = b""

    def sign(
        self, credentials: Credentials, now: float, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers with those that sign them.

        Names of headers are in lower case, and ``host`` is among them; ``path`` stands as it goes out, without dot segments.
        ``now`` is in seconds since the epoch.
        """
        moment = _moment(int(now))
        day = moment[:8]
        signed = {**headers, "x-amz-date": moment}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in names])
        digest = hashlib.sha256(body).hexdigest()
        canonical = f"{method}\n{_quoted(path)}\n\n{lines}\n{listed}\n{digest}"
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(credentials.secret_key, day), to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _key_of(self, secret: str, day: str) -> bytes:
        if self._derived_from != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key, self._derived_from = key, (secret, day)  # in this order: another thread may be looking
            return key
        return self._key
