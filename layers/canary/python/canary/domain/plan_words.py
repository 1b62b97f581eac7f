"""A plan in plain sentences, for people who have never seen one: what happens, in its order, and then the rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from canary.domain.plan import Fallback, GateDefault, NoData, OnAbort, OnNewRelease, Plan, Span, Stage
from canary.domain.plan_checks import clean_runs
from canary.domain.plan_fields import choice
from canary.domain.words import duration, percent, requests, weight_of_proof

#: The least failure rate that is to be excluded where a plan names none; see `canary.domain.measure.bad_rate`.
USUAL_BAD_RATE: Final = 0.1

_NO_DATA: Final = {
    NoData.ABORT: "it is thrown out",
    NoData.PROMOTE: "it is promoted if something succeeded, nothing failed and nothing is unknown, and otherwise thrown out",
    NoData.HOLD: "it is held, and a person decides",
}
_ON_NEW_RELEASE: Final = {
    OnNewRelease.SUPERSEDE: "ends this one and takes its place",
    OnNewRelease.QUEUE: "waits until this one has ended",
    OnNewRelease.REJECT: "is refused until this one has ended",
}
_ON_ABORT: Final = {
    OnAbort.FINISH: "run to their end",
    OnAbort.STOP: "are stopped, and nobody does their work again",
}
_FALLBACK: Final = {
    Fallback.ALWAYS: "gets the request, even if latest may have begun to work on it",
    Fallback.UNSTARTED: "gets the request only if latest surely did not begin; otherwise the caller gets the error",
}
_GATE_DEFAULT: Final = {
    GateDefault.ABORT: "latest is thrown out",
    GateDefault.CONTINUE: "the release goes on by itself",
}


def sentences(plan: Plan) -> tuple[str, ...]:
    """Tell a plan: preflight, stages, watch, and then what holds throughout."""
    return tuple(_told(plan))


def span_words(span: Span) -> str:
    """Write how long something lasts: ``for 1 h``, ``until 50 executions have ended``, ``for 1 h and until …``."""
    ended = "1 execution has" if span.completed == 1 else f"{span.completed} executions have"
    parts = [f"for {duration(span.ms)}"] * bool(span.ms) + [f"until {ended} ended"] * bool(span.completed)
    return " and ".join(parts)


def _told(plan: Plan) -> Iterator[str]:
    if count := len(plan.preflight):
        first = "1 made-up request is run on latest. Unless it succeeds"
        several = f"{count} made-up requests are run on latest. Unless all succeed"
        yield f"Preflight: {first if count == 1 else several}, latest is thrown out before it gets any real request."
    for number, stage in enumerate(plan.stages):
        last = number + 1 == len(plan.stages)
        yield f"Stage {number + 1} of {len(plan.stages)}: {' '.join(_stage(plan, stage, last=last))}"
    yield "Then latest becomes current, and everybody gets it."
    if plan.watch:
        yield f"Watch: it is watched {span_words(plan.watch)}. If it fails, the stack before it serves again, by itself."
    yield _counted(plan, plan.max_failures) if plan.max_failures is not None else _judged(plan)
    yield f"Deadline: if that is not decided {duration(plan.deadline_ms)} after the release began, {_NO_DATA[plan.no_data]}."
    yield f"A newer release {_ON_NEW_RELEASE[plan.on_new_release]}."
    yield f"If latest is thrown out, workflows that still run on it {_ON_ABORT[plan.on_abort]}."
    timeout = f"{plan.latest_timeout_ms / 1000:g} s"
    yield f"If latest does not answer a request as it should, or not within {timeout}, current {_FALLBACK[plan.fallback]}."
    yield f"If more than {requests(plan.max_lost)} cannot be sent to latest through no fault of its own, the release is held."
    if plan.transform_id:
        yield f"Which workflow latest has started stands in its answer at {plan.transform_id!r}."


def _stage(plan: Plan, stage: Stage, *, last: bool) -> Iterator[str]:
    yield _share(stage)
    if stage.quota is not None:
        yield "It has to end." if stage.quota == 1 else "All of them have to end."
    elif least := max(stage.min_completed, stage.bake.completed):
        yield f"At least {least} of them have to end."
    if stage.bake.ms:
        yield f"The stage takes at least {duration(stage.bake.ms)}."
    if plan.judged and (last or stage.open_ended):
        yield f"It is over when it is proved, at 95 %, that latest fails less than {_bad(plan)}."
    if stage.alarms:
        yield f"If the alarm {choice(stage.alarms)} rings, latest is thrown out; without data from it the stage does not end."
    if stage.gate:
        late = f"without an answer within {duration(stage.gate.timeout_ms)} {_GATE_DEFAULT[stage.gate.default]}"
        yield f"Then a person has to agree (`canary promote`); {late}."


def _share(stage: Stage) -> str:
    if stage.earned:
        ceiling = f"{stage.weight} % of all at most" if stage.weight < 100 else "up to all of them"
        return f"latest gets as many requests at a time as it has earned: 2 at first, more as they succeed, {ceiling}."
    if stage.quota is None:
        return f"latest gets {stage.weight} % of the requests."
    if stage.weight == 100:
        return "latest gets the next request." if stage.quota == 1 else f"latest gets the next {requests(stage.quota)}."
    return f"latest gets {requests(stage.quota)}; until then each one has a chance of {stage.weight} % to go there."


def _bad(plan: Plan) -> str:
    if plan.max_failure_rate is not None:
        return f"{percent(plan.max_failure_rate)} of the time"
    return f"{percent(USUAL_BAD_RATE)} of the time (or, where current fails often itself, five times as often as that)"


def _counted(plan: Plan, may: int) -> str:
    first = "the first failure throws latest out" if may == 0 else f"{may} may fail, and one more failure throws latest out"
    proof = weight_of_proof(plan)
    return f"Failures are counted: {first}." + (f" That proves little ({proof})." if proof else "")


def _judged(plan: Plan) -> str:
    least = clean_runs(plan.max_failure_rate if plan.max_failure_rate is not None else USUAL_BAD_RATE)
    return (
        "The evidence decides: latest is thrown out as soon as it is clear that it fails more often than current does or is "
        f"slower. What has been on its way for {plan.hung_after:g} × the time in which 99.9 % of current's end counts as failed. "
        f"A good version is thrown out by chance in {percent(plan.alpha)} of releases at most. "
        f"Proof takes about {requests(least)} in a row without a failure, and more where some fail."
    )
