"""The router's handler: HTTP in, HTTP out. What happens in between is `canary.routing`."""

# ruff: noqa: E402
from __future__ import annotations

import gc

gc.disable()  # what is imported stays: to look for garbage among it would be a part of every start

import base64
import json
import logging
import os
import re
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger

from canary import __version__, startup
from canary.domain.target import APP_NAME
from canary.meter import Meter
from canary.routing.keyed import Desk
from canary.routing.problem import Problem
from canary.routing.router import Reply, Request

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

#: API Gateway gives up after 29 s from its own start; the function begins a little later.
_BUDGET_MS: Final = 28_500
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_KEY: Final = r"[\x20-\x7e]{1,255}"
_HALF: Final = "[\ud800-\udfff]"
#: What the log tells of an answer.
_TOLD: Final = ("request_id", "app", "routed_to", "tag", "transform_id", "fell_back", "status")
#: A function answers with 6 MB at most; the rest is for the headers.
_MOST_BYTES: Final = 6 * 1024 * 1024 - 10_000

#: An event or an answer, as API Gateway's proxy integration has them.
Document = dict[str, Any]

gc.freeze()
gc.enable()

_encode = json.JSONEncoder(ensure_ascii=False).encode

# By itself Powertools would make an encoder for each line, and look whether its message is JSON: none of ours is.
logger = Logger(
    service="router",
    json_serializer=json.JSONEncoder(default=str, separators=(",", ":"), ensure_ascii=False).encode,
    json_deserializer=str,
)
meter = Meter("router", os.environ.get("POWERTOOLS_METRICS_NAMESPACE"))


@cache
def desk() -> Desk:
    """The wired-up router, one for each process."""
    return startup.desk(os.environ, meter)


def handler(event: Document, context: LambdaContext) -> Document:
    """Answer one request of API Gateway's."""
    try:
        return _answered(event, context)
    except Problem as problem:
        logger.append_keys(function_request_id=context.aws_request_id)
        return _problem(problem)
    except Exception:
        # The edge: what should not have happened goes to the log with its cause, and not to the caller.
        logger.append_keys(function_request_id=context.aws_request_id)
        logger.exception("a defect")
        meter.count("Defect", "")
        answer = Problem(500, "the router failed; what happened is in its log")
        return {"statusCode": 500, "headers": {"Content-Type": _PROBLEM}, "body": json.dumps(answer.body)}
    finally:
        meter.flush()


def _answered(event: Document, context: LambdaContext) -> Document:
    """Route by the paths of openapi.yaml; a slash at the end changes nothing."""
    _check(event)
    match event["httpMethod"], event["path"].rstrip("/").split("/"):
        case "POST", ["", app] if app:
            return take(event, app, context)
        case "GET", ["", app, "requests", request_id] if app and request_id:
            return find(app, request_id)
        case "GET", ["", "health"]:
            return health()
    raise Problem(404, "there is no such path: see openapi.yaml")


#: What is read of an event, and as what.
_READ: Final[dict[str, type | tuple[type, ...]]] = {
    "httpMethod": str,
    "path": str,
    "headers": (dict, NoneType),
    "body": (str, NoneType),
    "requestContext": (dict, NoneType),
}


def _check(event: object) -> None:
    """Refuse what API Gateway would not send: somebody has invoked the function past it."""
    if not isinstance(event, dict) or not all(isinstance(event.get(name), kind) for name, kind in _READ.items()):
        raise Problem(400, "this is not a request of the API: send requests to the router's URL")


def take(event: Document, app_name: str, context: LambdaContext) -> Document:
    """Send a request to one stack, and tell in the line of its metrics where it went."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    request = Request(
        app=_app(app_name),
        body=_body(event),
        deadline=startup.now() + min(_BUDGET_MS, context.get_remaining_time_in_millis()),
        tenant=_header(headers, "X-Canary-Tenant"),
    )
    key = _header(headers, "Idempotency-Key")
    reply = desk().take(request, _api_key(event), key)
    if logger.log_level <= logging.INFO:
        meter.tell(request.app, _facts(reply, context))
    return _answer(reply)


def find(app_name: str, request_id: str) -> Document:
    """Tell what became of a request on record."""
    return _answer(desk().find(_app(app_name), request_id))


def health() -> Document:
    """Say that the router is there."""
    return _json(200, {"status": "ok", "version": __version__})


def _problem(error: Problem) -> Document:
    logger.warning("not routed", status=error.status, detail=error.detail, **error.extra)
    headers = {**error.headers}
    if request_id := error.extra.get("request_id"):
        headers["X-Canary-Request-Id"] = request_id
    return _json(error.status, error.body, headers, _PROBLEM)


def _app(name: str) -> str:
    if not APP_NAME.fullmatch(name):
        raise Problem(404, "there is no such app: names are lower-case letters, digits and dashes, at most 40")
    return name


def _body(event: Document) -> bytes:
    text = event.get("body") or ""
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
        _decoder.decode(body.decode())  # of bytes `json` would take UTF-16 and byte order marks too
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is not JSON") from error
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Numbers are not looked into: Python reads none of more than 4,300 digits, and the target gets the body as it stands.
_decoder: Final = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str)


def _header(headers: Document, name: str) -> str | None:
    value: object = headers.get(name.lower())
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(_KEY, value):
        raise Problem(400, f"{name} must be 1 to 255 printable ASCII characters")
    return value


def _api_key(event: Document) -> str:
    identity = (event.get("requestContext") or {}).get("identity")
    return str(identity.get("apiKeyId") or "") if isinstance(identity, dict) else ""


def _facts(reply: Reply, context: LambdaContext) -> Document:
    """What the log says of a request, in Powertools' words where it has some."""
    body = reply.body
    facts = {"level": "INFO", "message": "routed", "http_status": reply.status, "because": reply.because}
    facts |= {name: body[name] for name in _TOLD if name in body}
    facts["function_request_id"] = context.aws_request_id
    if trace := os.environ.get("_X_AMZN_TRACE_ID"):
        facts["xray_trace_id"] = trace.split(";", 1)[0].removeprefix("Root=")
    return facts


def _answer(reply: Reply) -> Document:
    headers = {"X-Canary-Request-Id": str(reply.body.get("request_id", ""))}
    if routed_to := reply.body.get("routed_to"):
        headers["X-Canary-Routed-To"] = routed_to
    return _json(reply.status, reply.body, headers, _JSON if reply.status < 400 else _PROBLEM)


def _json(status: int, body: Document, headers: dict[str, str] | None = None, kind: str = _JSON) -> Document:
    named = {"Content-Type": kind, **(headers or {})}
    text = _text(body)
    if _sent_bytes(text) > _MOST_BYTES:  # an error would only make the upstream ask for the same work again
        text = _text({**body, "response": None, "response_omitted": True})
    return {
        "statusCode": status,
        "body": text,
        "isBase64Encoded": False,
        "multiValueHeaders": {name: [value] for name, value in named.items()},
    }


def _text(body: Document) -> str:
    text = _encode(body)
    # Half a surrogate pair is JSON, and the Lambda runtime cannot send it but as an escape.
    return text if text.isascii() or not re.search(_HALF, text) else json.dumps(body)


def _sent_bytes(text: str) -> int:
    """How large a body is within the answer, where it stands as a text of JSON."""
    return len(text.encode()) + text.count('"') + text.count("\\")
