"""Targets and the executions that they start, in memory. The contract suite holds this to what the real adapter does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from canary.domain.audit import FAILURES, OUTCOMES, Execution, ExecutionStatus
from canary.domain.baseline import MOST_PAST, Past
from canary.domain.call import Call, CallResult
from canary.domain.target import Target, execution_arn, parse_target, state_machine_of
from canary.errors import Unavailable
from tests.fakes.calls import Calls
from tests.fakes.clock import Clock
from tests.fakes.remembering import Remembering

#: Executions on a page: `succeeded` gives whole pages.
_PAGE = 1000


@dataclass
class FakeStacks:
    """Targets, their executions, and which of them exist. ``behaviour`` says by ARN how a stack's call ends.

    ``gone`` are the ARNs of state machines that do not exist, ``synthetic`` the ids of requests that were marked so, ``stopped``
    the causes of stops by the execution's ARN.
    """

    calls: Calls
    clock: Clock
    behaviour: dict[str, Call] = field(default_factory=dict)
    sent: list[tuple[str, str]] = field(default_factory=list)
    synthetic: list[str] = field(default_factory=list)
    executions: Remembering[str, Execution] = field(init=False)
    stopped: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.executions = Remembering("execution", self.calls)

    def call(
        self,
        target: Target,
        body: bytes,
        request_id: str,
        release: str | None,
        timeout_ms: int,
        transform_id: str | None,
        *,
        synthetic: bool = False,
    ) -> Call:
        return self.calls.made("stack.call", lambda: self._call(target, request_id, synthetic))

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        wanted = tuple(arns)
        missing = ExecutionStatus.MISSING
        return self.calls.made(
            "sfn.observe",
            lambda: {arn: self.executions.seen(arn, "sfn.observe") or Execution(arn=arn, status=missing) for arn in wanted},
        )

    def past(self, machine: str) -> Sequence[Past]:
        return self.calls.made("sfn.past", lambda: self._past(machine))

    def failures(self, machine: str, since: int) -> Sequence[Execution]:
        return self.calls.made("sfn.failures", lambda: self._failures(machine, since))

    def started(self, machine: str, since: int, until: int) -> Sequence[Execution]:
        return self.calls.made(
            "sfn.started",
            lambda: tuple(e for e in self._listed(machine) if since <= (e.started_at or 0) < until)[:MOST_PAST],
        )

    def succeeded(self, machine: str, since: int, most: int) -> Sequence[Execution]:
        return self.calls.made(
            "sfn.succeeded",
            lambda: tuple(
                e for e in self._listed(machine) if e.status is ExecutionStatus.SUCCEEDED and (e.started_at or 0) >= since
            )[: _PAGE * max(1, ceil(most / _PAGE))],
        )

    def stop(self, arn: str, cause: str) -> None:
        self.calls.made("sfn.stop", lambda: self._stop(arn, cause))

    def problem(self, target: Target) -> str | None:
        return self.calls.made("stack.problem", lambda: self.problems.get(target.arn))

    def end_all(self, status: ExecutionStatus, *, of: str = "") -> None:
        for arn, execution in self.executions.items():
            if execution.status is ExecutionStatus.RUNNING and of in arn:
                self.executions[arn] = replace(execution, status=status, stopped_at=self.clock())

    def end(self, name: str, status: ExecutionStatus, at: int | None = None) -> None:
        """End the running execution that bears this name."""
        (arn,) = (arn for arn in self.executions if arn.endswith(f":{name}"))
        if self.executions[arn].status is not ExecutionStatus.RUNNING:
            raise ValueError(f"{arn} is {self.executions[arn].status}: it has ended already")
        self.executions[arn] = replace(self.executions[arn], status=status, stopped_at=at if at is not None else self.clock())

    def ran(
        self, machine: str, name: str, *, started_at: int, duration_ms: int, status: ExecutionStatus = ExecutionStatus.SUCCEEDED
    ) -> str:
        """Add an execution of a state machine that was started by whomever, and has ended unless its status says otherwise."""
        arn = execution_arn(machine, name)
        stopped = started_at + duration_ms if status.value in OUTCOMES else None
        self.executions[arn] = Execution(arn=arn, status=status, started_at=started_at, stopped_at=stopped)
        return arn

    def _call(self, target: Target, request_id: str, synthetic: bool) -> Call:
        self.sent.append((target.name, request_id))
        if synthetic:
            self.synthetic.append(request_id)
        if target.arn in self.behaviour:
            return self.behaviour[target.arn]
        arn = f"arn:aws:states:{target.region}:{target.account}:execution:{target.name}:{request_id}"
        if arn not in self.executions:
            self.executions[arn] = Execution(arn=arn, status=ExecutionStatus.RUNNING, started_at=self.clock())
        return Call(result=CallResult.ANSWERED, answer={"executionArn": arn}, transform_id=arn)

    def _past(self, machine: str) -> tuple[Past, ...]:
        if _unqualified(machine) in self.gone:
            return ()
        return tuple(
            Past(e.status.value in FAILURES, e.started_at or 0, max(0, (e.stopped_at or 0) - (e.started_at or 0)))
            for e in self._listed(machine)[:MOST_PAST]
            if e.status.value in OUTCOMES
        )

    def _failures(self, machine: str, since: int) -> tuple[Execution, ...]:
        found = tuple(e for e in self._listed(machine) if e.status.value in FAILURES and (e.started_at or 0) >= since)
        if len(found) > MOST_PAST:
            raise Unavailable("sfn", "TooMany", f"more than {MOST_PAST} executions of {machine} have failed")
        return found

    def _listed(self, machine: str) -> list[Execution]:
        """All executions of a state machine, newest start first, as a list tells them: without their errors."""
        wanted = _unqualified(machine)
        if wanted in self.gone:
            raise Unavailable("sfn", "StateMachineDoesNotExist", wanted)
        seen = self.executions.all_seen("sfn.list")
        mine = [replace(e, error=None) for arn, e in seen if state_machine_of(arn) == wanted]
        return sorted(mine, key=lambda e: e.started_at or 0, reverse=True)

    def _stop(self, arn: str, cause: str) -> None:
        execution = self.executions.get(arn)
        if execution is None or execution.status is not ExecutionStatus.RUNNING:
            return
        self.stopped[arn] = cause
        self.executions[arn] = replace(execution, status=ExecutionStatus.ABORTED, stopped_at=self.clock(), error="Canary")


def _unqualified(machine: str) -> str:
    return parse_target(machine).unqualified_arn


def answer(**words: Any) -> Call:
    """A target's answer without a workflow."""
    return Call(result=CallResult.ANSWERED, answer=words)
