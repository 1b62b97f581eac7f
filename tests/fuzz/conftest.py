"""The handlers, with an installation in memory behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from canary import bootstrap, startup
from canary.flipping.flipper import Flipper
from flipper import app as flipper
from router import app as router
from tests.fakes.scene import Scene


@dataclass(slots=True)
class Context:
    """What the Lambda runtime hands over."""

    function_name: str = "function"
    function_version: str = "1"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:function:live"
    aws_request_id: str = "lambda-request"
    client_context: Any = None
    identity: Any = field(default=None)

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene, Any], Any]:
    """Give an event to the router's handler, in a process that has just begun."""

    def answer(scene: Scene, event: Any) -> Any:
        monkeypatch.setattr(startup, "desk", lambda *_: scene.desk())
        monkeypatch.setattr(startup, "now", scene.clock)
        router.desk.cache_clear()
        try:
            return router.handler(event, Context())
        finally:
            router.desk.cache_clear()

    return answer


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene, Any], Any]:
    """Give an event to the flipper's handler, in a process that has just begun."""

    def answer(scene: Scene, event: Any) -> Any:
        log: list[str] = []
        made = Flipper(scene.world(), lambda message, **_: log.append(message), owner=f"flipper-{scene.clock()}")
        monkeypatch.setattr(bootstrap, "flipper", lambda *_: made)
        monkeypatch.setattr(bootstrap, "now", scene.clock)
        flipper.flipper.cache_clear()
        try:
            return flipper.handler(event, Context())
        finally:
            flipper.flipper.cache_clear()

    return answer
