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
#: What tells of an earlier try, too, and not of this one alone.
_TELLING: Final = frozenset({"ConditionalCheckFailedException", "ExecutionAlreadyExists", "ExecutionDoesNotExist"})
#: The longest wait before another try; it is drawn at random up to here.
_BACKOFF_S: Final = 0.3
#: For a fetch of credentials, which is tried so often.
_FETCH_S: Final = 2.0
_FETCHES: Final = 2

#: What every request says, and nobody signs.
_ALWAYS: Final = f"user-agent: canary-router/{__version__}\r\naccept-encoding: identity\r\n"


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
        self._in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in environ
        self._credentials = CredentialSource(environ, fetch, clock)
        self._clock = clock
        self._sleep = sleep
        self._draw = draw

    def ask(self, service: Service, operation: str, document: str, patience: Patience) -> dict[str, Any]:
        """Call an operation of a service that speaks JSON, and return its answer. Raises `WireFault`.

        ``document`` is what is asked, as JSON.
        """
        return _document(self._asked(service, operation, document, patience).body)

    def tell(self, service: Service, operation: str, document: str, patience: Patience) -> None:
        """The same, where all that matters of an answer is that it is not an error."""
        self._asked(service, operation, document, patience)

    def invoke(self, function: str, payload: bytes, client_context: str, patience: Patience) -> Response:
        """Invoke a function, given by its ARN, and wait for its end. Raises `WireFault`.

        ``patience`` has one attempt: a second one is a second run.
        """
        return self._called(LAMBDA, _path_of(function), {"x-amz-client-context": client_context}, payload, patience)

    def close(self) -> None:
        """Close what is idle: for a process that is about to be frozen, or was."""
        for line in self._lines.values():
            line.pool.drop()

    def _asked(self, service: Service, operation: str, document: str, patience: Patience) -> Response:
        headers = {
            "content-type": f"application/x-amz-json-{service.version}",
            "x-amz-target": f"{service.target}.{operation}",
        }
        return self._called(service, "/", headers, document.encode(), patience)

    def _called(self, service: Service, path: str, headers: dict[str, str], body: bytes, patience: Patience) -> Response:
        line = self._lines[service.name]
        return repeated(lambda: self._once(line, path, headers, body, patience), patience.attempts, self._wait)

    def _wait(self) -> None:
        self._sleep(self._draw() * _BACKOFF_S)

    def _once(self, line: _Line, path: str, headers: dict[str, str], body: bytes, patience: Patience) -> Response:
        """Send once, and read the answer."""
        deadline = time.monotonic() + patience.answer_s
        headers = {**headers, "host": line.authority}
        signed = line.signer.sign(self._credentials.now(), self._clock(), "POST", path, headers, body)
        head = f"POST {path} HTTP/1.1\r\n{signed}{self._traced()}{_ALWAYS}content-length: {len(body)}\r\n\r\n"
        connection = line.pool.take(patience.connect_s)
        if time.monotonic() >= deadline:
            line.pool.give_back(connection)
            raise Unreached(f"{line.authority}: to connect took all the time that there was")
        try:
            connection.send(head.encode("latin-1"), body, deadline)
            response = connection.receive(deadline)
        except BaseException:
            connection.close()
            line.pool.drop()  # what cut one connection has cut those beside it
            raise
        line.pool.give_back(connection)
        if response.status >= 300:
            raise _refusal(response)
        return response

    def _traced(self) -> str:
        """In a Lambda, the callee's trace joins ours, and Lambda sees endless loops."""
        trace = self._environ.get("_X_AMZN_TRACE_ID") if self._in_lambda else None
        return f"x-amzn-trace-id: {_trace_header(trace)}\r\n" if trace else ""


def repeated(once: Callable[[], Response], attempts: int, wait: Callable[[], None]) -> Response:
    """Call, and call again while that is allowed and may help. Raises `WireFault`.

    What was sent once and never answered stays unclear, however surely nothing came of the next try.
    """
    unclear: WireFault | None = None
    while True:
        attempts -= 1
        try:
            return once()
        except WireFault as fault:
            if attempts <= 0 or not _worth_another(fault):
                if unclear is not None and fault.code not in _TELLING:
                    raise unclear from fault
                raise
            unclear = fault if _may_have_worked(fault) else unclear
        wait()


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


def _may_have_worked(fault: WireFault) -> bool:
    return fault.status >= 500 if isinstance(fault, Refusal) else isinstance(fault, NoAnswer | Broken)


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
