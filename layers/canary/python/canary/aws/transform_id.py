"""Finding the execution that a Lambda target started, in its answer."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError

from canary.domain.target import shorten

#: What asking an answer may raise: an expression that is none, or one that jmespath's own code trips over on odd values, such as
#: a slice with step 0, the largest of a number and a text, a sum that no float holds, or hundreds of brackets in one another.
_NOT_ASKED: Final = (JMESPathError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: Where a transform id is looked for when the plan does not say: at the top level, or within a JSON ``body``.
_USUAL: Final = ("executionArn", "execution_arn", "transformId", "transform_id")


def find_transform_id(answer: Any, expression: str | None) -> str | None:
    """Find the transform id in a target's answer; None when it has none (then the answer itself is the outcome).

    An expression that is none, or that this answer cannot be asked, is as good as none: the work is done, and an error here
    would only make the upstream ask for it again.
    """
    if expression is not None:
        with suppress(*_NOT_ASKED):
            return _text(_compiled(expression).search(answer))
    for place in (answer, _body(answer)):
        if isinstance(place, dict):
            for name in _USUAL:
                if found := _text(place.get(name)):
                    return found
    return None


def expression_problem(expression: str | None) -> str | None:
    """Say what is wrong with a plan's expression; None when it can be used."""
    if expression is None:
        return None
    try:
        _compiled(expression)
    except _NOT_ASKED as error:
        reason = (
            "it is nested too deeply" if isinstance(error, RecursionError) else shorten(next(iter(str(error).splitlines()), ""))
        )
        return f"the plan's transform_id {shorten(expression)!r} is not a JMESPath expression: {reason}"
    return None


@lru_cache(maxsize=32)
def _compiled(expression: str) -> Any:
    return jmespath.compile(expression)


def _body(answer: Any) -> Any:
    body = answer.get("body") if isinstance(answer, dict) else None
    if not isinstance(body, str):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) and found else None
