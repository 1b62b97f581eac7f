"""The stacks of a history: what each call of them does, and what is true of it, whoever hears of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from canary.domain.audit import Execution, ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.target import Target, TargetKind, execution_arn
from canary.errors import Unavailable
from tests.fakes.scene import ACCOUNT, REGION
from tests.fakes.stacks import FakeStacks
from tests.histories.scheduling import LOST, Switchboard
from tests.histories.theme import Kind, Theme

_RESULTS = {"ThrottlingException": CallResult.REFUSED, LOST: CallResult.TIMED_OUT}
_CALLS_FAIL = (CallResult.FAILED, CallResult.TIMED_OUT, CallResult.MISSING, CallResult.TOO_LARGE, CallResult.REFUSED)
_BAD = (ExecutionStatus.FAILED, ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED)


@dataclass(frozen=True, slots=True)
class Run:
    """One call that reached a stack: whose, and what it has done there. ``by`` made it: an actor's name."""

    target: str
    request_id: str
    release: str | None
    by: str
    result: CallResult
    execution: str | None
    synthetic: bool


@dataclass
class HistoryStacks(FakeStacks):
    """Stacks as a theme wants them. ``runs``: every call that has reached a stack; ``on_run`` hears of each, first."""

    theme: Theme = field(kw_only=True)
    random: random.Random = field(kw_only=True)
    board: Switchboard = field(kw_only=True)
    runs: list[Run] = field(default_factory=list)
    late: list[tuple[int, str, str]] = field(default_factory=list)
    started_by: dict[str, tuple[str, str]] = field(default_factory=dict)
    blind: bool = False
    well: bool = False
    on_run: Callable[[Run], None] | None = None

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
        try:
            call: Call = self.calls.made("stack.call", lambda: self._run(target, request_id, release, synthetic))
            return call
        except Unavailable as error:
            result = _RESULTS.get(error.code, CallResult.UNCLEAR)
            if result is CallResult.TIMED_OUT:
                self.clock.pass_by(timeout_ms)
            return Call(result=result, error=str(error))

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        seen = super().observe(arns)
        if not self.blind:
            return seen
        return {arn: Execution(arn=arn, status=ExecutionStatus.UNREADABLE, error="AccessDenied") for arn in seen}

    def pass_time(self) -> None:
        """Start what was to start late by now."""
        due = [each for each in self.late if each[0] <= self.clock.now]
        if due:
            self.late = [each for each in self.late if each not in due]
            for _, arn, who in due:
                self._start(arn, who)

    def finish(self, arn: str) -> ExecutionStatus:
        """End a running execution, well or not, as its stack is."""
        execution = self.executions[arn]
        name = self.started_by[arn][0].split("transformer-", 1)[1].split(":", 1)[0]
        health = 1.0 if self.well else self.theme.health.get(name, 0.98)
        if self.random.random() < health:
            status = ExecutionStatus.SUCCEEDED
        elif not self.well and self.random.random() < 0.05:
            status = ExecutionStatus.PENDING_REDRIVE
        else:
            status = self.random.choice(_BAD)
        self.executions[arn] = replace(execution, status=status, stopped_at=self.clock())
        return status

    def running(self) -> list[str]:
        """ARNs of executions that can end."""
        going = {ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE}
        return [arn for arn, execution in self.executions.items() if execution.status in going]

    def _run(self, target: Target, request_id: str, release: str | None, synthetic: bool) -> Call:
        call = self._do(target, request_id)
        by = self.board.acting.name if self.board.acting else "nobody"
        run = Run(target.arn, request_id, release, by, call.result, call.transform_id, synthetic)
        self.runs.append(run)
        self.sent.append((target.name, request_id))
        if synthetic:
            self.synthetic.append(request_id)
        if self.on_run is not None:
            self.on_run(run)
        return call

    def _do(self, target: Target, request_id: str) -> Call:
        if not self.well and self.random.random() < self.theme.calls_fail:
            return self._fails(target, request_id)
        kind = Kind.MACHINE if target.kind is TargetKind.STATE_MACHINE else self.theme.kind
        if kind is Kind.PLAIN:
            return Call(result=CallResult.ANSWERED, answer={"done": True})
        if kind is Kind.EXPRESS:
            arn = f"arn:aws:states:{REGION}:{ACCOUNT}:express:{target.name}:{request_id}:1"
            return Call(result=CallResult.ANSWERED, answer={"executionArn": arn}, transform_id=arn)
        arn = self._arn(target, kind, request_id)
        self._start(arn, target.arn)
        return Call(result=CallResult.ANSWERED, answer={"executionArn": arn}, transform_id=arn)

    def _fails(self, target: Target, request_id: str) -> Call:
        """A call that fails; of those that time out some have started work, and some will."""
        result = self.random.choice(_CALLS_FAIL)
        if result is CallResult.TIMED_OUT and (self.theme.kind in {Kind.NAMED, Kind.SHARED, Kind.MACHINE}):
            kind = Kind.MACHINE if target.kind is TargetKind.STATE_MACHINE else self.theme.kind
            when = self.clock.now + self.random.choice((0, 0, 3_000, 20_000))
            self.late.append((when, self._arn(target, kind, request_id), target.arn))
            self.pass_time()
        return Call(result=result, error=f"{result}, says the stack")

    def _arn(self, target: Target, kind: Kind, request_id: str) -> str:
        if kind is Kind.MACHINE:
            return execution_arn(target.arn, request_id)
        machine = "transformer-shared" if kind is Kind.SHARED else target.name
        name = f"run-{len(self.runs):04d}" if kind is Kind.UNNAMED else request_id
        return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine}:{name}"

    def _start(self, arn: str, who: str) -> None:
        if arn in self.executions:  # the same name is the same execution
            return
        self.started_by[arn] = (who, arn.rsplit(":", 1)[1])
        self.executions[arn] = Execution(arn=arn, status=ExecutionStatus.RUNNING, started_at=self.clock())
