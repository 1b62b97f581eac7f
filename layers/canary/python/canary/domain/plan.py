"""Plans: how much of the traffic a release gets, for how long, and when it is over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

_DURATION = re.compile(r"(\d{1,12})\s*(ms|s|m|h|d)")
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

MAX_QUOTA: Final = 100_000
MAX_STAGES: Final = 20
MAX_DEADLINE_MS: Final = 30 * _UNIT_MS["d"]
#: API Gateway waits 29 s; current needs its share of them.
MAX_LATEST_TIMEOUT_MS: Final = 20_000


class InvalidPlan(ValueError):
    """A plan that cannot be read; the message names the place and the cure."""


class Fallback(StrEnum):
    """What the upstream gets when latest fails: current ``always``, or only when latest surely ``unstarted``."""

    ALWAYS = "always"
    UNSTARTED = "unstarted"


@dataclass(frozen=True, slots=True)
class Stage:
    """``quota`` requests, each with a chance of ``weight`` percent while slots remain; at least ``bake_ms`` long."""

    quota: int
    weight: int = 50
    bake_ms: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A release's plan, read once when the release opens."""

    stages: tuple[Stage, ...] = (Stage(quota=2),)
    max_failures: int = 0
    max_lost: int = field(default=-1)
    deadline_ms: int = _UNIT_MS["d"]
    fallback: Fallback = Fallback.ALWAYS
    latest_timeout_ms: int = 10_000
    transform_id: str | None = None

    def __post_init__(self) -> None:
        if self.max_lost < 0:
            object.__setattr__(self, "max_lost", self.quota)

    @property
    def quota(self) -> int:
        """Requests over all stages."""
        return sum(stage.quota for stage in self.stages)

    def quota_through(self, stage: int) -> int:
        """Requests from the first stage to stage number ``stage`` (from 0), inclusive."""
        return sum(each.quota for each in self.stages[: stage + 1])


def parse_plan(text: str | None) -> Plan:
    """Read the plan parameter (None: the default plan of two requests). Raises `InvalidPlan`."""
    if text is None or not text.strip():
        return Plan()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPlan(f"the plan is not JSON: {error}") from error
    return plan_from(document)


def plan_from(document: object) -> Plan:
    """Build a plan from its JSON document. Raises `InvalidPlan`."""
    fields = _object(document, "the plan", frozenset(_PLAN_KEYS))
    stages = fields.get("stages", [{"quota": 2, "weight": 50}])
    if not isinstance(stages, list) or not 1 <= len(stages) <= MAX_STAGES:
        raise InvalidPlan(f'stages: expected a list of 1 to {MAX_STAGES} stages such as {{"quota": 2, "weight": 50}}')
    plan = Plan(
        stages=tuple(_stage(stage, f"stages[{number}]") for number, stage in enumerate(stages)),
        max_failures=_whole(fields, "max_failures", "max_failures", 0, 0, MAX_QUOTA),
        max_lost=_whole(fields, "max_lost", "max_lost", -1, 0, MAX_QUOTA * MAX_STAGES),
        deadline_ms=_duration(fields, "deadline", "deadline", _UNIT_MS["d"], 1, MAX_DEADLINE_MS),
        fallback=_fallback(fields.get("fallback", Fallback.ALWAYS)),
        latest_timeout_ms=_duration(fields, "latest_timeout", "latest_timeout", 10_000, 100, MAX_LATEST_TIMEOUT_MS),
        transform_id=_expression(fields.get("transform_id")),
    )
    if plan.max_failures >= plan.quota:
        raise InvalidPlan(
            f"max_failures: {plan.max_failures} of {plan.quota} requests may fail, so nothing would ever be proved; use less"
        )
    if sum(stage.bake_ms for stage in plan.stages) >= plan.deadline_ms:
        raise InvalidPlan("deadline: the stages bake longer than the deadline allows; raise the deadline or bake less")
    return plan


def plan_document(plan: Plan) -> dict[str, Any]:
    """Write a plan as the JSON document that `plan_from` reads."""
    document: dict[str, Any] = {
        "stages": [{"quota": s.quota, "weight": s.weight, "bake": f"{s.bake_ms}ms"} for s in plan.stages],
        "max_failures": plan.max_failures,
        "max_lost": plan.max_lost,
        "deadline": f"{plan.deadline_ms}ms",
        "fallback": plan.fallback.value,
        "latest_timeout": f"{plan.latest_timeout_ms}ms",
    }
    return document | ({"transform_id": plan.transform_id} if plan.transform_id else {})


_PLAN_KEYS: Final = ("stages", "max_failures", "max_lost", "deadline", "fallback", "latest_timeout", "transform_id")
_STAGE_KEYS: Final = ("quota", "weight", "bake")


def _stage(document: object, place: str) -> Stage:
    fields = _object(document, place, frozenset(_STAGE_KEYS))
    if "quota" not in fields:
        raise InvalidPlan(f'{place}.quota: missing; say how many requests the stage may send to latest, e.g. "quota": 2')
    return Stage(
        quota=_whole(fields, "quota", f"{place}.quota", 2, 1, MAX_QUOTA),
        weight=_whole(fields, "weight", f"{place}.weight", 50, 1, 100),
        bake_ms=_duration(fields, "bake", f"{place}.bake", 0, 0, MAX_DEADLINE_MS),
    )


def _object(document: object, place: str, known: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise InvalidPlan(f"{place}: expected a JSON object")
    if unknown := sorted(set(document) - known):
        raise InvalidPlan(f"{place}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return document


def _whole(fields: Mapping[str, Any], key: str, place: str, default: int, low: int, high: int) -> int:
    number = fields.get(key, default)
    if key in fields and (isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high):
        raise InvalidPlan(f"{place}: expected a whole number from {low} to {high}, not {number!r}")
    return int(number)


def _duration(fields: Mapping[str, Any], key: str, place: str, default_ms: int, low_ms: int, high_ms: int) -> int:
    if key not in fields:
        return default_ms
    match = _DURATION.fullmatch(fields[key]) if isinstance(fields[key], str) else None
    if match is None:
        raise InvalidPlan(f'{place}: expected a duration such as "90s", "30m", "24h" or "2d", not {fields[key]!r}')
    duration = int(match[1]) * _UNIT_MS[match[2]]
    if not low_ms <= duration <= high_ms:
        raise InvalidPlan(f"{place}: must lie between {low_ms} ms and {high_ms // 1000} s")
    return duration


def _fallback(word: object) -> Fallback:
    try:
        return Fallback(word)  # type: ignore[arg-type]  # the constructor is the check
    except ValueError as error:
        raise InvalidPlan(f'fallback: expected "always" or "unstarted", not {word!r}') from error


def _expression(word: object) -> str | None:
    if word is not None and (not isinstance(word, str) or not word.strip()):
        raise InvalidPlan('transform_id: expected a JMESPath expression such as "result.executionArn"')
    return word if isinstance(word, str) else None
