"""Connections that are kept, that break, that stall: a call is one execution at most, whatever happens to it."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from canary.wire import connection as connections
from canary.wire.call import Patience, Wire, fetch
from canary.wire.connection import Connection, Pool
from canary.wire.endpoints import DYNAMODB, LAMBDA, SSM, STATES, Endpoint, endpoint_from
from canary.wire.faults import Broken, NoAnswer, Refusal, Unreached, WireFault
from tests.fakes.endpoint import Answer, refusal, serving

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:transformer-v2:live"
#: Longer than any machine stalls: what comes at all, comes by then.
STALL_S = 60
ONCE = Patience(connect_s=STALL_S, answer_s=STALL_S, attempts=1)
TWICE = Patience(connect_s=STALL_S, answer_s=STALL_S, attempts=2)
#: For what never comes.
SHORT = Patience(connect_s=STALL_S, answer_s=0.3, attempts=1)
#: Given up in time: not only once something longer than that has ended.
IN_TIME_S = STALL_S / 2
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Peer:
    """A server that treats each of its connections as it was told to, one after the other, the last for ever."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def came(self, number: int) -> int:
        """Wait for so many requests, since who gives one up may be faster than the peer reads it; return how many there are."""
        until = time.monotonic() + STALL_S
        while len(self.requests) < number and time.monotonic() < until:
            time.sleep(0.002)
        return len(self.requests)


def request_on(connection: socket.socket) -> bytes:
    """One whole request; empty when the other side is gone."""
    read = b""
    while True:
        head, end, body = read.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0)
        if end and len(body) >= length:
            return read
        if not (piece := connection.recv(65_536)):
            return b""
        read += piece


