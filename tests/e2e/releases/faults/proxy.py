"""A proxy before the embedded AWS that fails as AWS can: told which calls, it refuses, throttles, stalls, or loses answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote, urlsplit


class Service(StrEnum):
    """What the functions talk to; the value is the end of the environment's variable that names its endpoint."""

    SSM = "SSM"
    DYNAMODB = "DYNAMODB"
    STATES = "SFN"
    LAMBDA = "LAMBDA"
    EVENTS = "EVENTBRIDGE"
    SNS = "SNS"


class Way(StrEnum):
    """How a call fails. HALF_DEAD and LATE take effect first."""

    BROKEN = "broken"  # an internal error, in the service's own shape
    THROTTLED = "throttled"
    SLOW = "slow"  # takes effect after a while, when the router has given up
    LATE = "late"  # takes effect at once, and answers after that while
    CUT_OFF = "cut off"  # the connection is closed, and nothing has happened
    HALF_DEAD = "half dead"  # it has happened, and the connection is closed
    REFUSED = "refused"  # nobody listens: see `Proxy.refusing`


#: Longer than the router waits for SSM and DynamoDB, shorter than the flipper does.
STALL_S: Final = 2.4
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
_LAMBDA: Final = re.compile(r"/2015-03-31/functions/(?P<function>[^/]+)/invocations")
_BROKEN: Final = {
    Service.SSM: (500, "InternalServerError"),
    Service.DYNAMODB: (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
    Service.STATES: (500, "InternalFailure"),
    Service.LAMBDA: (500, "ServiceException"),
    Service.EVENTS: (500, "InternalException"),
    Service.SNS: (500, "InternalFailure"),
}
_THROTTLED: Final = {
    Service.SSM: (400, "ThrottlingException"),
    Service.DYNAMODB: (400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"),
    Service.STATES: (400, "ThrottlingException"),
    Service.LAMBDA: (429, "TooManyRequestsException"),
    Service.EVENTS: (400, "ThrottlingException"),
    Service.SNS: (400, "Throttling"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that came by. ``text`` holds every name in it: of a table's key, a parameter, an execution, a function."""

    service: Service
    operation: str
    text: str


@dataclass(slots=True)
class Outage:
    """Calls that fail in one way, while it lasts. ``hits`` counts them."""

    way: Way
    about: Callable[[Call], bool]
    hits: int = 0


@dataclass(frozen=True, slots=True)
class _Message:
    """A request or an answer: its first line, its headers, its body."""

    first: str
    headers: dict[str, str]
    body: bytes

    @property
    def raw(self) -> bytes:
        kept = {name: value for name, value in self.headers.items() if name not in _HOP_BY_HOP}
        lines = [self.first, *(f"{name}: {value}" for name, value in kept.items()), f"content-length: {len(self.body)}"]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


class Proxy:
    """One port for each service, in a thread of its own. Any thread may begin and end outages."""

    def __init__(self, endpoint_url: str) -> None:
        there = urlsplit(endpoint_url)
        self._there = (there.hostname or "", there.port or 80)
        self._outages: tuple[Outage, ...] = ()
        self._lock = threading.Lock()
        self._refused = Counter[Service]()
        self._servers: dict[Service, asyncio.Server] = {}
        # Bound and never listening: so a port is nobody else's while nobody listens there.
        self._kept = {service: _bound() for service in Service}
        self._ports: dict[Service, int] = {service: kept.getsockname()[1] for service, kept in self._kept.items()}
        self._clients: dict[Service, set[asyncio.StreamWriter]] = {service: set() for service in Service}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for service in Service:
            self._run(self._listen(service))

    def close(self) -> None:
        for service in Service:
            self._run(self._shut(service))
        self._run(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        for kept in self._kept.values():
            kept.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a function here."""
        return {f"AWS_ENDPOINT_URL_{service}": f"http://127.0.0.1:{port}" for service, port in self._ports.items()}

    @contextlib.contextmanager
    def failing(self, way: Way, about: Callable[[Call], bool]) -> Iterator[Outage]:
        """Let calls fail for the length of the block."""
        outage = Outage(way, about)
        with self._lock:
            self._outages = (*self._outages, outage)
        try:
            yield outage
        finally:
            with self._lock:
                self._outages = tuple(other for other in self._outages if other is not outage)

    @contextlib.contextmanager
    def refusing(self, service: Service) -> Iterator[Outage]:
        """Have nobody listen at a service's port, whoever calls, for the length of the block, and of others like it."""
        with self._lock:
            self._refused[service] += 1
            if self._refused[service] == 1:
                self._run(self._shut(service))
        try:
            yield Outage(Way.REFUSED, lambda _: False)
        finally:
            with self._lock:
                if self._refused[service] == 1:
                    self._run(self._listen(service))
                self._refused[service] -= 1  # only now: until then somebody may still have been refused

    def refuses(self, service: Service) -> bool:
        """Whether nobody listens there just now."""
        return bool(self._refused[service])

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _listen(self, service: Service) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._clients[service].add(writer)
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    while await self._answered(service, reader, writer):
                        pass
            finally:
                self._clients[service].discard(writer)
                writer.close()

        self._servers[service] = await asyncio.start_server(serve, "127.0.0.1", self._ports[service], backlog=1024, limit=2**23)

    async def _shut(self, service: Service) -> None:
        for listening in self._servers[service].sockets:
            self._loop.remove_reader(listening.fileno())
        await asyncio.sleep(0)  # who was accepted just now gets their connection: asyncio loses it where the server is closed
        self._servers[service].close()
        for writer in list(self._clients[service]):
            writer.close()

    async def _leave(self) -> None:
        """End what is still being answered: whoever asked is gone, and each connection is closed by whoever serves it."""
        busy = asyncio.all_tasks() - {asyncio.current_task()}
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await asyncio.sleep(0)  # a connection that was closed goes in the next round
        await self._loop.shutdown_asyncgens()

    async def _answered(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to be closed."""
        request = await _read(reader)
        outage = self._outage(_call(service, request))
        way = outage.way if outage else None
        if way is Way.CUT_OFF:
            return False
        if way in {Way.BROKEN, Way.THROTTLED}:
            writer.write(_error(service, *(_BROKEN if way is Way.BROKEN else _THROTTLED)[service]).raw)
            await writer.drain()
            return True
        if way is Way.SLOW:
            await asyncio.sleep(STALL_S)
        answer = await self._forwarded(request)
        if way is Way.HALF_DEAD:
            return False
        if way is Way.LATE:
            await asyncio.sleep(STALL_S)
        writer.write(answer.raw)
        await writer.drain()
        return True

    def _outage(self, call: Call) -> Outage | None:
        for outage in self._outages:
            if outage.about(call):
                outage.hits += 1
                return outage
        return None

    async def _forwarded(self, request: _Message) -> _Message:
        reader, writer = await asyncio.open_connection(*self._there, limit=2**23)
        try:
            writer.write(request.raw)
            await writer.drain()
            return await _read(reader)
        finally:
            writer.close()


def _bound() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener does: both may have the port
    made.bind(("127.0.0.1", 0))
    return made


async def _read(reader: asyncio.StreamReader) -> _Message:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "chunked" in headers.get("transfer-encoding", ""):
        return _Message(first, headers, await _chunks(reader))
    return _Message(first, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(pieces)


def _call(service: Service, request: _Message) -> Call:
    path = unquote(request.first.split(" ")[1])
    target = request.headers.get("x-amz-target", "").rsplit(".", 1)[-1]
    operation = target or ("Invoke" if _LAMBDA.fullmatch(path) else "")
    return Call(service, operation, f"{path} {request.body.decode(errors='replace')}")


def _error(service: Service, status: int, code: str) -> _Message:
    if service is Service.SNS:
        words = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>not now</Message></Error></ErrorResponse>"
        return _Message(f"HTTP/1.1 {status} Error", {"content-type": "text/xml"}, words.encode())
    headers = {"content-type": "application/x-amz-json-1.1"}
    if service is Service.LAMBDA:
        headers = {"content-type": "application/json", "x-amzn-errortype": code}
    body = {"__type": code, "message": "not now", "Message": "not now"}
    return _Message(f"HTTP/1.1 {status} Error", headers, json.dumps(body).encode())
