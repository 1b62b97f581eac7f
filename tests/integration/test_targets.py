"""Calling stacks on both transports, with every answer that they and AWS may give."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from canary.aws import clients
from canary.aws.targets import StackTargets
from canary.domain.call import Call, CallResult
from canary.domain.target import parse_target
from canary.lean.targets import LeanTargets
from canary.wire.call import Wire as LeanWire
from canary.wire.endpoints import LAMBDA, STATES
from tests.fakes.endpoint import Answer, wired
from tests.integration.conftest import ACCOUNT, REGION, Scripted, Wire, error

FUNCTION = parse_target(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-v2:live")
MACHINE = parse_target(f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-v2")
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:transformer-v2:the-request"
RELEASE = "00000001-0123abcd"
SECRET = "card 4111-1111"


@pytest.fixture(params=["botocore", "lean"])
def transport(request) -> str:
    return request.param


@pytest.fixture
def scripted(transport, scripted, answering):
    """A client of the transport that answers what it is told to, and what it was asked."""
    if transport == "botocore":
        return scripted

    def make(_: str, *answers: Wire) -> SimpleNamespace:
        wire, served = answering(*(Answer(each.body, each.status, each.headers) for each in answers))
        return SimpleNamespace(client=wire, requests=served.asked, asked=lambda number=0: served.asked[number].document)

    return make


def targets_on(client) -> LeanTargets | StackTargets:
    return LeanTargets(client) if isinstance(client, LeanWire) else StackTargets(lambda _: client, lambda _: client)


def call(
    client, target=FUNCTION, *, body=b'{"order": 1}', release=RELEASE, timeout_ms=500, transform_id=None, synthetic=False
) -> Call:
    return targets_on(client).call(target, body, "the-request", release, timeout_ms, transform_id, synthetic=synthetic)


def invoked(scripted, *answers: Wire, **options) -> tuple[Call, Scripted]:
    service = scripted("lambda", *answers)
    return call(service.client, **options), service


def started(scripted, *answers: Wire, **options) -> tuple[Call, Scripted]:
    service = scripted("stepfunctions", *answers)
    return call(service.client, MACHINE, **options), service


class TestFunctions:
    def test_the_answer_comes_back_as_it_stands_with_the_execution_that_it_names(self, scripted):
        result, _ = invoked(scripted, Wire({"executionArn": EXECUTION, "lines": 3}))
        assert result == Call(result=CallResult.ANSWERED, answer={"executionArn": EXECUTION, "lines": 3}, transform_id=EXECUTION)

    def test_it_gets_the_body_unchanged_and_the_ids_beside_it(self, scripted):
        body = b' {"b":1,\n"a": "\xc3\xbc"} '
        _, service = invoked(scripted, Wire({}), body=body)
        (request,) = service.requests
        assert request.body == body
        context = json.loads(base64.b64decode(request.headers["X-Amz-Client-Context"]))
        assert context == {"custom": {"canary_request_id": "the-request", "canary_release": RELEASE}}
        assert "transformer-v2%3Alive/invocations" in request.url

    def test_current_is_told_of_no_release(self, scripted):
        _, service = invoked(scripted, Wire({}), release=None)
        context = json.loads(base64.b64decode(service.requests[0].headers["X-Amz-Client-Context"]))
        assert context == {"custom": {"canary_request_id": "the-request"}}

    def test_synthetic_work_is_marked_beside_the_body_and_only_there(self, scripted):
        _, service = invoked(scripted, Wire({}), synthetic=True)
        context = json.loads(base64.b64decode(service.requests[0].headers["X-Amz-Client-Context"]))
        assert context["custom"] == {
            "canary_request_id": "the-request",
            "canary_release": RELEASE,
            "canary_synthetic": "true",
            "X-Canary-Synthetic": "true",
        }
        assert service.requests[0].body == b'{"order": 1}'

    @pytest.mark.parametrize("kind", ["Unhandled", "Handled"])
    def test_a_function_error_has_failed_and_its_message_is_not_repeated(self, scripted, kind):
        words = {"errorType": "ValueError", "errorMessage": SECRET, "stackTrace": [SECRET]}
        result, _ = invoked(scripted, Wire(words, headers={"X-Amz-Function-Error": kind}))
        assert result == Call(result=CallResult.FAILED, error=f"{kind} error ValueError")

    @pytest.mark.parametrize("words", [SECRET, [SECRET], None, {"errorMessage": SECRET}])
    def test_a_function_error_without_a_type_has_failed_all_the_same(self, scripted, words):
        result, _ = invoked(scripted, Wire(json.dumps(words).encode(), headers={"X-Amz-Function-Error": "Unhandled"}))
        assert result == Call(result=CallResult.FAILED, error="Unhandled error")

    @pytest.mark.parametrize("status", [500, 503, 599, "502"])
    def test_a_status_code_from_500_has_failed_and_its_body_is_not_repeated_in_the_error(self, scripted, status):
        result, _ = invoked(scripted, Wire({"statusCode": status, "body": SECRET, "executionArn": EXECUTION}))
        assert (result.result, result.error, result.transform_id) == (CallResult.FAILED, f"statusCode {status}", None)

    @pytest.mark.parametrize("status", [200, 202, 404, 499, "200", "twelve", None, [500], 3.5])
    def test_a_status_code_below_500_is_an_answer(self, scripted, status):
        result, _ = invoked(scripted, Wire({"statusCode": status}))
        assert (result.result, result.answer) == (CallResult.ANSWERED, {"statusCode": status})

    @pytest.mark.parametrize("payload", [b"", b"not json", b"\xff\xfe"])
    def test_an_answer_that_is_not_json_is_an_answer_without_words(self, scripted, payload):
        result, _ = invoked(scripted, Wire(payload))
        assert result == Call(result=CallResult.ANSWERED)

    @pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"executionArn": "arn", "n": ' + b"9" * 5_000 + b"}"])
    def test_of_an_answer_that_cannot_be_read_nobody_knows_what_it_has_started(self, scripted, payload):
        result, _ = invoked(scripted, Wire(payload))
        assert result == Call(result=CallResult.ANSWERED, untraced=True)

    def test_what_is_not_json_in_an_answer_does_not_reach_the_upstream(self, scripted):
        result, _ = invoked(scripted, Wire(b'{"mean": NaN, "most": Infinity, "rows": 7}'))
        assert result.answer == {"mean": None, "most": None, "rows": 7}

    @pytest.mark.parametrize("payload", [b"null", b"7", b'"text"', b"[1]", b"true"])
    def test_an_answer_may_be_any_json(self, scripted, payload):
        result, _ = invoked(scripted, Wire(payload))
        assert (result.result, result.answer) == (CallResult.ANSWERED, json.loads(payload))

    @pytest.mark.parametrize(
        ("code", "status", "expected"),
        [
            ("TooManyRequestsException", 429, CallResult.REFUSED),
            ("ThrottlingException", 400, CallResult.REFUSED),
            ("EC2ThrottledException", 502, CallResult.REFUSED),
            ("AccessDeniedException", 403, CallResult.REFUSED),
            ("ExpiredTokenException", 403, CallResult.REFUSED),
            ("ResourceNotFoundException", 404, CallResult.MISSING),
            ("RequestTooLargeException", 413, CallResult.TOO_LARGE),
            ("InvalidRequestContentException", 400, CallResult.REFUSED),
            ("InvalidRuntimeException", 502, CallResult.FAILED),
            ("ResourceNotReadyException", 502, CallResult.FAILED),
            ("SomethingNew", 400, CallResult.FAILED),
        ],
    )
    def test_an_error_of_the_service_is_told_by_its_code_alone_and_asked_once(self, scripted, code, status, expected):
        result, service = invoked(scripted, error(code, status, message=SECRET))
        assert (result.result, len(service.requests)) == (expected, 1)
        assert code in result.error
        assert SECRET not in result.error


class TestStateMachines:
    def test_an_execution_is_started_under_the_requests_id_with_its_body(self, scripted):
        result, service = started(scripted, Wire({"executionArn": EXECUTION, "startDate": 1_795_246_200.123}))
        assert (result.result, result.transform_id, result.answer["executionArn"]) == (CallResult.ANSWERED, EXECUTION, EXECUTION)
        asked = service.asked()
        assert asked == {"stateMachineArn": MACHINE.arn, "name": "the-request", "input": '{"order": 1}'}
        json.dumps(result.answer)

    def test_synthetic_work_bears_the_name_that_the_caller_chose_and_the_body_as_it_is(self, scripted):
        _, service = started(scripted, Wire({"executionArn": EXECUTION, "startDate": 1_795_246_200.123}), synthetic=True)
        assert service.asked() == {"stateMachineArn": MACHINE.arn, "name": "the-request", "input": '{"order": 1}'}

    @pytest.mark.parametrize("qualifier", ["", ":7", ":live", ":v1.0.0"])
    def test_a_request_that_has_its_execution_already_is_answered_with_it(self, scripted, qualifier):
        service = scripted("stepfunctions", error("ExecutionAlreadyExists"))
        result = call(service.client, parse_target(MACHINE.arn + qualifier))
        assert result == Call(result=CallResult.ANSWERED, answer={"executionArn": EXECUTION}, transform_id=EXECUTION)

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("ExecutionLimitExceeded", CallResult.REFUSED),
            ("ThrottlingException", CallResult.REFUSED),
            ("AccessDeniedException", CallResult.REFUSED),
            ("StateMachineDoesNotExist", CallResult.MISSING),
            ("StateMachineDeleting", CallResult.MISSING),
            ("InvalidExecutionInput", CallResult.REFUSED),
        ],
    )
    def test_an_error_of_the_service_is_told_by_its_code_alone(self, scripted, code, expected):
        result, _ = started(scripted, error(code, message=SECRET))
        assert result.result is expected
        assert code in result.error
        assert SECRET not in result.error

    def test_a_real_state_machine_is_started_once_however_often_it_is_asked(self, moto, transport, moto_over_http):
        client = moto("stepfunctions")
        definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
        role = f"arn:aws:iam::{ACCOUNT}:role/r"
        client.create_state_machine(name="transformer-v2", definition=definition, roleArn=role)
        with wired(moto_over_http) as wire:
            starter = client if transport == "botocore" else wire
            first, second = (call(starter, MACHINE) for _ in range(2))
            other = call(starter, MACHINE, body=b'{"order": 2}')
        assert first.transform_id == second.transform_id == EXECUTION
        assert len(client.list_executions(stateMachineArn=MACHINE.arn)["executions"]) == 1
        assert (other.result, other.transform_id) == (CallResult.ANSWERED, EXECUTION)


def _request(connection: socket.socket) -> bytes:
    """One whole request: its head and its body may come in several pieces."""
    read = b""
    while True:
        head, end, body = read.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)content-length: *(\d+)", head)
        if end and len(body) >= (int(size[1]) if size else 0):
            return read
        piece = connection.recv(65_536)
        if not piece:
            return read
        read += piece


#: Longer than any machine stalls: what comes at all, comes by then.
STALL_S = 60
#: For what is answered: all the time that a call may have.
LONG_MS = 20_000


@contextmanager
def server(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers with these bytes and hangs up; None: that never answers. Gives its URL and what reached it."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            connection.settimeout(STALL_S)
            with suppress(OSError):  # whoever has given up is gone
                seen.append(_request(connection))
                if answer is not None:
                    connection.sendall(answer)
                    connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)  # first: it may just be taking one more
        for connection in kept:
            connection.close()


def came(seen: list[bytes], number: int) -> int:
    """Wait for so many requests, since who gives one up may be faster than the server reads it; return how many there are."""
    until = time.monotonic() + STALL_S
    while len(seen) < number and time.monotonic() < until:
        time.sleep(0.002)
    return len(seen)


@pytest.fixture
def through_the_real_clients(monkeypatch, transport):
    """The clients that production uses, against one's own endpoint."""

    def made(url: str) -> LeanTargets | StackTargets:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, REGION)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        if transport == "lean":
            return LeanTargets(LeanWire(REGION, (LAMBDA, STATES)))
        return StackTargets(clients.invoking, clients.starting)

    clients._with_timeout.cache_clear()
    yield made
    clients._with_timeout.cache_clear()


