"""TLS: one context for each process, since to make one means to read certificates."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

#: The roots that AWS's certificates hang on (https://www.amazontrust.com/repository). To read these five takes a small part of
#: the time that a system's whole store takes, and every process pays it before its first request.
ROOTS: Final = str(Path(__file__).with_name("amazon_roots.pem"))
#: The store of the system, whatever it is.
_SYSTEM: Final = ""


def shielded(connect: Callable[[], socket.socket], host: str) -> socket.socket:
    """Connect and do the TLS handshake, within the timeout that the socket comes with. Raises `OSError`.

    Should AWS's certificates ever hang on other roots than those that we bring, the system's store decides, at the price of its
    reading. What the environment names is never gone beyond.
    """
    import ssl  # noqa: PLC0415 - slow to import, and a local endpoint speaks plain HTTP

    trusted = _trusted(os.environ)
    try:
        return _handshake(context(trusted), connect(), host)
    except ssl.SSLCertVerificationError:
        if trusted != ROOTS:
            raise
    return _handshake(context(_SYSTEM), connect(), host)


@cache
def context(trusted: str) -> ssl.SSLContext:
    """Make a context that trusts what a file holds; the system's store when the name is empty."""
    import ssl  # noqa: PLC0415 - as above

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificates and host names
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    if trusted:
        made.load_verify_locations(cafile=trusted)
    else:
        made.load_default_certs()
    return made


def _trusted(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE") or ROOTS


def _handshake(own: ssl.SSLContext, plain: socket.socket, host: str) -> socket.socket:
    try:
        return own.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
