"""Stages and their parts in JSON, there and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from canary.domain.plan import (
    MAX_ALARM_NAME,
    MAX_ALARMS,
    MAX_DEADLINE_MS,
    MAX_QUOTA,
    MAX_STAGES,
    InvalidPlan,
    ManualGate,
    Span,
    Stage,
)
from canary.domain.plan_fields import Fields, duration_text, fields_of, shown, text_of

STAGE_KEYS: Final = ("quota", "earned", "weight", "bake", "min_completed", "gate", "alarms")
SPAN_KEYS: Final = ("time", "completed")
GATE_KEYS: Final = ("type", "timeout", "default")

EARNED: Final = "earned"
MANUAL: Final = "manual"
#: An earned stage's weight is a ceiling; the evidence keeps it lower where it should be.
EARNED_WEIGHT: Final = 100
_DEFAULT: Final = Stage()


def stages_from(fields: Fields, default: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Read a plan's stages. Raises `InvalidPlan`."""
    if "stages" not in fields:
        return default
    found = fields.items("stages", MAX_STAGES, "stages")
    if not found:
        raise InvalidPlan('stages: there is none; say at least one, such as {"quota": 2} or "earned"')
    return tuple(_stage(document, f"stages[{number}]") for number, document in enumerate(found))


def stage_document(stage: Stage) -> dict[str, Any]:
    """Write a stage; what it does not have is left out."""
    document = {
        "quota": EARNED if stage.earned else stage.quota,
        "weight": stage.weight,
        "bake": span_document(stage.bake) if stage.bake else None,
        "min_completed": stage.min_completed or None,
        "gate": _gate_document(stage.gate) if stage.gate else None,
        "alarms": list(stage.alarms) or None,
    }
    return {key: value for key, value in document.items() if value is not None}


def span_from(fields: Fields, key: str) -> Span:
    """Read ``"30m"``, ``{"completed": 50}``, or both: ``{"time": "30m", "completed": 50}``. Raises `InvalidPlan`."""
    said = fields.values.get(key)
    if not isinstance(said, dict):
        if key in fields and not isinstance(said, str):
            fields.refuse(key, 'a duration such as "30m", or a number of executions such as {"completed": 50}')
        return Span(ms=fields.duration(key, 0, 0, MAX_DEADLINE_MS))
    inner = fields_of(said, fields.at(key), SPAN_KEYS)
    if not said:
        raise InvalidPlan(f'{fields.at(key)}: say "time", "completed" or both, such as {{"completed": 50}}')
    return Span(
        ms=inner.duration("time", 0, 0, MAX_DEADLINE_MS),
        completed=inner.whole("completed", 0, 1, MAX_QUOTA),
    )


def span_document(span: Span) -> str | dict[str, Any]:
    """Write a span; none is ``"0s"``."""
    if not span.completed:
        return duration_text(span.ms)
    return {"time": duration_text(span.ms), "completed": span.completed} if span.ms else {"completed": span.completed}


def _stage(document: object, place: str) -> Stage:
    fields = fields_of({"quota": EARNED} if document == EARNED else document, place, STAGE_KEYS)
    quota, earned = _quota(fields)
    if quota is None and not earned and "weight" not in fields:
        wishes = '"quota": 2 (requests), "quota": "earned" (as many as the evidence allows) or "weight": 10 (percent)'
        raise InvalidPlan(f"{place}: say what it gets: {wishes}")
    return Stage(
        quota=quota,
        earned=earned,
        weight=fields.whole("weight", EARNED_WEIGHT if earned else _DEFAULT.weight, 1, 100),
        bake=span_from(fields, "bake"),
        min_completed=fields.whole("min_completed", 0, 0, MAX_QUOTA),
        gate=_gate(fields),
        alarms=_alarms(fields),
    )


def _quota(fields: Fields) -> tuple[int | None, bool]:
    """The number of requests, and whether it is to be earned."""
    if EARNED in fields:
        if fields.values[EARNED] is not True:
            fields.refuse(EARNED, 'true (leave it out where it is not, and say a "quota")')
        if "quota" in fields:
            raise InvalidPlan(f"{fields.at('quota')}: {fields.at(EARNED)} says already what it is; leave one of the two out")
        return None, True
    if fields.values.get("quota") == EARNED:
        return None, True
    if isinstance(fields.values.get("quota"), str):
        fields.refuse("quota", f'a whole number from 1 to {MAX_QUOTA}, or "{EARNED}"')
    return (fields.whole("quota", 0, 1, MAX_QUOTA), False) if "quota" in fields else (None, False)


def _gate(fields: Fields) -> ManualGate | None:
    if "gate" not in fields:
        return None
    said, example = fields.values["gate"], f'"{MANUAL}", or {{"type": "{MANUAL}", "timeout": "24h", "default": "abort"}}'
    if said == MANUAL:
        return ManualGate()
    if not isinstance(said, dict):
        fields.refuse("gate", example)
    inner = fields_of(said, fields.at("gate"), GATE_KEYS)
    if inner.values.get("type") != MANUAL:
        raise InvalidPlan(f"{inner.at('type')}: expected {example}")
    default = ManualGate()
    return ManualGate(
        timeout_ms=inner.duration("timeout", default.timeout_ms, 1, MAX_DEADLINE_MS),
        default=inner.word("default", default.default),
    )


def _gate_document(gate: ManualGate) -> Mapping[str, str]:
    return {"type": MANUAL, "timeout": duration_text(gate.timeout_ms), "default": gate.default.value}


def _alarms(fields: Fields) -> tuple[str, ...]:
    names: list[str] = []
    for number, name in enumerate(fields.items("alarms", MAX_ALARMS, "alarms")):
        place = f"{fields.at('alarms')}[{number}]"
        names.append(text_of(name, place, "the name of a CloudWatch alarm", MAX_ALARM_NAME))
        if names.index(name) < number:
            raise InvalidPlan(f"{place}: {shown(name)} stands there twice; once is enough")
    return tuple(names)
