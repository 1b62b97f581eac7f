"""The bare call: one signed Invoke on a kept-alive socket, and nothing else. No router can be cheaper."""

from __future__ import annotations

import hmac
import os
import socket
import ssl
import time
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

_TARGET = os.environ["CANARY_BENCH_TARGET"]
_REGION = os.environ["AWS_REGION"]
_KEY, _SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
_TOKEN = os.environ["AWS_SESSION_TOKEN"]
_PLACE = urlsplit(os.environ["AWS_ENDPOINT_URL"])
#: The function's name stands in the path; in what is signed it is quoted once more.
_PATH = f"/2015-03-31/functions/{quote(_TARGET, safe='')}/invocations"
_NAMES = "host;x-amz-date;x-amz-security-token"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of API Gateway's."""
    connection.sendall(_signed(event["body"].encode()))
    return {"statusCode": 202, "body": _answer().decode()}


def _connect() -> socket.socket:
    raw = socket.create_connection((_PLACE.hostname or "", _PLACE.port or 443))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _PLACE.scheme == "http":
        return raw
    trusting = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
    return trusting.wrap_socket(raw, server_hostname=_PLACE.hostname)


def _signing_key(day: str) -> bytes:
    key = f"AWS4{_SECRET}".encode()
    for part in (day, _REGION, "lambda", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signed(body: bytes) -> bytes:
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{at[:8]}/{_REGION}/lambda/aws4_request"
    headers = f"host:{_PLACE.netloc}\nx-amz-date:{at}\nx-amz-security-token:{_TOKEN}\n"
    asked = f"POST\n{quote(_PATH)}\n\n{headers}\n{_NAMES}\n{sha256(body).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{sha256(asked.encode()).hexdigest()}"
    signature = hmac.digest(_keys[at[:8]], text.encode(), "sha256").hex()
    return (
        f"POST {_PATH} HTTP/1.1\r\nHost: {_PLACE.netloc}\r\nX-Amz-Date: {at}\r\nX-Amz-Security-Token: {_TOKEN}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={_KEY}/{scope}, SignedHeaders={_NAMES}, Signature={signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _answer() -> bytes:
    said = b""
    while b"\r\n\r\n" not in said:
        said += connection.recv(65_536)
    head, _, body = said.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return body


class _Keys(dict[str, bytes]):
    def __missing__(self, day: str) -> bytes:
        self[day] = _signing_key(day)
        return self[day]


_keys = _Keys()
connection = _connect()
