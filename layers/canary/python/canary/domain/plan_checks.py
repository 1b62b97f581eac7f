"""Contradictions: plans whose keys are each in order, and which together cannot be, or cannot be meant."""

from __future__ import annotations

from math import ceil, log1p

from canary.domain.bets import PASS_AT
from canary.domain.plan import InvalidPlan, NoData, Plan, Stage
from canary.domain.words import duration, requests


def check(plan: Plan) -> None:
    """Raise `InvalidPlan` for a plan that contradicts itself, with the place and the cure."""
    for number, stage in enumerate(plan.stages):
        _check_stage(plan, stage, f"stages[{number}]", last=number + 1 == len(plan.stages))
    baking = sum(stage.bake.ms for stage in plan.stages)
    if baking >= plan.deadline_ms:
        times = f"the stages bake for {duration(baking)} in all, and everything has to be over after {duration(plan.deadline_ms)}"
        raise InvalidPlan(f"deadline: {times}; raise the deadline or bake less")
    quota = plan.quota
    if plan.max_failures is not None and quota is not None and plan.max_failures >= quota:
        may = f"{plan.max_failures} of {requests(quota)} may fail, so nothing would ever be proved"
        raise InvalidPlan(f"max_failures: {may}; allow {quota - 1} at most")
    if plan.judged and quota is not None and quota < (least := least_runs(plan)):
        place = "stages" if plan.max_failure_rate is None else "max_failure_rate"
        short = f"all stages together get {requests(quota)}, and no fewer than {least} can be proof enough"
        raise InvalidPlan(f'{place}: {short}; raise a quota, or let the last stage have "quota": "earned"')


def _check_stage(plan: Plan, stage: Stage, place: str, *, last: bool) -> None:
    gate, quota = stage.gate, stage.quota
    if quota is not None and stage.min_completed > quota:
        raise InvalidPlan(f"{place}.min_completed: {_too_many(stage.min_completed, quota)}")
    if quota is not None and stage.bake.completed > quota:
        raise InvalidPlan(f"{place}.bake: {_too_many(stage.bake.completed, quota)}")
    if quota is None and not stage.earned and stage.open_ended and not last:
        never = "it has a share of the traffic and no end"
        raise InvalidPlan(f'{place}: {never}; say a "bake" or "min_completed", or a "quota"')
    if gate is not None and gate.timeout_ms > plan.deadline_ms:
        late = f"it waits for {duration(gate.timeout_ms)}, and everything has to be over after {duration(plan.deadline_ms)}"
        raise InvalidPlan(f"{place}.gate.timeout: {late}; wait less, or raise the deadline")
    if gate is not None and plan.no_data is NoData.PROMOTE:
        alone = f"promotes at the deadline without the person whom {place}.gate asks"
        raise InvalidPlan(f'no_data: "promote" {alone}; say "hold" or "abort", or take the gate out')


def _too_many(completed: int, quota: int) -> str:
    return f"{completed} cannot end where only {requests(quota)} may be sent; ask for {quota} at most, or raise the quota"


def least_runs(plan: Plan) -> int:
    """The fewest requests in a row without a failure that can prove enough, however seldom current fails.

    Where the plan names no rate, the one to be excluded is never more than half way from current's to certain failure:
    it halves the chance of a success at most, like a rate of one half where current never fails.
    """
    return clean_runs(0.5 if plan.max_failure_rate is None else plan.max_failure_rate)


def clean_runs(rate: float) -> int:
    """How many requests in a row without a failure exclude a failure rate, where current hardly ever fails."""
    return ceil(PASS_AT / -log1p(-rate))