@contextmanager
def peer(*treatments: Callable[[Peer, socket.socket], None]) -> Iterator[Peer]:
    listener = socket.create_server(("127.0.0.1", 0))
    made = Peer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    open_ones: list[socket.socket] = []

    def one(treat: Callable[[Peer, socket.socket], None], connection: socket.socket) -> None:
        with suppress(OSError):
            treat(made, connection)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(STALL_S)
            open_ones.append(connection)
            treat = treatments[min(made.connections, len(treatments) - 1)]
            made.connections += 1
            threading.Thread(target=one, args=(treat, connection), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(3)  # first: it may just be taking one more
        for connection in open_ones:
            with suppress(OSError):  # whoever reads from it just now is told
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def answering(*answers: bytes, then: str = "wait") -> Callable[[Peer, socket.socket], None]:
    """Answer so many requests, then ``close``, ``reset``, or ``wait`` in silence; a further request is noted."""

    def treat(made: Peer, connection: socket.socket) -> None:
        for answer in answers:
            made.requests.append(request_on(connection))
            connection.sendall(answer)
        if then == "close":
            connection.close()
        elif then == "half-close":
            connection.shutdown(socket.SHUT_WR)
        elif then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        if then in ("wait", "half-close") and (request := request_on(connection)):
            made.requests.append(request)

    return treat


def dropping(how: str, after: bytes = b"") -> Callable[[Peer, socket.socket], None]:
    """Read one request, say a part of an answer or nothing, and go."""

    def treat(made: Peer, connection: socket.socket) -> None:
        made.requests.append(request_on(connection))
        connection.sendall(after)
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    return treat


@contextmanager
def wire(url: str, **environ: str) -> Iterator[Wire]:
    made = Wire(
        "eu-west-1", (SSM, DYNAMODB, STATES, LAMBDA),
        {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", **environ}, sleep=lambda _: None,
    )  # fmt: skip
    try:
        yield made
    finally:
        made.close()


def invoke(own: Wire, payload: bytes = b"{}", patience: Patience = ONCE) -> bytes:
    return own.invoke(FUNCTION, payload, "e30=", patience).body


def ask(own: Wire, patience: Patience = TWICE) -> dict:
    return own.ask(SSM, "GetParameters", '{"Names":["n"]}', patience)


def heard_of_the_end(own: Wire) -> bool:
    """Wait until what the peer did to the one idle connection has come to this side."""
    ((idle, _),) = own._lines[LAMBDA.name].pool._idle
    return bool(select.select([idle._socket], [], [], STALL_S)[0])


class TestKept:
    def test_calls_one_after_the_other_share_a_connection(self):
        with serving(lambda _: Answer({})) as served, wire(served.url) as own:
            for _ in range(5):
                ask(own)
            assert (served.connections, len(served.asked)) == (1, 5)

    def test_calls_at_once_have_one_each_and_no_answer_goes_astray(self):
        with serving(lambda asked: Answer({"said": asked.document["n"]})) as served, wire(served.url) as own:
            with ThreadPoolExecutor(8) as threads:
                said = list(threads.map(lambda n: own.ask(DYNAMODB, "GetItem", f'{{"n":{n}}}', TWICE)["said"], range(200)))
            assert said == list(range(200))
            assert served.connections <= 8

    @pytest.mark.parametrize("then", ["close", "half-close", "reset"])
    def test_one_that_was_closed_while_idle_is_not_used_again_and_the_invoke_runs_once(self, then):
        with peer(answering(OK, then=then), answering(OK, OK)) as other, wire(other.url) as own:
            invoke(own)
            assert heard_of_the_end(own)
            assert invoke(own) == b"{}"
            assert (other.connections, len(other.requests)) == (2, 2)

    def test_one_that_says_that_it_will_close_is_not_used_again(self):
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
        with peer(answering(head), answering(OK)) as other, wire(other.url) as own:
            invoke(own)
            invoke(own)
            assert other.connections == 2

    def test_one_that_was_said_more_on_than_was_asked_is_not_used_again(self):
        with peer(answering(OK + OK), answering(OK)) as other, wire(other.url) as own:
            invoke(own)
            invoke(own)
            assert other.connections == 2

    def test_one_that_was_idle_for_long_is_not_used_again_even_if_it_seems_to_be_there(self):
        now = [1000.0]
        with peer(answering(OK, OK), answering(OK, OK)) as other:
            pool = Pool(endpoint_from(other.url, "test"), lambda: now[0])
            first = pool.take(STALL_S)
            pool.give_back(first)
            now[0] += connections.MOST_IDLE_S - 1
            assert pool.take(STALL_S) is first
            pool.give_back(first)
            now[0] += connections.MOST_IDLE_S + 1
            second = pool.take(STALL_S)
            assert second is not first
            second.close()

    def test_a_process_whose_clock_was_set_back_does_not_trust_what_is_idle(self):
        now = [1000.0]
        with peer(answering(OK)) as other:
            pool = Pool(endpoint_from(other.url, "test"), lambda: now[0])
            first = pool.take(STALL_S)
            pool.give_back(first)
            now[0] -= 3600
            second = pool.take(STALL_S)
            assert second is not first
            second.close()


class TestAnInvokeIsOneExecutionAtMost:
    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"])
    @pytest.mark.parametrize("kept", [False, True])
    def test_a_connection_that_drops_after_the_request_went_out_is_broken_and_nothing_is_sent_again(self, how, said, kept):
        def treat(made: Peer, connection: socket.socket) -> None:
            if kept:
                made.requests.append(request_on(connection))
                connection.sendall(OK)
            dropping(how, said)(made, connection)

        with peer(treat, answering(OK)) as other, wire(other.url) as own:
            if kept:
                invoke(own)
            before = len(other.requests)
            with pytest.raises(Broken):
                invoke(own)
            assert (len(other.requests) - before, other.connections) == (1, 1)

    @pytest.mark.parametrize("payload", [b"{}", b"x" * 3_000_000], ids=["small", "large"])
    def test_a_server_that_goes_while_the_request_is_still_going_out_gets_no_second_one(self, payload):
        def treat(made: Peer, connection: socket.socket) -> None:
            connection.recv(100)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()

        with peer(treat) as other, wire(other.url) as own:
            with pytest.raises(Broken):
                invoke(own, payload)
            assert other.connections == 1

    def test_a_server_that_never_answers_is_asked_once_and_given_up_in_time(self, standing):
        with peer(answering()) as other, wire(other.url) as own:
            begun = time.monotonic()
            with pytest.raises(NoAnswer):
                invoke(own, patience=SHORT)
            assert time.monotonic() - begun < IN_TIME_S
            assert (other.came(1), other.connections) == (1, 1)

    def test_a_server_that_dribbles_is_given_up_in_time_too(self, standing):
        def treat(made: Peer, connection: socket.socket) -> None:
            made.requests.append(request_on(connection))
            for letter in OK[:-2].decode():
                standing.now += 0.1
                connection.sendall(letter.encode())
                time.sleep(0.01)
            connection.close()  # who has waited for that calls it broken

        with peer(treat) as other, wire(other.url) as own, pytest.raises(NoAnswer):
            invoke(own, patience=SHORT)

    def test_a_server_that_does_not_read_is_given_up_in_time(self, standing):
        with peer(lambda *_: None) as other, wire(other.url) as own:
            begun = time.monotonic()
            with pytest.raises(NoAnswer):
                invoke(own, b"x" * 6_000_000, SHORT)
            assert time.monotonic() - begun < IN_TIME_S

    def test_an_answer_that_comes_late_is_not_taken_for_that_of_the_next_request(self, standing):
        given_up, said = threading.Event(), threading.Event()

        def late(made: Peer, connection: socket.socket) -> None:
            made.requests.append(request_on(connection))
            given_up.wait(STALL_S)
            with suppress(OSError):
                connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"n": 1}')
            said.set()

        with peer(late, answering(OK)) as other, wire(other.url) as own:
            with pytest.raises(NoAnswer):
                invoke(own, patience=SHORT)
            given_up.set()
            assert said.wait(STALL_S)
            assert invoke(own) == b"{}"

    @pytest.mark.parametrize(("code", "status"), [("TooManyRequestsException", 429), ("ServiceException", 500), ("Slow", 503)])
    def test_a_refusal_is_an_answer_and_nothing_is_sent_again(self, code, status):
        with serving(lambda _: refusal(code, status)) as served, wire(served.url) as own:
            with pytest.raises(Refusal) as caught:
                invoke(own)
            assert (caught.value.code, len(served.asked)) == (code, 1)

    def test_where_to_connect_took_all_the_time_nothing_was_sent(self):
        with peer(answering(OK)) as other, wire(other.url) as own:
            with pytest.raises(Unreached):
                own.invoke(FUNCTION, b"{}", "e30=", Patience(connect_s=STALL_S, answer_s=0, attempts=1))
            assert invoke(own) == b"{}"
            assert (len(other.requests), other.connections) == (1, 1)

    def test_where_nobody_listens_nothing_was_sent(self):
        with socket.socket() as bound:  # so nobody else begins to listen there meanwhile
            bound.bind(("127.0.0.1", 0))
            with wire(f"http://127.0.0.1:{bound.getsockname()[1]}") as own, pytest.raises(Unreached):
                invoke(own)


class TestOthersAreSentAgain:
    @pytest.mark.parametrize("how", ["close", "reset", "stall"])
    def test_after_a_connection_that_broke_or_stalled(self, how, standing):
        def stalling(made: Peer, connection: socket.socket) -> None:
            made.requests.append(request_on(connection))
            standing.now += TWICE.answer_s
            connection.sendall(OK[:1])

        treat = stalling if how == "stall" else dropping(how)
        with peer(treat, answering(OK)) as other, wire(other.url) as own:
            assert ask(own) == {}
            assert len(other.requests) == 2

    def test_and_when_that_does_not_help_the_fault_is_told(self):
        with peer(dropping("close")) as other, wire(other.url) as own:
            with pytest.raises(WireFault):
                ask(own)
            assert len(other.requests) == 2

    def test_but_not_when_once_was_said(self):
        with peer(dropping("close"), answering(OK)) as other, wire(other.url) as own:
            with pytest.raises(Broken):
                ask(own, ONCE)
            assert len(other.requests) == 1

    def test_when_one_idle_connection_is_dead_the_second_try_does_not_meet_another(self):
        """What cut one connection has cut its siblings, and some of them do not know yet."""

        both = threading.Barrier(2, timeout=STALL_S)

        def dying(made: Peer, connection: socket.socket) -> None:
            made.requests.append(request_on(connection))
            both.wait()  # so each of them has a connection of its own
            connection.sendall(OK)
            dropping("close")(made, connection)

        with peer(dying, dying, answering(OK, OK)) as other, wire(other.url) as own:
            with ThreadPoolExecutor(2) as threads:
                assert list(threads.map(lambda _: ask(own), range(2))) == [{}, {}]
            assert ask(own) == {}
            assert other.connections == 3

    def test_a_throttled_call_waits_before_it_goes_out_again(self):
        waited: list[float] = []
        with serving(lambda asked: refusal("ThrottlingException") if len(waited) < 1 else Answer({"done": True})) as served:
            own = Wire(
                "eu-west-1", (SSM,), {"AWS_ENDPOINT_URL": served.url, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"},
                sleep=waited.append, draw=lambda: 0.5,
            )  # fmt: skip
            assert ask(own) == {"done": True}
            own.close()
        assert waited == [0.15]


class TestAnswers:
    @pytest.mark.parametrize(
        "raw",
        [
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3;x=y\r\n 1}\r\n0\r\nTrailer: x\r\n\r\n',
            b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nCONTENT-LENGTH:  8\r\n\r\n{"a": 1}',
            b'HTTP/1.0 200 OK\r\n\r\n{"a": 1}',
            b'HTTP/1.1 200\r\nContent-Length: 8\r\nX: \xff\r\n\r\n{"a": 1}',
        ],
    )
    @pytest.mark.parametrize("step", [1, 7, 10_000])
    def test_an_answer_is_read_however_it_is_cut_into_pieces(self, raw, step):
        def treat(made: Peer, connection: socket.socket) -> None:
            made.requests.append(request_on(connection))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(raw), step):
                connection.sendall(raw[at : at + step])
                time.sleep(0.0005)
            connection.close()

        with peer(treat) as other, wire(other.url) as own:
            assert ask(own, ONCE) == {"a": 1}

    def test_an_answer_of_megabytes_is_read_whole(self):
        with serving(lambda _: Answer(b"x" * 6_000_000)) as served, wire(served.url) as own:
            assert own.invoke(FUNCTION, b"y" * 6_000_000, "e30=", ONCE).body == b"x" * 6_000_000
            assert served.asked[0].body == b"y" * 6_000_000

    @pytest.mark.parametrize(
        "raw",
        [
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
        ],
    )
    def test_what_is_no_answer_breaks_the_call_and_the_connection(self, raw):
        with peer(dropping("close", raw)) as other, wire(other.url) as own, pytest.raises(Broken):
            ask(own, ONCE)

    def test_a_refusal_says_its_code_without_the_words_around_it(self):
        for answer, code in (
            (Answer({"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}, 400), "ResourceNotFoundException"),
            (Answer({}, 400, {"x-amzn-ErrorType": "ValidationException:http://internal.amazon.com/"}), "ValidationException"),
            (Answer({"code": "Odd"}, 418), "Odd"),
            (Answer(b"<html>", 502), "502"),
            (Answer(b"", 301), "301"),
        ):
            with serving(lambda _, answer=answer: answer) as served, wire(served.url) as own:
                with pytest.raises(Refusal) as caught:
                    ask(own, ONCE)
                assert caught.value.code == code


class TestWhatGoesOut:
    @pytest.fixture
    def unhurried(self, monkeypatch):
        """A fetch that has time enough."""
        monkeypatch.setattr("canary.wire.call._FETCH_S", STALL_S)

    def test_a_lambda_tells_its_trace_and_another_process_does_not(self):
        trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        with serving(lambda _: Answer({})) as served:
            for environ in ({"AWS_LAMBDA_FUNCTION_NAME": "router"}, {}):
                with wire(served.url, _X_AMZN_TRACE_ID=trace, **environ) as own:
                    invoke(own)
        assert [asked.headers.get("x-amzn-trace-id") for asked in served.asked] == [trace, None]

    def test_an_operation_of_a_json_service_is_named_in_its_header(self):
        with serving(lambda _: Answer({})) as served, wire(served.url) as own:
            own.ask(STATES, "DescribeExecution", '{"executionArn":"\\u00fc"}', TWICE)
        (asked,) = served.asked
        assert (asked.method, asked.path, asked.document) == ("POST", "/", {"executionArn": "ü"})
        assert asked.headers["X-Amz-Target"] == "AWSStepFunctions.DescribeExecution"
        assert asked.headers["Content-Type"] == "application/x-amz-json-1.0"

    def test_credentials_that_rotate_sign_the_next_call(self):
        environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}
        with serving(lambda _: Answer({})) as served:
            environ["AWS_ENDPOINT_URL"] = served.url
            own = Wire("eu-west-1", (SSM,), environ)
            ask(own)
            environ |= {"AWS_ACCESS_KEY_ID": "B", "AWS_SESSION_TOKEN": "T"}
            ask(own)
            own.close()
        assert [
            "Credential=A/" in served.asked[0].headers["authorization"],
            "Credential=B/" in served.asked[1].headers["authorization"],
        ]
        assert [asked.headers.get("x-amz-security-token") for asked in served.asked] == [None, "T"]

    def test_credentials_are_fetched_from_a_local_address(self, unhurried):
        with serving(lambda _: Answer(b"the document")) as served:
            assert fetch(endpoint_from(served.url, "test"), "/x?y", "word") == b"the document"
        assert (served.asked[0].method, served.asked[0].path, served.asked[0].headers["authorization"]) == ("GET", "/x?y", "word")

    def test_a_fetch_that_is_refused_or_breaks_is_tried_twice(self, unhurried):
        with serving(lambda _: Answer(b"", 500)) as served, pytest.raises(WireFault):
            fetch(endpoint_from(served.url, "test"), "/x", None)
        assert len(served.asked) == 2


def test_a_connection_that_does_not_come_about_in_time_is_unreached():
    """A listener whose queue is full does not answer at all."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    waiting = []
    try:
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
            waiting.append(one)
        assert select.select([], waiting, [], STALL_S)[1], "one is in the queue, which holds no more"
        begun = time.monotonic()
        with pytest.raises(Unreached):
            Connection(Endpoint("127.0.0.1", port, tls=False), 0.3)
        assert time.monotonic() - begun < IN_TIME_S, "the system itself tries for two minutes"
    finally:
        for one in [*waiting, listener]:
            one.close()
