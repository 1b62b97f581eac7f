"""The upstream apps of the demo: requests to the router's URL with its key, and what they were answered."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from canary.local import LocalStack

_TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request and its answer. ``status`` is HTTP's; None: no answer came."""

    at: int
    status: int | None
    request_id: str = ""
    routed_to: str = ""
    tag: str = ""
    fell_back: bool = False
    problem: str = ""

    @property
    def served(self) -> bool:
        """Whether the upstream got what it wanted."""
        return self.status in {200, 202}


class Traffic:
    """Sends requests to one app. They are not repeated: an upstream that is turned away shall show."""

    def __init__(self, stack: LocalStack, app: str, clock: Callable[[], int]) -> None:
        self._url = f"{stack.router_url}/{app}"
        self._headers = {"Content-Type": "application/json", "X-Api-Key": stack.api_key}
        self._clock = clock
        self._pool = urllib3.PoolManager(retries=False)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._sent: list[Sent] = []

    @property
    def sent(self) -> tuple[Sent, ...]:
        """All requests that were answered so far, oldest first."""
        with self._lock:
            return tuple(self._sent)

    def send(self) -> None:
        """Send one request and remember the answer."""
        body = json.dumps({"orders": 1 + next(self._numbers) % 5})
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=self._headers, timeout=_TIMEOUT_SECONDS)
        except urllib3.exceptions.HTTPError as error:
            sent = Sent(at=self._clock(), status=None, problem=f"no answer: {error}")
        else:
            sent = understood(answer.status, answer.data, self._clock())
        with self._lock:
            self._sent.append(sent)


def understood(status: int, content: bytes, at: int) -> Sent:
    """Read the router's answer, or what came in its place."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if status >= 400 or not isinstance(document, dict):
        return Sent(at=at, status=status, problem=_problem(document, content))
    return Sent(
        at=at,
        status=status,
        request_id=document["request_id"],
        routed_to=document["routed_to"],
        tag=document["tag"],
        fell_back=bool(document.get("fell_back")),
    )


def _problem(document: Any, content: bytes) -> str:
    words: Mapping[str, Any] = document if isinstance(document, dict) else {}
    return str(words.get("detail") or words.get("title") or words.get("message") or content[:120].decode(errors="replace"))
