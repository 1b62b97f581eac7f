"""AWS over HTTP, in this process: what a transport that is not botocore talks to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from canary.wire.call import Patience, Wire
from canary.wire.connection import Response
from canary.wire.endpoints import DYNAMODB, LAMBDA, SSM, STATES, Service

REGION = "eu-west-1"
#: Longer than any machine stalls.
UNHURRIED_S = 60.0
_SERVICE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


class Headers(dict[str, str]):
    """Headers, whatever the case of their names."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def url(self) -> str:
        return self.path

    @property
    def operation(self) -> str:
        return self.headers.get("x-amz-target", "Invoke").rsplit(".", 1)[-1]

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def refusal(code: str, status: int = 400, message: str = "the service says so", **more: Any) -> Answer:
    """An error as services that speak JSON send it."""
    return Answer({"__type": code, "message": message, **more}, status, {"x-amzn-errortype": code})


@dataclass(slots=True)
class Served:
    """A server that is up: where, what it was asked, and over how many connections."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def operations(self) -> list[str]:
        return [each.operation for each in self.asked]


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Served]:
    """Serve on a port of this machine; connections are kept."""

    counting = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            with counting:
                served.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = Headers({name.lower(): value for name, value in self.headers.items()})
            asked = Asked(self.command, self.path, headers, body)
            served.asked.append(asked)
            said = answer(asked)
            head = [f"HTTP/1.1 {said.status} As Told"]
            head += [f"{name}: {value}" for name, value in {**said.headers, "content-length": len(said.raw)}.items()]
            self.wfile.write("\r\n".join(head).encode() + b"\r\n\r\n" + said.raw)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        #: Whoever finds the queue full tries again after a second, which is all that the transport waits for a connection.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    served = Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Unhurried(Wire):
    """A transport for servers that always answer: a machine that stalls makes none of them silent, and no try a second one."""

    def _called(self, service: Service, path: str, headers: dict[str, str], body: bytes, patience: Patience) -> Response:
        return super()._called(service, path, headers, body, patience._replace(connect_s=UNHURRIED_S, answer_s=UNHURRIED_S))


@contextmanager
def wired(served: Served, **options: Any) -> Iterator[Wire]:
    """The lean transport, with a server of this process for AWS."""
    environ = {"AWS_ENDPOINT_URL": served.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    wire = Unhurried(REGION, (SSM, DYNAMODB, STATES, LAMBDA), environ, sleep=lambda _: None, **options)
    try:
        yield wire
    finally:
        wire.close()


def scripted_answers(*answers: Answer) -> Callable[[Asked], Answer]:
    """Answer what was told, the last for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def moto_answers(asked: Asked) -> Answer:
    """Have moto answer, as it would a call of botocore's; it must be mocking AWS just now."""
    from botocore.awsrequest import AWSPreparedRequest, HeadersDict  # noqa: PLC0415 - only for those who have moto
    from moto.core.models import botocore_stubber  # noqa: PLC0415 - slow to import

    scope = _SERVICE.search(asked.headers["authorization"])
    assert scope is not None
    url = f"https://{scope['service']}.{scope['region']}.amazonaws.com{asked.path}"
    headers = HeadersDict({name: value for name, value in asked.headers.items() if name != "host"})
    said = botocore_stubber.process_request(AWSPreparedRequest(asked.method, url, headers, asked.body, stream_output=False))
    assert said is not None, url
    status, sent, body = said
    raw = body if isinstance(body, bytes) else body.encode()
    return Answer(raw, status, {name: str(value) for name, value in sent.items() if name.lower() != "content-length"})