class TestTheNetwork:
    def test_a_function_that_does_not_answer_is_asked_once_and_given_up_in_time(self, through_the_real_clients, standing):
        with server(None) as (url, seen):
            begun = time.monotonic()
            result = through_the_real_clients(url).call(FUNCTION, b"{}", "the-request", RELEASE, 500, None)
            took = time.monotonic() - begun
            assert came(seen, 1) == 1
        assert (result.result, result.error) == (CallResult.TIMED_OUT, "Timeout: no answer within 500 ms")
        assert took < STALL_S / 2, "the server is silent for longer"

    def test_a_state_machine_that_does_not_answer_may_be_asked_again_within_the_same_time(
        self, through_the_real_clients, transport, standing
    ):
        """But botocore asks once: of two tries it would tell what the last one came to, whatever the first one did."""
        with server(None) as (url, seen):
            result = through_the_real_clients(url).call(MACHINE, b"{}", "the-request", RELEASE, 500, None)
            tries = 1 if transport == "botocore" else 2
            assert came(seen, tries) == tries
        assert result.result is CallResult.TIMED_OUT
        assert all(b"the-request" in request for request in seen)

    def test_a_connection_that_breaks_leaves_it_open_whether_the_work_began_and_is_not_tried_again(
        self, through_the_real_clients
    ):
        with server(b"") as (url, seen):
            result = through_the_real_clients(url).call(FUNCTION, b"{}", "the-request", RELEASE, LONG_MS, None)
        assert (result.result, len(seen)) == (CallResult.TIMED_OUT, 1)

    def test_an_answer_that_breaks_off_leaves_it_open_too(self, through_the_real_clients):
        with server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{") as (url, seen):
            result = through_the_real_clients(url).call(FUNCTION, b"{}", "the-request", RELEASE, LONG_MS, None)
        assert (result.result, len(seen)) == (CallResult.TIMED_OUT, 1)

    def test_where_nobody_listens_nothing_was_started(self, through_the_real_clients):
        with socket.socket() as bound:  # so nobody else begins to listen there meanwhile
            bound.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            result = through_the_real_clients(url).call(FUNCTION, b"{}", "the-request", RELEASE, LONG_MS, None)
        assert result.result is CallResult.REFUSED

    def test_a_throttled_function_is_not_asked_again_either(self, through_the_real_clients):
        body = b'{"__type": "TooManyRequestsException"}'
        head = b"HTTP/1.1 429 Slow\r\nx-amzn-errortype: TooManyRequestsException\r\nContent-Length: %d\r\n\r\n" % len(body)
        with server(head + body) as (url, seen):
            result = through_the_real_clients(url).call(FUNCTION, b"{}", "the-request", RELEASE, LONG_MS, None)
        assert (result.result, len(seen)) == (CallResult.REFUSED, 1)
