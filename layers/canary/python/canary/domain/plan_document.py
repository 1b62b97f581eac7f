"""A plan's JSON: what people write into the parameter, and what is kept with a release."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from canary.domain.plan import (
    ALPHAS,
    HUNG_AFTER,
    MAX_DEADLINE_MS,
    MAX_LATEST_TIMEOUT_MS,
    MAX_PREFLIGHT,
    MAX_QUOTA,
    MAX_STAGES,
    MIN_FAILURE_RATE,
    MIN_LATEST_TIMEOUT_MS,
    InvalidPlan,
    Plan,
    Stage,
)
from canary.domain.plan_checks import check
from canary.domain.plan_fields import Fields, duration_text, fields_of, shown, text_of
from canary.domain.plan_stages import span_document, span_from, stage_document, stages_from
from canary.domain.presets import PRESETS, preset
from canary.domain.target import MOST_CHARACTERS, is_blank

#: Keys with which the evidence decides, and not a count.
WEIGHING: Final = ("max_failure_rate", "alpha", "hung_after")
PLAN_KEYS: Final = (
    "preset",
    "stages",
    "max_failures",
    *WEIGHING,
    "max_lost",
    "deadline",
    "no_data",
    "on_new_release",
    "on_abort",
    "watch",
    "preflight",
    "fallback",
    "latest_timeout",
    "transform_id",
)
#: Where editors look for the schema.
SCHEMA_KEY: Final = "$schema"
#: A document with all of these, and with either of `DECIDED`, says everything itself: its preset is a remark. Later versions may
#: know more keys, and give them to presets: these stay what they are, so that what is kept of a release stays what it was.
COMPLETE: Final = frozenset(
    {
        "stages",
        "max_lost",
        "deadline",
        "no_data",
        "on_new_release",
        "on_abort",
        "watch",
        "preflight",
        "fallback",
        "latest_timeout",
    }
)
DECIDED: Final = (frozenset(("max_failures",)), frozenset(("alpha", "hung_after")))
#: A preset's name; one that is not known any more may still stand in what is kept of a release.
PRESET_NAME: Final = "[a-z][a-z0-9-]{0,39}"

#: Payloads are nested no deeper, so that whoever reads them has room for it.
_MOST_NESTED: Final = 50
_WORD: Final = re.compile(r"[A-Za-z][\w-]*")
_DEFAULT: Final = Plan()


def parse_plan(text: str | None) -> Plan:
    """Read the plan parameter: JSON, or a preset's name (blank: the default plan of two requests). Raises `InvalidPlan`."""
    if text is None or is_blank(text):
        return Plan()
    if len(text) > MOST_CHARACTERS:
        cure = "leave out white space, or use fewer stages or smaller payloads"
        raise InvalidPlan(f"the plan: it has {len(text)} characters, and a parameter holds {MOST_CHARACTERS}; {cure}")
    plan = plan_from(_json(text.strip()))
    check(plan)
    return plan


def plan_from(document: object) -> Plan:
    """Read a plan's document. Raises `InvalidPlan`.

    It is not searched for contradictions: what was accepted once, and is kept with a release, can still be read when a later
    version refuses more of them.
    """
    own = fields_of({"preset": document} if isinstance(document, str) else document, "", (*PLAN_KEYS, SCHEMA_KEY))
    if not isinstance(own.values.get(SCHEMA_KEY, ""), str):
        own.refuse(SCHEMA_KEY, "the place of the schema, for your editor")
    fields = Fields(_with_preset(own)) if "preset" in own else own
    stages = stages_from(fields, _DEFAULT.stages)
    judged = _judged(own, fields, stages)
    return Plan(
        stages=stages,
        max_failures=None if judged else fields.whole("max_failures", 0, 0, MAX_QUOTA),
        max_failure_rate=fields.rate("max_failure_rate", None, MIN_FAILURE_RATE, 1 - MIN_FAILURE_RATE),
        alpha=fields.rate("alpha", _DEFAULT.alpha, *ALPHAS),
        hung_after=fields.number("hung_after", _DEFAULT.hung_after, *HUNG_AFTER),
        max_lost=fields.whole("max_lost", -1, 0, MAX_QUOTA * MAX_STAGES),
        deadline_ms=fields.duration("deadline", _DEFAULT.deadline_ms, 1, MAX_DEADLINE_MS),
        no_data=fields.word("no_data", _DEFAULT.no_data),
        on_new_release=fields.word("on_new_release", _DEFAULT.on_new_release),
        on_abort=fields.word("on_abort", _DEFAULT.on_abort),
        watch=span_from(fields, "watch"),
        preflight=_preflight(fields),
        fallback=fields.word("fallback", _DEFAULT.fallback),
        latest_timeout_ms=fields.duration(
            "latest_timeout", _DEFAULT.latest_timeout_ms, MIN_LATEST_TIMEOUT_MS, MAX_LATEST_TIMEOUT_MS
        ),
        transform_id=_expression(fields),
        preset=fields.values.get("preset"),
    )


