"""Where Lambda leaves credentials: in the environment, or, for functions with SnapStart, at a local address."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from canary.errors import Misconfigured
from canary.wire.endpoints import Endpoint, endpoint_from
from canary.wire.faults import NoCredentials, WireFault
from canary.wire.sign import Credentials

#: Credentials are fetched anew this long before they end, and once more whenever that failed, until they have.
REFRESH_S: Final = 300.0
#: After a fetch that failed, what is held serves this long before the next try.
_AGAIN_S: Final = 15.0
#: Hosts that may be asked without TLS: this one, and those of ECS and EKS.
_LOCAL: Final = frozenset({"localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
_LOOPBACK: Final = r"127(?:\.\d{1,3}){3}"
_ECS: Final = "http://169.254.170.2"
_RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"

#: Fetches a path of an endpoint, with an authorization: the answer's body. Raises `WireFault`.
Fetch = Callable[[Endpoint, str, str | None], bytes]


class CredentialSource:
    """The credentials of this process, which may change at any time. Threads may share it."""

    def __init__(self, environ: Mapping[str, str], fetch: Fetch, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives seconds since the epoch. Raises `Misconfigured` where there are none, and never will be."""
        self._environ = environ
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._given: Credentials | None = None
        self._fetched: Credentials | None = None
        self._not_before = 0.0
        if _from(environ) is None and not (environ.get(_RELATIVE) or environ.get(_FULL)):
            raise Misconfigured(
                "the environment has no credentials (AWS_ACCESS_KEY_ID, or AWS_CONTAINER_CREDENTIALS_FULL_URI): "
                "profiles, web identities and instance roles are known to botocore only, set CANARY_TRANSPORT=botocore"
            )
        if _from(environ) is None:
            _place(environ)

    def now(self) -> Credentials:
        """Give the credentials to sign with. Raises `NoCredentials`."""
        held = self._given
        if held is not None and self._environ.get("AWS_ACCESS_KEY_ID") == held.access_key:
            return held  # what rotates never keeps its access key
        self._given = _from(self._environ)
        return self._given or self._contained()

    def _contained(self) -> Credentials:
        held = self._fetched
        if held is not None and self._good(held):
            return held
        with self._lock:
            held = self._fetched
            if held is not None and self._good(held):  # another thread has fetched them meanwhile
                return held
            try:
                self._fetched = held = self._fetch_them()
            except NoCredentials:
                now = self._clock()
                if held is None or held.expires is None or now >= held.expires:
                    raise
                self._not_before = now + _AGAIN_S
            return held

    def _good(self, held: Credentials) -> bool:
        if held.expires is None:
            return True
        now = self._clock()
        return now < held.expires - REFRESH_S or now < min(held.expires, self._not_before)

    def _fetch_them(self) -> Credentials:
        try:
            endpoint, path = _place(self._environ)
            document = json.loads(self._fetch(endpoint, path, _authorization(self._environ)))
            expires = document.get("Expiration")
            return Credentials(
                document["AccessKeyId"],
                document["SecretAccessKey"],
                document.get("Token"),
                datetime.fromisoformat(expires).timestamp() if expires else None,
            )
        except (WireFault, Misconfigured, OSError) as error:
            raise NoCredentials(f"credentials cannot be had: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Not the error's words: they may repeat a part of what was read.
            raise NoCredentials(f"credentials cannot be read: {type(error).__name__}") from None


def _from(environ: Mapping[str, str]) -> Credentials | None:
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        return None
    return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN"))


def _place(environ: Mapping[str, str]) -> tuple[Endpoint, str]:
    """Where the container's credentials are. Raises `Misconfigured`."""
    relative = environ.get(_RELATIVE)
    name, url = (_RELATIVE, f"{_ECS}{relative}") if relative else (_FULL, environ.get(_FULL, ""))
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    endpoint = endpoint_from(f"{scheme}://{host}", name)
    if not endpoint.tls and endpoint.host not in _LOCAL and not re.fullmatch(_LOOPBACK, endpoint.host):
        raise Misconfigured(f"{name} names {endpoint.host!r}: credentials come without TLS from this machine only")
    if not (slash + path).isprintable() or " " in path:
        raise Misconfigured(f"{name} is not a URL")
    return endpoint, slash + path or "/"


def _authorization(environ: Mapping[str, str]) -> str | None:
    if file := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = Path(file).read_text(encoding="utf-8")  # it changes: read each time
    else:
        token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if not token.isascii() or "\r" in token or "\n" in token:
        raise NoCredentials("the authorization token for credentials is not one that a header can hold")
    return token or None
