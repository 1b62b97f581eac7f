"""What is allowed in a plan, but weak: each warning says where it stands, what may happen, and what would be better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from canary.domain.plan import Fallback, GateDefault, NoData, OnAbort, Plan, Stage
from canary.domain.plan_checks import clean_runs
from canary.domain.plan_words import USUAL_BAD_RATE
from canary.domain.words import duration, percent, requests, weight_of_proof

#: A bake that is shorter ends before most failures show.
_SHORT_BAKE_MS: Final = 10 * 60_000
_MANY_RUNS: Final = 1_000
_HIGH_ALPHA: Final = 0.05
_HIGH_RATE: Final = 0.5
_SHORT_HANG: Final = 2.0


def warnings(plan: Plan) -> tuple[str, ...]:
    """Say what is weak."""
    return (*_proof(plan), *_judging(plan), *_all_stages(plan), *_rules(plan))


def _proof(plan: Plan) -> Iterator[str]:
    if proof := weight_of_proof(plan):
        yield f'stages: {proof}; the preset "careful" proves more before it promotes'
    if plan.preset == "hotfix":
        baking = sum(stage.bake.ms for stage in plan.stages)
        after = "its watch has to find what shows later" if plan.watch else "what shows later nobody looks for: say a watch"
        yield f"preset: a hotfix bakes for {duration(baking)} only, and {after}"
    quota, rate = plan.quota, plan.max_failure_rate
    least = clean_runs(rate if rate is not None else USUAL_BAD_RATE)
    if plan.judged and quota is not None and quota < 2 * least:
        few = f"they give {requests(quota)}; proof takes {least} in a row without a failure, and about as many again after one"
        yield f'stages: {few}, so that a good version may run out of them; let the last stage have "quota": "earned"'


def _judging(plan: Plan) -> Iterator[str]:
    rate = plan.max_failure_rate
    if rate is not None and rate >= _HIGH_RATE:
        yield f"max_failure_rate: a version that fails nearly {percent(rate)} of the time may be promoted; most plans want 0.1"
    if rate is not None and clean_runs(rate) > _MANY_RUNS:
        many = requests(clean_runs(rate))
        yield f"max_failure_rate: to prove less than {percent(rate)} takes {many} in a row without a failure"
    if plan.alpha > _HIGH_ALPHA:
        yield f"alpha: a good version is thrown out in up to {percent(plan.alpha)} of releases; 0.01 is usual"
    if plan.hung_after < _SHORT_HANG:
        yield f"hung_after: at {plan.hung_after:g} a workflow that is only slow passes for hung; say 2 or more"


def _all_stages(plan: Plan) -> Iterator[str]:
    for number, stage in enumerate(plan.stages):
        yield from _stage(stage, f"stages[{number}]")


def _stage(stage: Stage, place: str) -> Iterator[str]:
    if stage.quota is None and not stage.earned:
        limit = 'add "quota": "earned", or a number, to limit that'
        yield f"{place}: {stage.weight} % of all requests go to latest, however many these are, until it is found out; {limit}"
    if stage.gate is not None and stage.gate.default is GateDefault.CONTINUE:
        yield f"{place}.gate: after {duration(stage.gate.timeout_ms)} it opens by itself, whether or not anybody has looked"


def _rules(plan: Plan) -> Iterator[str]:
    if plan.no_data is NoData.PROMOTE:
        unproved = "at the deadline a version is promoted that has not proved what the plan asks for"
        yield f'no_data: {unproved}: one success is enough; "hold" lets a person decide'
    if plan.on_abort is OnAbort.STOP:
        yield 'on_abort: "stop" cuts off work that callers wait for; only retries of theirs do it again'
    if plan.fallback is Fallback.ALWAYS and plan.latest_timeout_ms < Plan().latest_timeout_ms:
        twice = "a request that latest is still working on is done again by current"
        yield f'latest_timeout: after {plan.latest_timeout_ms / 1000:g} s {twice}; give it more, or say "fallback": "unstarted"'
