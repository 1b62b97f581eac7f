"""The published JSON Schema of plans, for editors. Keys that contradict one another are found by `canary plan lint` alone."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from canary.domain.plan import (
    ALPHAS,
    HUNG_AFTER,
    MAX_ALARM_NAME,
    MAX_ALARMS,
    MAX_PREFLIGHT,
    MAX_QUOTA,
    MAX_STAGES,
    MIN_FAILURE_RATE,
    Fallback,
    GateDefault,
    NoData,
    OnAbort,
    OnNewRelease,
    Plan,
    Stage,
)
from canary.domain.plan_document import COMPLETE, DECIDED, PRESET_NAME, SCHEMA_KEY
from canary.domain.plan_fields import CONTROL, DURATION, PERCENT, duration_text
from canary.domain.plan_stages import EARNED, EARNED_WEIGHT, MANUAL
from canary.domain.presets import PRESETS
from canary.domain.target import MOST_CHARACTERS

Schema = dict[str, Any]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEFAULT: Final = Plan()


def schema() -> Schema:
    """Make the schema."""
    return {
        "$schema": _DRAFT,
        "$id": "urn:canary-router:plan",
        "title": "Plan of a canary release",
        "description": "The parameter /canary/{app}/plan: how much of the traffic a release gets, what must be proved, and what "
        "happens when it is not. A preset's name does as well.",
        "anyOf": [{"$ref": "#/$defs/preset"}, {"$ref": "#/$defs/plan"}],
        "$defs": {
            "preset": _presets(),
            "plan": _plan(),
            "stage": {"anyOf": [{"const": EARNED}, _stage()]},
            "duration": _text("A number and a unit: ms, s, m, h or d.", f"^{DURATION}$", "90s", "30m", "24h", "2d"),
            "percent": _text("A rate as a text.", f"^{PERCENT}$", "10%", "2.5 %"),
            "span": _span(),
            "gate": _gate(),
        },
    }


def _presets() -> Schema:
    return {
        "title": "Preset",
        "oneOf": [{"const": name, "title": name, "description": preset.purpose} for name, preset in PRESETS.items()],
    }


def _plan() -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            SCHEMA_KEY: {"title": "Schema", "description": "Where your editor finds this schema.", "type": "string"},
            "preset": _key("Preset", "The plan to start from; every key beside it takes the place of the preset's.", _name()),
            "stages": _stages(),
            **_deciding(),
            **_ending(),
            **_sending(),
        },
        # A document that says everything keeps its preset as a remark, whatever has become of that preset.
        "if": {"not": {"required": sorted(COMPLETE), "anyOf": [{"required": sorted(decided)} for decided in DECIDED]}},
        "then": {"properties": {"preset": {"$ref": "#/$defs/preset"}}},
    }


def _name() -> Schema:
    return {"type": "string", "pattern": f"^{PRESET_NAME}$", "examples": list(PRESETS)}


def _stages() -> Schema:
    words = "What the release goes through, one after the other."
    items = {"type": "array", "minItems": 1, "maxItems": MAX_STAGES, "items": {"$ref": "#/$defs/stage"}}
    return _key("Stages", words, items) | {"default": [{"quota": 2, "weight": 50}]}


def _deciding() -> dict[str, Schema]:
    either = "Not together with max_failure_rate, alpha, hung_after, or a stage without a number."
    return {
        "max_failures": _key(
            "Failures that may be", f"So many requests may fail over the whole release. {either}", _whole(0, MAX_QUOTA), default=0
        ),
        "max_failure_rate": _key(
            "Failure rate to exclude",
            "Latest is promoted once it is proved to fail less than this. Without it: five times current's rate, 10 % at least.",
            _rate(MIN_FAILURE_RATE, 1 - MIN_FAILURE_RATE),
        ),
        "alpha": _key(
            "Chance of a wrong abort",
            "A good version is thrown out in so many releases at most.",
            _rate(*ALPHAS),
            default=_DEFAULT.alpha,
        ),
        "hung_after": _key(
            "Hung after",
            "A request that is on its way so many times as long as 99.9 % of current's take counts as failed until it ends.",
            {"type": "number", "minimum": HUNG_AFTER[0], "maximum": HUNG_AFTER[1]},
            default=_DEFAULT.hung_after,
        ),
        "max_lost": _key(
            "Unsent requests that may be",
            "If more cannot be sent, through no fault of latest's, the release is held. Default: the stages' quotas, or 10.",
            _whole(0, MAX_QUOTA * MAX_STAGES),
        ),
    }


def _ending() -> dict[str, Schema]:
    return {
        "deadline": _key(
            "Deadline", "When everything has to be decided, from the release's beginning.", _ref("duration"), default="24h"
        ),
        "no_data": _key(
            "At the deadline", "What becomes of a release that is not decided by then.", _words(NoData), default=_DEFAULT.no_data
        ),
        "on_new_release": _key(
            "On a newer release",
            "What a newer write to latest does: take the release's place, wait for its end, or be refused.",
            _words(OnNewRelease),
            default=_DEFAULT.on_new_release,
        ),
        "on_abort": _key(
            "On abort",
            "What becomes of workflows that run on latest when it is thrown out.",
            _words(OnAbort),
            default=_DEFAULT.on_abort,
        ),
        "watch": _key(
            "Watch",
            "How long latest is watched after its promotion; if it fails, it is taken back by itself.",
            _ref("span"),
            default="0s",
        ),
    }


def _sending() -> dict[str, Schema]:
    return {
        "preflight": _key(
            "Preflight",
            "Payloads that are run on latest before any real request, marked as synthetic. Each has to succeed.",
            {"type": "array", "maxItems": MAX_PREFLIGHT, "items": True},
            default=[],
        ),
        "fallback": _key(
            "Fallback",
            "What the caller gets when latest fails a request: current always, or only when latest surely did not begin.",
            _words(Fallback),
            default=_DEFAULT.fallback,
        ),
        "latest_timeout": _key(
            "Time for an answer",
            "How long latest may take to answer a request, 20 s at most.",
            _ref("duration"),
            default=duration_text(_DEFAULT.latest_timeout_ms),
        ),
        "transform_id": _key(
            "Transform id",
            "A JMESPath expression for the transform id in a Lambda's answer.",
            {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS, "pattern": "\\S"},
        ),
    }


def _stage() -> Schema:
    return {
        "title": "Stage",
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["quota"]}, {"required": ["weight"]}, {"required": ["earned"]}],
        "properties": {
            "quota": _key(
                "Requests",
                f'How many requests the stage may send to latest, or "{EARNED}": as many as the evidence allows.',
                {"anyOf": [_whole(1, MAX_QUOTA), {"const": EARNED}]},
            ),
            "earned": _key("Earned", f'true: the same as "quota": "{EARNED}".', {"const": True}),
            "weight": _key(
                "Weight",
                "The chance of a request to go to latest, in percent; where the quota is earned, the ceiling of it. "
                f"Default: {Stage().weight}, or {EARNED_WEIGHT} where it is earned.",
                _whole(1, 100),
            ),
            "bake": _key("Bake", "How long the stage takes at least, from its own start.", _ref("span"), default="0s"),
            "min_completed": _key("Least completed", "So many of its requests have to end.", _whole(0, MAX_QUOTA), default=0),
            "gate": _key("Gate", "A person has to agree before the release goes on from this stage.", _ref("gate")),
            "alarms": _alarms(),
        },
    }


def _alarms() -> Schema:
    name = {"type": "string", "minLength": 1, "maxLength": MAX_ALARM_NAME, "pattern": f"^[^{CONTROL}]*$"}
    words = "Names of CloudWatch alarms: one in ALARM throws latest out, one that is missing or has no data holds the stage."
    return _key("Alarms", words, {"type": "array", "maxItems": MAX_ALARMS, "uniqueItems": True, "items": name}, default=[])


def _span() -> Schema:
    time = _key("Time", "So long at least.", _ref("duration"))
    completed = _key("Completed", "Until so many executions have ended.", _whole(1, MAX_QUOTA))
    both = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {"time": time, "completed": completed},
    }
    return {
        "title": "Span",
        "description": "A time, a number of completed executions, or both.",
        "anyOf": [_ref("duration"), both],
    }


def _gate() -> Schema:
    properties = {
        "type": _key("Type", "A person says `canary promote`.", {"const": MANUAL}),
        "timeout": _key("Timeout", "How long the answer may take.", _ref("duration"), default="24h"),
        "default": _key("Default", "What happens without an answer.", _words(GateDefault), default=GateDefault.ABORT),
    }
    asked = {"type": "object", "additionalProperties": False, "required": ["type"], "properties": properties}
    return {"title": "Gate", "anyOf": [{"const": MANUAL}, asked]}


def _key(title: str, description: str, value: Schema, **default: Any) -> Schema:
    return {"title": title, "description": description, **value, **default}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _rate(low: float, high: float) -> Schema:
    return {"anyOf": [{"type": "number", "minimum": low, "maximum": high}, _ref("percent")]}


def _words(words: Iterable[StrEnum]) -> Schema:
    return {"enum": [word.value for word in words]}


def _text(description: str, pattern: str, *examples: str) -> Schema:
    return {"type": "string", "description": description, "pattern": pattern, "examples": list(examples)}