def plan_document(plan: Plan) -> dict[str, Any]:
    """Write a plan in full, so that `plan_from` reads the same one whatever becomes of its preset."""
    document = {
        "preset": plan.preset,
        "stages": [stage_document(stage) for stage in plan.stages],
        "max_failures": plan.max_failures,
        "max_failure_rate": plan.max_failure_rate,
        "alpha": plan.alpha if plan.judged else None,
        "hung_after": plan.hung_after if plan.judged else None,
        "max_lost": plan.max_lost,
        "deadline": duration_text(plan.deadline_ms),
        "no_data": plan.no_data.value,
        "on_new_release": plan.on_new_release.value,
        "on_abort": plan.on_abort.value,
        "watch": span_document(plan.watch),
        "preflight": list(plan.preflight),
        "fallback": plan.fallback.value,
        "latest_timeout": duration_text(plan.latest_timeout_ms),
        "transform_id": plan.transform_id,
    }
    return {key: value for key, value in document.items() if value is not None}


def _json(text: str) -> object:
    if _WORD.fullmatch(text):
        return text
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_object)
    except InvalidPlan:
        raise
    except RecursionError as error:
        raise InvalidPlan("the plan: it is nested too deeply") from error
    except ValueError as error:
        raise InvalidPlan(f"the plan: it is neither JSON ({error}) nor one of the presets {', '.join(PRESETS)}") from error


def _no_number(word: str) -> NoReturn:
    raise InvalidPlan(f"the plan: {word} is not a number in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise InvalidPlan(f"the plan: the key {shown(key)} stands twice in one object; leave one of the two out")
        document[key] = value
    return document


def _with_preset(own: Fields) -> Mapping[str, Any]:
    """What a document says, over what its preset says."""
    name, keys = own.values["preset"], own.values.keys()
    if keys >= COMPLETE and any(decided <= keys for decided in DECIDED):
        if not isinstance(name, str) or not re.fullmatch(PRESET_NAME, name):
            own.refuse("preset", "a preset's name")
        return own.values
    return {**preset(name).document, **own.values}


def _judged(own: Fields, fields: Fields, stages: tuple[Stage, ...]) -> bool:
    """Whether the evidence decides. Raises `InvalidPlan` where failures are counted as well."""
    open_ended = [("stages", f"stages[{number}]") for number, stage in enumerate(stages) if stage.quota is None]
    reasons = open_ended + [(key, key) for key in WEIGHING if key in fields]
    if reasons and "max_failures" in fields:
        key, place = reasons[0]
        if key in own:
            where, cure = place, "leave one of the two out"
        else:
            where, cure = f"{place} of the preset {shown(own.values['preset'])}", "leave it out, or choose a preset that counts"
        raise InvalidPlan(f"max_failures: it counts failures, and {where} leaves the decision to the evidence; {cure}")
    return bool(reasons)


def _preflight(fields: Fields) -> tuple[Any, ...]:
    payloads = fields.items("preflight", MAX_PREFLIGHT, "payloads")
    for number, payload in enumerate(payloads):
        place = f"preflight[{number}]"
        if _nested(payload) > _MOST_NESTED:
            raise InvalidPlan(f"{place}: it is nested more than {_MOST_NESTED} deep; use a flatter payload")
        try:
            json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
        except ValueError as error:
            raise InvalidPlan(f"{place}: it cannot be sent as JSON: {error}") from error
    return tuple(payloads)


def _nested(payload: Any) -> int:
    """How deep a payload is, found without going deep."""
    level, depth = [payload], 0
    while level := [inner for each in level for inner in _inside(each)]:
        depth += 1
    return depth


def _inside(value: Any) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())


def _expression(fields: Fields) -> str | None:
    if "transform_id" not in fields:
        return None
    what = 'a JMESPath expression (such as "result.executionArn")'
    return text_of(fields.values["transform_id"], "transform_id", what, MOST_CHARACTERS)
