"""The client for upstream apps: finds the router by its environment, sends requests, and says what became of them.

    router = discover("production")
    routed = router.send("transformer", {"order": 4711}, idempotency_key="order-4711")
    router.find("transformer", routed.request_id).status

CanaryError
├── NotDiscovered    no router is registered for the environment
├── Unreachable      no answer came; with an idempotency key it is safe to ask again
└── RouterProblem    the router answered with an error: ``status``, ``problem`` (RFC 9457), ``retry_after``
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from canary.domain.target import APP_NAME
from canary.errors import CanaryError

__all__ = ["Followed", "NotDiscovered", "Routed", "RouterClient", "RouterProblem", "Unreachable", "discover"]

_NAMESPACE: Final = "canary"
_SERVICE: Final = "router"
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,255}")
_API: Final = re.compile(r"(?P<api>[a-z0-9]+)\.execute-api\.")
#: What service discovery says where requests have to be signed.
_SIGNED: Final = "AWS_IAM"
#: Answers after which surely nothing was started.
_NOTHING_STARTED: Final = frozenset({429, 503})
#: The first request with the same key is still in progress.
_IN_PROGRESS: Final = 409
_TRIES: Final = 4
#: An upstream app that starts wants to know soon that it cannot.
_CONFIG: Final = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


class NotDiscovered(CanaryError):
    """No router is registered for the environment."""


class Unreachable(CanaryError):
    """No answer came. Whether the work was started is unknown."""


class RouterProblem(CanaryError):
    """The router answered with an error."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Routed:
    """A request that was served. ``status``: 202 when a workflow was started, 200 when the work is done."""

    status: int
    request_id: str
    routed_to: str
    tag: str
    transform_id: str | None
    response: Any
    fell_back: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of a request on record. ``status`` is that of the audit table, e.g. ``RUNNING`` or ``SUCCEEDED``."""

    status: str
    request_id: str
    routed_to: str | None
    tag: str | None
    transform_id: str | None
    response: Any
    fell_back: bool


def discover(environment: str, region: str | None = None) -> RouterClient:
    """Find the router of an environment in Cloud Map, and fetch its key. Raises `NotDiscovered`.

    Where the installation asks for signed requests, they are signed with the credentials of this process. The caller needs
    servicediscovery:DiscoverInstances, apigateway:GET for the key, and there execute-api:Invoke: the stack's UpstreamPolicy.
    """
    session = boto3.Session(region_name=region)
    try:
        gateway = session.client("apigateway", config=_CONFIG)
        endpoint = _custom(gateway.meta.endpoint_url)
        # Cloud Map's calls go to a host with the prefix "data-", which an endpoint of one's own does not have.
        cloud_map = session.client("servicediscovery", config=_CONFIG.merge(Config(inject_host_prefix=endpoint is None)))
        found = cloud_map.discover_instances(
            NamespaceName=_NAMESPACE, ServiceName=_SERVICE, QueryParameters={"environment": environment}
        )
        known = [instance["Attributes"] for instance in found["Instances"]]
        # Not every Cloud Map minds the query.
        mine = next((attributes for attributes in known if attributes.get("environment") == environment), None)
        if mine is None:
            raise NotDiscovered(_unknown(environment))
        key = gateway.get_api_key(apiKey=mine["api_key_id"], includeValue=True)["value"]
    except (BotoCoreError, ClientError) as error:
        raise NotDiscovered(f"the router of {environment!r} cannot be discovered: {error}") from error
    sign = _signer(session, gateway.meta.region_name) if mine.get("authorization") == _SIGNED else None
    return RouterClient(_reachable(mine["url"], endpoint), key, sign=sign)


#: Takes a method, a URL, headers and a body, and returns the headers that go out.
Sign = Callable[[str, str, Mapping[str, str], bytes | None], Mapping[str, str]]


def _signer(session: boto3.Session, region: str) -> Sign:
    """Sign with the session's credentials, fresh ones for each request, since they expire."""

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Mapping[str, str]:
        credentials = session.get_credentials()
        if credentials is None:
            raise Unreachable("the router wants signed requests, and there are no AWS credentials to sign with")
        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(request)
        return dict(request.headers.items())

    return sign


