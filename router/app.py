"""The router's handler: HTTP in, HTTP out. What happens in between is `canary.routing`."""

from __future__ import annotations

import base64
import json
import os
import re
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from canary import __version__, bootstrap
from canary.domain.target import APP_NAME
from canary.meter import Meter
from canary.routing.keyed import Desk
from canary.routing.problem import Problem
from canary.routing.router import Reply, Request

#: API Gateway gives up after 29 s from its own start; the function begins a little later.
_BUDGET_MS: Final = 28_500
_PROBLEM: Final = "application/problem+json"
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")

logger = Logger(service="router")
tracer = Tracer(service="router")
api = APIGatewayRestResolver()
meter = Meter("router", os.environ.get("POWERTOOLS_METRICS_NAMESPACE"))


@cache
def desk() -> Desk:
    """The wired-up router, one for each process."""
    return bootstrap.desk(os.environ, meter)


@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway's."""
    try:
        return api.resolve(event, context)
    except Exception:
        # The edge: what should not have happened goes to the log with its cause, and not to the caller.
        logger.exception("a defect")
        meter.count("Defect", "")
        answer = Problem(500, "the router failed; what happened is in its log")
        return {"statusCode": 500, "headers": {"Content-Type": _PROBLEM}, "body": json.dumps(answer.body)}
    finally:
        meter.flush()


@api.post("/<app_name>")
def take(app_name: str) -> Response[str]:
    """Send a request to one stack."""
    headers = api.current_event.headers
    request = Request(
        app=_app(app_name),
        body=_body(),
        deadline=bootstrap.now() + min(_BUDGET_MS, api.lambda_context.get_remaining_time_in_millis()),
        tenant=_header(headers, "X-Canary-Tenant"),
    )
    key = _header(headers, "Idempotency-Key")
    reply = desk().take(request, api.current_event.request_context.identity.api_key_id or "", key)
    logger.info("routed", **_facts(reply))
    return _answer(reply)


@api.get("/<app_name>/requests/<request_id>")
def find(app_name: str, request_id: str) -> Response[str]:
    """Tell what became of a request on record."""
    return _answer(desk().find(_app(app_name), request_id))


@api.get("/health")
def health() -> Response[str]:
    """Say that the router is there."""
    return _json(HTTPStatus.OK, {"status": "ok", "version": __version__})


@api.exception_handler(Problem)
def problem(error: Problem) -> Response[str]:
    """Answer with an error."""
    return _problem(error)


def _problem(error: Problem) -> Response[str]:
    logger.warning("not routed", status=error.status, detail=error.detail, **error.extra)
    headers = {**error.headers}
    if request_id := error.extra.get("request_id"):
        headers["X-Canary-Request-Id"] = request_id
    return _json(error.status, error.body, headers, _PROBLEM)


@api.not_found
def no_such_path(_: Exception) -> Response[str]:
    """Answer for a path that the contract does not have."""
    return _problem(Problem(404, "there is no such path: see openapi.yaml"))


def _app(name: str) -> str:
    if not APP_NAME.fullmatch(name):
        raise Problem(404, "there is no such app: names are lower-case letters, digits and dashes, at most 40")
    return name


def _body() -> bytes:
    event = api.current_event
    text = event.body or ""
    try:
        body = base64.b64decode(text, validate=True) if event.is_base64_encoded else text.encode()
        json.loads(body.decode(), parse_constant=_no_constant)  # of bytes it would take UTF-16 and byte order marks too
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is not JSON") from error
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _header(headers: dict[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is not None and not _KEY.fullmatch(value):
        raise Problem(400, f"{name} must be 1 to 255 printable ASCII characters")
    return value


def _facts(reply: Reply) -> dict[str, Any]:
    names = ("request_id", "app", "routed_to", "tag", "transform_id", "fell_back", "status")
    return {"http_status": reply.status, "because": reply.because, **{n: reply.body[n] for n in names if n in reply.body}}


def _answer(reply: Reply) -> Response[str]:
    headers = {"X-Canary-Request-Id": str(reply.body.get("request_id", ""))}
    if routed_to := reply.body.get("routed_to"):
        headers["X-Canary-Routed-To"] = routed_to
    kind = "application/json" if reply.status < HTTPStatus.BAD_REQUEST else _PROBLEM
    return _json(reply.status, reply.body, headers, kind)


def _json(
    status: int, body: dict[str, Any], headers: dict[str, str] | None = None, kind: str = "application/json"
) -> Response[str]:
    return Response(status_code=status, content_type=kind, body=json.dumps(body, ensure_ascii=False), headers=headers or {})
