"""Plans as they can be, and all the ways to write each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from canary.domain.plan import (
    DAY_MS,
    DEFAULT_MAX_LOST,
    MAX_DEADLINE_MS,
    MAX_LATEST_TIMEOUT_MS,
    MAX_QUOTA,
    MIN_FAILURE_RATE,
    MIN_LATEST_TIMEOUT_MS,
    Fallback,
    GateDefault,
    ManualGate,
    NoData,
    OnAbort,
    OnNewRelease,
    Plan,
    Span,
    Stage,
)
from canary.domain.plan_checks import least_runs
from canary.domain.presets import PRESETS

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}

#: What can be a name: printable, and not blank.
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30).filter(str.strip)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
gates = st.builds(ManualGate, timeout_ms=st.integers(1, MAX_DEADLINE_MS), default=st.sampled_from(GateDefault))
rates = st.floats(MIN_FAILURE_RATE, 1 - MIN_FAILURE_RATE) | st.sampled_from([0.05, 0.1, 0.25, 0.007])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Every plan that the parameter may hold."""
    deadline = draw(st.integers(1, MAX_DEADLINE_MS))
    count = draw(st.integers(1, 3))
    judged = draw(st.booleans())
    no_data = draw(st.sampled_from(NoData))
    longest_bake = (deadline - 1) // count
    stages = tuple(
        draw(_stages(judged=judged, last=number + 1 == count, longest_bake=longest_bake, deadline=deadline, no_data=no_data))
        for number in range(count)
    )
    rate = draw(st.none() | rates) if judged else None
    plan = Plan(
        stages=stages,
        max_failures=None if judged else draw(st.integers(0, min(sum(stage.quota or 0 for stage in stages) - 1, MAX_QUOTA))),
        max_failure_rate=rate,
        alpha=draw(st.floats(0.0001, 0.2)) if judged else 0.01,
        hung_after=draw(st.floats(1, 100)) if judged else 3.0,
        max_lost=draw(st.just(-1) | st.integers(0, MAX_QUOTA)),
        deadline_ms=deadline,
        no_data=no_data,
        on_new_release=draw(st.sampled_from(OnNewRelease)),
        on_abort=draw(st.sampled_from(OnAbort)),
        watch=draw(_spans(MAX_DEADLINE_MS, MAX_QUOTA)),
        preflight=tuple(draw(st.lists(json_values, max_size=2))),
        fallback=draw(st.sampled_from(Fallback)),
        latest_timeout_ms=draw(st.integers(MIN_LATEST_TIMEOUT_MS, MAX_LATEST_TIMEOUT_MS)),
        transform_id=draw(st.none() | names),
        preset=draw(st.none() | st.sampled_from([*PRESETS, "one-that-is-gone"])),
    )
    if plan.judged and plan.quota is not None and plan.quota < least_runs(plan):
        return draw(st.just(_with_earned(plan)))
    return plan


def _with_earned(plan: Plan) -> Plan:
    """A plan whose numbers could prove nothing, with a last stage that can."""
    fields = {name: getattr(plan, name) for name in Plan.__slots__}
    return Plan(**{**fields, "stages": (*plan.stages[:-1], Stage(earned=True, weight=100)), "max_lost": -1})


@st.composite
def _stages(draw: st.DrawFn, *, judged: bool, last: bool, longest_bake: int, deadline: int, no_data: NoData) -> Stage:
    kind = draw(st.sampled_from(["quota", "earned", "weight"])) if judged else "quota"
    quota = draw(st.integers(1, MAX_QUOTA) | st.integers(1, 30)) if kind == "quota" else None
    most = quota or MAX_QUOTA
    bake = draw(_spans(longest_bake, most))
    least = draw(st.just(0) | st.integers(0, most))
    if kind == "weight" and not last and not bake:
        least = max(1, least)
    gate = draw(st.none() | gates.filter(lambda gate: gate.timeout_ms <= deadline)) if no_data is not NoData.PROMOTE else None
    return Stage(
        quota=quota,
        earned=kind == "earned",
        weight=draw(st.integers(1, 100) | st.sampled_from([50, 100])),
        bake=bake,
        min_completed=least,
        gate=gate,
        alarms=tuple(draw(st.lists(names, max_size=2, unique=True))),
    )


def _spans(longest: int, most: int) -> st.SearchStrategy[Span]:
    return st.builds(Span, ms=st.just(0) | st.integers(0, longest), completed=st.just(0) | st.integers(0, most))


