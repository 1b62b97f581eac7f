"""The flipper's Lambda, to be woken: a pass is made while the caller waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from canary.aws.faults import translated
from canary.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_SERVICE: Final = "Lambda"
#: The flipper runs twice at most at the same time, so being throttled is an ordinary answer.
_THROTTLED: Final = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "EC2ThrottledException"})
#: Seconds between the tries.
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0)


class FlipperFunction:
    """Invokes the flipper. A pass too many changes nothing, so it may be asked again and again."""

    def __init__(self, client: LambdaClient, function: str, pause: Callable[[float], None]) -> None:
        self._client = client
        self._function = function
        self._pause = pause

    def wake(self, app: str) -> str:
        """Have a pass made, and return its result for the app: ``done``, ``busy``, ``failed``. Raises `Unavailable`."""
        for seconds in _PAUSES:
            try:
                result = self._pass(app)
            except Unavailable as error:
                if error.code not in _THROTTLED:
                    raise
            else:
                if result != "busy":
                    return result
            self._pause(seconds)
        return self._pass(app)

    def _pass(self, app: str) -> str:
        with translated(_SERVICE):
            answer = self._client.invoke(FunctionName=self._function, Payload=json.dumps({"app": app}).encode())
        text = answer["Payload"].read().decode(errors="replace")
        if answer.get("FunctionError"):
            raise Unavailable(_SERVICE, "FunctionError", f"{self._function} failed, see its log: {text[:300]}")
        return _result(json.loads(text), app)


def _result(document: Any, app: str) -> str:
    passes = document.get("passes", []) if isinstance(document, dict) else []
    return next((str(done["result"]) for done in passes if done.get("app") == app), "failed")
