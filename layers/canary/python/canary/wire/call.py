"""Calls of AWS services: signed, sent, and sent again where that is harmless."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from canary import __version__
from canary.wire.connection import Connection, Pool, Response
from canary.wire.credentials import CredentialSource
from canary.wire.endpoints import LAMBDA, Endpoint, Service, endpoint_of
from canary.wire.faults import Broken, NoAnswer, Refusal, Unreached, WireFault
from canary.wire.sign import Signer

#: Error codes and statuses that are worth another try: those of AWS's SDKs.
_AGAIN_CODES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_AGAIN_STATUSES: Final = frozenset({500, 502, 503, 504})
#: The longest wait before another try; it is drawn at random up to here.
_BACKOFF_S: Final = 0.3
#: An answer that came while nobody was reading is read all the same.
_GRACE_S: Final = 0.05
#: For a fetch of credentials, which is tried so often.
_FETCH_S: Final = 2.0
_FETCHES: Final = 2

_AGENT: Final = f"canary-router/{__version__}"
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Patience(NamedTuple):
    """How long to wait for a connection, for an answer, and how often to send. One attempt: never twice, whatever happens."""

    connect_s: float
    answer_s: float
    attempts: int


class _Line:
    """A service as this process reaches it: its endpoint, its connections and its signatures."""

    def __init__(self, service: Service, region: str, environ: Mapping[str, str]) -> None:
        endpoint = endpoint_of(service, region, environ)
        self.authority = endpoint.authority
        self.pool = Pool(endpoint)
        self.signer = Signer(region, service.name)


class Wire:
    """Signed calls of one region's services. Threads may share it."""

    def __init__(
        self,
        region: str,
        services: tuple[Service, ...],
        environ: Mapping[str, str] = os.environ,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``clock`` gives seconds since the epoch. Raises `Misconfigured` for all that it could not serve later."""
        self._lines = {service.name: _Line(service, region, environ) for service in services}
        self._environ = environ
        self._credentials = CredentialSource(environ, fetch, clock)
        self._clock = clock
        self._sleep = sleep
        self._draw = draw

    def ask(self, service: Service, operation: str, document: Mapping[str, Any], patience: Patience) -> dict[str, Any]:
        """Call an operation of a service that speaks JSON, and return its answer. Raises `WireFault`."""
        return self.begin(service, operation, document, patience).answer()

    def begin(self, service: Service, operation: str, document: Mapping[str, Any], patience: Patience) -> Pending:
        """Send such a call, and leave its answer for later. Never raises: what went wrong is told with the answer."""
        headers = {
            "content-type": f"application/x-amz-json-{service.version}",
            "x-amz-target": f"{service.target}.{operation}",
        }
        return Pending(self, service, "/", headers, _encode(document).encode(), patience)

    def invoke(self, function: str, payload: bytes, client_context: str, patience: Patience) -> Response:
        """Invoke a function, given by its ARN, and wait for its end. Raises `WireFault`.

        ``patience`` has one attempt: a second one is a second run.
        """
        return Pending(self, LAMBDA, _path_of(function), {"x-amz-client-context": client_context}, payload, patience).response()

    def close(self) -> None:
        """Close what is idle: for a process that is about to be frozen, or was."""
        for line in self._lines.values():
            line.pool.drop()

    # What follows is for `Pending`.

    def send(self, service: Service, path: str, headers: dict[str, str], body: bytes, patience: Patience) -> Connection:
        line = self._lines[service.name]
        signed = line.signer.sign(self._credentials.now(), self._clock(), "POST", path, {**headers, "host": line.authority}, body)
        signed |= self._unsigned(len(body))
        head = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        connection = line.pool.take(patience.connect_s)
        try:
            connection.send(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"), body, time.monotonic() + patience.answer_s)
        except BaseException:
            self.lose(service, connection)
            raise
        return connection

    def give_back(self, service: Service, connection: Connection) -> None:
        self._lines[service.name].pool.give_back(connection)

    def lose(self, service: Service, connection: Connection) -> None:
        """Close a connection that broke, and those beside it: what cut one has cut them all."""
        connection.close()
        self._lines[service.name].pool.drop()

    def wait(self) -> None:
        self._sleep(self._draw() * _BACKOFF_S)

    def _unsigned(self, length: int) -> dict[str, str]:
        headers = {"content-length": str(length), "user-agent": _AGENT, "accept-encoding": "identity"}
        trace = self._environ.get("_X_AMZN_TRACE_ID")
        if trace and "AWS_LAMBDA_FUNCTION_NAME" in self._environ:  # the callee's trace joins ours, and Lambda sees endless loops
            headers["x-amzn-trace-id"] = _trace_header(trace)
        return headers


class Pending:
    """A call whose answer is still to be read, once."""

    def __init__(self, wire: Wire, service: Service, path: str, headers: dict[str, str], body: bytes, patience: Patience) -> None:
        self._wire = wire
        self._service = service
        self._request = (path, headers, body)
        self._patience = patience
        self._left = patience.attempts
        self._sent: Connection | WireFault = self._send()

    def answer(self) -> dict[str, Any]:
        """Read the answer of a service that speaks JSON. Raises `WireFault`."""
        return _document(self.response().body)

    def response(self) -> Response:
        """Read the answer, and send again while that is allowed and may help. Raises `WireFault`.

        What was sent once and never answered stays unclear, however surely nothing came of the next try.
        """
        unclear: WireFault | None = None
        while True:
            try:
                return self._receive()
            except WireFault as fault:
                again = _worth_another(fault)
                if self._left == 0 or not again:
                    if unclear is not None and again:
                        raise unclear from fault
                    raise
                unclear = fault if isinstance(fault, NoAnswer | Broken) else unclear
            self._wire.wait()
            self._sent = self._send()

    def _send(self) -> Connection | WireFault:
        self._left -= 1
        self._deadline = time.monotonic() + self._patience.answer_s
        try:
            return self._wire.send(self._service, *self._request, self._patience)
        except WireFault as fault:
            return fault

    def _receive(self) -> Response:
        if isinstance(self._sent, WireFault):
            raise self._sent
        connection = self._sent
        try:
            response = connection.receive(max(self._deadline, time.monotonic() + _GRACE_S))
        except BaseException:
            self._wire.lose(self._service, connection)
            raise
        self._wire.give_back(self._service, connection)
        if response.status >= 300:
            raise _refusal(response)
        return response


@lru_cache(maxsize=256)
def _path_of(function: str) -> str:
    return f"/2015-03-31/functions/{quote(function, safe='')}/invocations"


@lru_cache(maxsize=8)
def _trace_header(trace: str) -> str:
    return quote(trace, safe="-=;:+&[]{}\"',")


def fetch(endpoint: Endpoint, path: str, authorization: str | None) -> bytes:
    """Get what stands at a local address. Raises `WireFault`."""
    head = f"GET {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\naccept: application/json\r\n"
    head += f"authorization: {authorization}\r\n" if authorization else ""
    for left in range(_FETCHES - 1, -1, -1):
        try:
            return _fetched(endpoint, f"{head}\r\n".encode("latin-1"))
        except WireFault:
            if not left:
                raise
    raise AssertionError


def _fetched(endpoint: Endpoint, head: bytes) -> bytes:
    connection = Connection(endpoint, _FETCH_S)
    try:
        deadline = time.monotonic() + _FETCH_S
        connection.send(head, b"", deadline)
        response = connection.receive(deadline)
    finally:
        connection.close()
    if response.status != 200:
        raise Refusal(response.status, str(response.status), {})
    return response.body


def _worth_another(fault: WireFault) -> bool:
    if isinstance(fault, Refusal):
        return fault.code in _AGAIN_CODES or fault.status in _AGAIN_STATUSES
    return isinstance(fault, Unreached | NoAnswer | Broken)


def _refusal(response: Response) -> Refusal:
    """Read an error: its code stands in a header or in the document, with words around it at times."""
    document = _document(response.body)
    code = response.headers.get("x-amzn-errortype") or document.get("__type") or document.get("code") or response.status
    return Refusal(response.status, str(code).split(":", 1)[0].rsplit("#", 1)[-1], document)


def _document(body: bytes) -> dict[str, Any]:
    """Read a service's answer; one that is not a JSON document says nothing."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
