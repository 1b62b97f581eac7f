"""HTTP/1.1 over sockets that are kept: one request at a time on each, and a deadline for every wait."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from canary.wire.endpoints import Endpoint
from canary.wire.faults import Broken, NoAnswer, Unreached
from canary.wire.trust import shielded

#: AWS closes connections that were idle for a while, and a process that was frozen may not have seen it.
MOST_IDLE_S: Final = 15.0
#: A TLS record holds no more.
_PIECE: Final = 16_384
_MOST_HEAD: Final = 65_536
#: A body up to this size goes out with the head, in one piece.
_ONE_PIECE: Final = 32_768
_NO_BODY: Final = frozenset({204, 304})


class Headers:
    """The headers of an answer, looked for when they are asked for: of a dozen, three matter."""

    __slots__ = ("_low", "_text")

    def __init__(self, text: str) -> None:
        """``text`` is the head, without the line break at its end."""
        self._text = text
        self._low = text.lower()

    def get(self, name: str) -> str | None:
        """Give a header, whose name is told in lower case; None where there is none."""
        at = self._low.find(f"\r\n{name}:")
        if at < 0:
            return None
        begin = at + len(name) + 3
        end = self._text.find("\r\n", begin)
        return self._text[begin : end if end >= 0 else None].strip()


class Response(NamedTuple):
    """An answer."""

    status: int
    headers: Headers
    body: bytes


class Connection:
    """One connection. Once a method has raised, it must be closed."""

    __slots__ = ("_kept", "_left", "_pending", "_poll", "_socket")

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Connect, with ``timeout_s`` for each step of it. Raises `Unreached`."""

        def connect() -> socket.socket:
            plain = socket.create_connection((endpoint.host, endpoint.port), timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain

        self._kept = False
        try:
            self._socket = shielded(connect, endpoint.host) if endpoint.tls else connect()
        except (OSError, ValueError) as error:  # ValueError: a host whose name cannot be one
            raise Unreached(f"{endpoint.authority}: {str(error) or type(error).__name__}") from error
        self._pending: Callable[[], int] | None = getattr(self._socket, "pending", None)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._left = b""  # read, and not yet understood
        self._kept = True

    @property
    def reusable(self) -> bool:
        """Whether another request may go out on it: a socket that can be read before one did was closed, or is out of step."""
        if not self._kept or self._left or (self._pending is not None and self._pending()):
            return False
        return not self._poll.poll(0)

    def send(self, head: bytes, body: bytes, deadline: float) -> None:
        """Send a request. Raises `NoAnswer`, `Broken`: a part of it may have gone out."""
        try:
            self._wait_until(deadline)
            if len(body) > _ONE_PIECE:
                self._socket.sendall(head)
                self._socket.sendall(body)
                return
            message = head + body
            sent = self._socket.send(message)  # all of a small one: `sendall` of a TLS socket takes longer to find that out
            if sent < len(message):
                self._socket.sendall(message[sent:])
        except TimeoutError as error:
            raise NoAnswer("the request did not go out in time") from error
        except OSError as error:
            raise Broken(f"the connection broke: {error}") from error

    def receive(self, deadline: float) -> Response:
        """Read the answer to what was sent. Raises `NoAnswer`, `Broken`."""
        try:
            return self._response(deadline)
        except TimeoutError as error:
            raise NoAnswer("no answer came in time") from error
        except (OSError, ValueError) as error:
            raise Broken(f"the connection broke: {error}") from error

    def close(self) -> None:
        """Close it; whatever the other side still says is lost."""
        self._kept = False
        with contextlib.suppress(OSError, AttributeError):  # one that never came about has no socket
            self._socket.close()

    def __del__(self) -> None:
        self.close()

    def _response(self, deadline: float) -> Response:
        version, status, headers = self._head(deadline)
        while 100 <= status < 200:
            version, status, headers = self._head(deadline)
        options = (headers.get("connection") or "").lower()
        self._kept = "close" not in options and (version == "HTTP/1.1" or "keep-alive" in options)
        return Response(status, headers, self._body(status, headers, deadline))

    def _head(self, deadline: float) -> tuple[str, int, Headers]:
        end = self._left.find(b"\r\n\r\n")
        while end < 0:
            if len(self._left) > _MOST_HEAD:
                raise ValueError("the head of the answer has no end")
            self._left += self._piece(deadline)
            end = self._left.find(b"\r\n\r\n")
        text = self._left[:end].decode("latin-1")
        self._left = self._left[end + 4 :]
        if not text.startswith("HTTP/1.") or text[8:9] != " " or not text[9:12].isdecimal():
            raise ValueError("the answer is not HTTP/1")
        return text[:8], int(text[9:12]), Headers(text)

    def _body(self, status: int, headers: Headers, deadline: float) -> bytes:
        if status in _NO_BODY:
            return b""
        if "chunked" in (headers.get("transfer-encoding") or "").lower():
            return self._chunks(deadline)
        if (length := headers.get("content-length")) is not None:
            if not length.isdecimal():
                raise ValueError("the length of the answer is no number")
            return self._exactly(int(length), deadline)
        self._kept = False
        return self._rest(deadline)

    def _chunks(self, deadline: float) -> bytes:
        chunks: list[bytes] = []
        while size := int(self._line(deadline).split(b";")[0], 16):
            chunks.append(self._exactly(size, deadline))
            if self._line(deadline):
                raise ValueError("a chunk is longer than it says")
        while self._line(deadline):
            pass  # trailers say nothing that we want to know
        return b"".join(chunks)

    def _line(self, deadline: float) -> bytes:
        while b"\r\n" not in self._left:
            if len(self._left) > _MOST_HEAD:
                raise ValueError("a line of the answer has no end")
            self._left += self._piece(deadline)
        line, _, self._left = self._left.partition(b"\r\n")
        return line

    def _exactly(self, size: int, deadline: float) -> bytes:
        pieces, missing = [self._left], size - len(self._left)
        while missing > 0:
            pieces.append(self._piece(deadline))
            missing -= len(pieces[-1])
        read = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        self._left = read[size:]
        return read[:size]

    def _rest(self, deadline: float) -> bytes:
        pieces, self._left = [self._left], b""
        while True:
            self._wait_until(deadline)
            if not (piece := self._socket.recv(_PIECE)):
                return b"".join(pieces)
            pieces.append(piece)

    def _piece(self, deadline: float) -> bytes:
        self._wait_until(deadline)
        if not (piece := self._socket.recv(_PIECE)):
            raise ValueError("it was closed before the answer had ended")
        return piece

    def _wait_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


class Pool:
    """The idle connections of one endpoint: as many as were ever needed at once. Threads may share it."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float] = time.time) -> None:
        """``clock`` is the wall's: others stand still while a process is frozen."""
        self._endpoint = endpoint
        self._clock = clock
        self._idle: list[tuple[Connection, float]] = []

    def take(self, timeout_s: float) -> Connection:
        """Give the connection that was used last, or a new one. Raises `Unreached`."""
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if abs(self._clock() - since) < MOST_IDLE_S and connection.reusable:
                return connection
            connection.close()
        return Connection(self._endpoint, timeout_s)

    def give_back(self, connection: Connection) -> None:
        """Take back a connection on which an answer was read to its end."""
        self._idle.append((connection, self._clock()))

    def drop(self) -> None:
        """Close all that are idle."""
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop()[0].close()
