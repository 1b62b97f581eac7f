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


@lru_cache(maxsize=64)
def _form(names: tuple[str, ...]) -> tuple[str, str]:
    """How headers of these names are signed: their lines, for the values to be filled in, and their list."""
    ordered = sorted(names)
    return "".join(f"{name.replace('%', '%%')}:%({name})s\n" for name in ordered), ";".join(ordered)


class Signer:
    """Signs requests to one service of one region. The day's key is derived once."""

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        self._derived = ("", "", "", b"")

    def sign(self, credentials: Credentials, now: float, method: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Return the headers as they go out, with those that sign them: a line for each.

        Names of headers are in lower case, and ``host`` is among them; ``path`` stands as it goes out, without dot segments.
        ``now`` is in seconds since the epoch.
        """
        moment = _moment(int(now))
        signed = {**headers, "x-amz-date": moment}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        form, listed = _form(tuple(signed))
        lines = form % signed
        if " " in lines or "\t" in lines:  # none of what AWS is sent has any
            lines = form % {name: " ".join(value.split()) for name, value in signed.items()}
        canonical = f"{method}\n{_quoted(path)}\n\n{lines}\n{listed}\n{hashlib.sha256(body).hexdigest()}"
        scope, key = self._key_of(credentials.secret_key, moment[:8])
        to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        by = f"Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        return f"{lines}authorization:{_ALGORITHM} {by}\n".replace("\n", "\r\n")

    def _key_of(self, secret: str, day: str) -> tuple[str, bytes]:
        """The scope and the key of a day."""
        of_secret, of_day, scope, key = self._derived  # at once: another thread may be deriving
        if of_secret != secret or of_day != day:
            scope = f"{day}/{self._region}/{self._service}/aws4_request"
            key = f"AWS4{secret}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._derived = (secret, day, scope, key)
        return scope, key