class RouterClient:
    """Sends requests to a router. Safe to share between threads; connections are kept."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        sign: Sign | None = None,
        pause: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self._key = api_key
        self._sign = sign
        self._pause = pause
        self._draw = draw
        self._clock = clock
        self._pool = urllib3.PoolManager(maxsize=16, retries=False)

    def send(
        self, app: str, body: Any, idempotency_key: str | None = None, tenant: str | None = None, timeout: float = 30
    ) -> Routed:
        """Send a JSON body to an app; ``timeout`` in seconds holds for all tries together.

        Busy answers (429, 503) are tried again, since they have started nothing. With an idempotency key so are 409 and
        answers that never came: the router does the work once. Raises `RouterProblem`, `Unreachable`, `ValueError`.
        """
        headers = {"Content-Type": "application/json"}
        for name, value in (("Idempotency-Key", idempotency_key), ("X-Canary-Tenant", tenant)):
            if value is not None:
                headers[name] = _printable(name, value)
        content = json.dumps(body).encode()
        status, answer = self._ask("POST", f"/{_app(app)}", content, headers, timeout, again=idempotency_key is not None)
        return Routed(
            status=status,
            request_id=answer["request_id"],
            routed_to=answer["routed_to"],
            tag=answer["tag"],
            transform_id=answer.get("transform_id"),
            response=answer.get("response"),
            fell_back=bool(answer.get("fell_back")),
        )

    def find(self, app: str, request_id: str, timeout: float = 30) -> Followed:
        """Ask what became of a request on record. Raises `RouterProblem` (404 when it is not), `Unreachable`."""
        path = f"/{_app(app)}/requests/{quote(request_id, safe='')}"
        _, answer = self._ask("GET", path, None, {}, timeout, again=True)
        return Followed(
            status=answer["status"],
            request_id=answer["request_id"],
            routed_to=answer.get("routed_to"),
            tag=answer.get("tag"),
            transform_id=answer.get("transform_id"),
            response=answer.get("response"),
            fell_back=bool(answer.get("fell_back")),
        )

    def _ask(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], timeout: float, *, again: bool
    ) -> tuple[int, Any]:
        """Ask until there is an answer, the tries are used up, or the time is. ``again``: it may be asked after silence too."""
        until = self._clock() + timeout
        for left in reversed(range(_TRIES)):
            problem: CanaryError
            try:
                return self._once(method, path, content, headers, max(0.1, until - self._clock()))
            except Unreachable as error:
                problem, worth, wait = error, again, 0.5
            except RouterProblem as error:
                worth = error.status in _NOTHING_STARTED or (again and error.status == _IN_PROGRESS)
                problem, wait = error, error.retry_after or 0.5
            # All who were turned away together must not come back together.
            seconds = wait * (1 + self._draw())
            if not worth or not left or self._clock() + seconds >= until:
                raise problem
            self._pause(seconds)
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], timeout: float) -> tuple[int, Any]:
        url = self.url + path
        sent: Mapping[str, str] = {**headers, "x-api-key": self._key, "Accept": "application/json"}
        if self._sign is not None:  # each try anew: a signature lasts five minutes
            sent = self._sign(method, url, sent, content)
        try:
            answer = self._pool.request(
                method,
                url,
                body=content,
                headers=sent,
                timeout=urllib3.Timeout(total=timeout),
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{method} {url}: no answer ({error})") from error
        document = _document(answer.data)
        if answer.status >= 400 or not isinstance(document, dict):
            problem = document if isinstance(document, dict) else {"detail": answer.data[:300].decode(errors="replace")}
            raise RouterProblem(answer.status, problem, _seconds(answer.headers.get("Retry-After")))
        return answer.status, document


def _app(name: str) -> str:
    if not APP_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no app's name: lower-case letters, digits and dashes, 40 at most")
    return name


def _printable(name: str, value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise ValueError(f"{name} must be 1 to 255 printable ASCII characters")
    return value


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isdigit() else None


def _unknown(environment: str) -> str:
    return (
        f"no router is registered for the environment {environment!r} in the Cloud Map service {_SERVICE!r} of the namespace "
        f"{_NAMESPACE!r}: check its name and the region"
    )


def _custom(endpoint_url: str) -> str | None:
    """The endpoint, where it is not AWS's own."""
    host = urlsplit(endpoint_url).hostname or ""
    return None if host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")) else endpoint_url.rstrip("/")


def _reachable(url: str, endpoint: str | None) -> str:
    """The router's URL; on an endpoint that is not AWS's own, the one at which that serves the API."""
    parts = urlsplit(url)
    match = _API.match(parts.hostname or "")
    if endpoint is None or match is None:
        return url
    return f"{endpoint}/restapis/{match['api']}/{parts.path.strip('/')}/_user_request_"