@st.composite
def written_plans(draw: st.DrawFn) -> tuple[Plan, Any]:
    """A plan without a preset, and one of the many documents that say it."""
    plan = draw(plans())
    plan = Plan(**{**{name: getattr(plan, name) for name in Plan.__slots__}, "preset": None})
    return plan, draw(_written(plan))


@st.composite
def _written(draw: st.DrawFn, plan: Plan) -> dict[str, Any]:
    document: dict[str, Any] = {}

    def say(key: str, value: Any, *, default: bool) -> None:
        if not default or draw(st.booleans()):
            document[key] = value

    usual, quota = Plan(), plan.quota
    say("stages", [draw(_written_stage(stage)) for stage in plan.stages], default=plan.stages == usual.stages)
    if plan.judged:
        say("alpha", draw(_written_rate(plan.alpha)), default=plan.alpha == 0.01 and quota is None)
        say("hung_after", plan.hung_after, default=plan.hung_after == 3)
        if plan.max_failure_rate is not None:
            document["max_failure_rate"] = draw(_written_rate(plan.max_failure_rate))
    else:
        say("max_failures", plan.max_failures, default=plan.max_failures == 0)
    say("max_lost", plan.max_lost, default=plan.max_lost == (DEFAULT_MAX_LOST if quota is None else quota))
    for key in ("no_data", "on_new_release", "on_abort", "fallback"):
        say(key, getattr(plan, key).value, default=getattr(plan, key) is getattr(usual, key))
    say("deadline", draw(_written_duration(plan.deadline_ms)), default=plan.deadline_ms == usual.deadline_ms)
    timeout = plan.latest_timeout_ms
    say("latest_timeout", draw(_written_duration(timeout)), default=timeout == usual.latest_timeout_ms)
    say("watch", draw(_written_span(plan.watch)), default=not plan.watch)
    say("preflight", list(plan.preflight), default=not plan.preflight)
    if plan.transform_id is not None:
        document["transform_id"] = plan.transform_id
    return document


@st.composite
def _written_stage(draw: st.DrawFn, stage: Stage) -> Any:
    document: dict[str, Any] = {}
    if stage.earned:
        if stage == Stage(earned=True, weight=100) and draw(st.booleans()):
            return "earned"
        document |= draw(st.sampled_from([{"quota": "earned"}, {"earned": True}]))
    elif stage.quota is not None:
        document["quota"] = stage.quota
    if (stage.quota is None and not stage.earned) or stage.weight != (100 if stage.earned else 50) or draw(st.booleans()):
        document["weight"] = stage.weight
    if stage.bake or draw(st.booleans()):
        document["bake"] = draw(_written_span(stage.bake))
    if stage.min_completed or draw(st.booleans()):
        document["min_completed"] = stage.min_completed
    if stage.gate is not None:
        document["gate"] = draw(_written_gate(stage.gate))
    if stage.alarms or draw(st.booleans()):
        document["alarms"] = list(stage.alarms)
    return document


@st.composite
def _written_gate(draw: st.DrawFn, gate: ManualGate) -> Any:
    if gate == ManualGate() and draw(st.booleans()):
        return "manual"
    document = {"type": "manual"}
    if gate.timeout_ms != DAY_MS or draw(st.booleans()):
        document["timeout"] = draw(_written_duration(gate.timeout_ms))
    if gate.default is not GateDefault.ABORT or draw(st.booleans()):
        document["default"] = gate.default.value
    return document


@st.composite
def _written_span(draw: st.DrawFn, span: Span) -> Any:
    if not span.completed:
        return draw(_written_duration(span.ms).flatmap(lambda text: st.sampled_from([text, {"time": text}])))
    time = {"time": draw(_written_duration(span.ms))} if span.ms or draw(st.booleans()) else {}
    return {**time, "completed": span.completed}


def _written_duration(milliseconds: int) -> st.SearchStrategy[str]:
    exact = [(unit, ms) for unit, ms in UNITS.items() if milliseconds % ms == 0]
    return st.sampled_from([f"{milliseconds // ms}{space}{unit}" for unit, ms in exact for space in ("", " ")])


def _written_rate(rate: float) -> st.SearchStrategy[Any]:
    percent = f"{(Decimal(str(rate)) * 100).normalize():f}"
    fits = len(percent.partition(".")[0]) <= 2 and len(percent.partition(".")[2]) <= 6
    return st.sampled_from([rate, f"{percent}%", f"{percent} %"]) if fits else st.just(rate)
