"""The flipper's handler: any event wakes it, and it makes a full pass. What happens there is `canary.flipping`."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from canary import bootstrap
from canary.flipping.flipper import Flipper
from canary.meter import Meter

#: No pass is begun with less time than this.
_LAST_START_MS: Final = 15_000

logger = Logger(service="flipper")
tracer = Tracer(service="flipper")
meter = Meter("flipper", os.environ.get("POWERTOOLS_METRICS_NAMESPACE"))


@cache
def flipper() -> Flipper:
    """The wired-up flipper, one for each process."""
    return bootstrap.flipper(os.environ, meter, _log)


@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@logger.inject_lambda_context(clear_state=True)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Make a pass for every app, the one that the event speaks of first."""
    try:
        until = bootstrap.now() + context.get_remaining_time_in_millis() - _LAST_START_MS
        passes = flipper().run(first=_hinted(event), until=until)
        meter.count("FlipperPass", "")
    finally:
        meter.flush()
    return {
        "passes": [
            {"app": done.app, "result": done.result, "steps": done.steps, **({"error": done.error} if done.error else {})}
            for done in passes
        ]
    }


def _hinted(event: Any) -> list[str]:
    """The app that an event speaks of: a parameter's, or the caller's own word. Only a hint, so anything odd is none."""
    if not isinstance(event, dict):
        return []
    detail = event.get("detail")
    words = [event.get("app"), detail.get("name") if isinstance(detail, dict) else None]
    found = (_in_name(word) for word in words if isinstance(word, str))
    return [app for app in found if app]


def _in_name(word: str) -> str | None:
    prefix = re.escape("/" + os.environ.get("CANARY_PREFIX", "/canary").strip("/"))
    match = re.fullmatch(rf"(?:{prefix}/)?([a-z][a-z0-9-]{{0,39}})(?:/(?:current|latest|previous|plan))?", word)
    return match[1] if match else None


def _log(message: str, **facts: object) -> None:
    logger.info(message, extra=facts)
