"""The stand-in's process: a thread for each connection reads a request, waits as long as AWS would, and sends what is canned.

It takes one JSON document on its first line of input (see `bench.aws.endpoint`), and then commands, a line each.
It imports nothing of ours and parses no more than it must: it is not to be what a benchmark measures.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_LENGTH = b"content-length:"
_TARGET = b"x-amz-target:"
_INVOKE = "Lambda.Invoke"


class Stand:
    """What all connections share: canned answers, latencies in seconds by service, and the counts."""

    def __init__(self, answers: dict[str, list[tuple[str, int, str]]], latencies: dict[str, float]) -> None:
        self.answers = {
            operation: [(needle.encode(), _response(status, body)) for needle, status, body in canned]
            for operation, canned in answers.items()
        }
        self.latencies = latencies
        self._counts: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Wait, count, and find the answer: the first whose word occurs in the body or the head's first line."""
        operation = _operation(head)
        wait = self.latencies.get(operation.split(".", 1)[0], 0.0)
        if wait:
            time.sleep(wait)
        with self._lock:
            count = self._counts.setdefault(operation, [0, 0])
            count[0] += 1
            count[1] += len(head) + 4 + len(body)
        for needle, response in self.answers.get(operation, ()):
            if needle in body or needle in head:
                return response
        return _response(400, json.dumps({"__type": "UnknownOperationException", "message": operation}))

    def note(self, operation: str, size: int) -> None:
        """Count something that is not answered."""
        with self._lock:
            count = self._counts.setdefault(operation, [0, 0])
            count[0] += 1
            count[1] += size

    def take_counts(self) -> dict[str, list[int]]:
        """What was counted since the last time: calls and bytes, by operation."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return counts


def _operation(head: bytes) -> str:
    low = head.lower()
    at = low.find(_TARGET)
    if at < 0:
        return _INVOKE if b"/invocations" in head.split(b"\r\n", 1)[0] else head.split(b" ", 2)[1].decode()
    end = low.find(b"\r\n", at)
    name = head[at + len(_TARGET) : end if end >= 0 else None].strip().decode()
    service, _, operation = name.partition(".")
    return f"{service.removeprefix('AWS').removeprefix('Amazon').split('_')[0]}.{operation}"


def _response(status: int, body: str) -> bytes:
    content = body.encode()
    reason = "OK" if status == 200 else "Bad Request"
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: 0\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def _converse(stand: Stand, connection: socket.socket) -> None:
    """Serve a kept-alive connection until its client closes it."""
    rest = b""
    while True:
        while (end := rest.find(b"\r\n\r\n")) < 0:
            if not (more := connection.recv(65_536)):
                return
            rest += more
        head, rest = rest[:end], rest[end + 4 :]
        at = head.lower().find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(rest) < length:
            if not (more := connection.recv(65_536)):
                return
            rest += more
        body, rest = rest[:length], rest[length:]
        connection.sendall(stand.answer(head, body))


def _serve(stand: Stand, wrapped: Callable[[socket.socket], socket.socket]) -> int:
    """Listen on a port of this machine's choosing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def guarded(raw: socket.socket) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with wrapped(raw) as connection:
                _converse(stand, connection)
        except OSError:
            raw.close()  # the client went away

    def accept() -> None:
        while True:
            raw, _ = listener.accept()
            threading.Thread(target=guarded, args=(raw,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def _daemon(stand: Stand) -> int:
    """X-Ray's daemon: takes segments and throws them away."""
    taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taker.bind(("127.0.0.1", 0))

    def take() -> None:
        while True:
            select.select([taker], [], [])
            stand.note("XRay.Segment", len(taker.recv(65_536)))

    threading.Thread(target=take, daemon=True).start()
    return int(taker.getsockname()[1])


def _say(words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until the input ends."""
    sys.setswitchinterval(0.0005)
    said = json.loads(sys.stdin.readline())
    stand = Stand(said["answers"], said["latencies"])
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(said["chain"])
    ports = {
        "http": _serve(stand, lambda raw: raw),
        "https": _serve(stand, lambda raw: secure.wrap_socket(raw, server_side=True)),
        "daemon": _daemon(stand),
    }
    _say(ports)
    for line in sys.stdin:
        command = json.loads(line)
        if "latencies" in command:
            stand.latencies = command["latencies"]
        _say(stand.take_counts())


if __name__ == "__main__":
    main()
