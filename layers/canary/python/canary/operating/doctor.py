"""The doctor: looks at an installation, and says what is amiss and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol, TypeVar

from canary.domain.plan import InvalidPlan
from canary.domain.plan_document import parse_plan
from canary.domain.target import Allowed
from canary.domain.words import duration
from canary.errors import Denied, Unavailable
from canary.operating.checks import Examined, findings_of
from canary.operating.finding import Finding, Level
from canary.operating.reading import Overview, Reader
from canary.ports import Alarms, Stacks

#: Differences below this come from the resolution of what AWS says.
_MOST_SKEW_MS: Final = 5_000

T = TypeVar("T")


class Premises(Protocol):
    """The installation's own parts."""

    def expires(self, table: str) -> bool:
        """Whether a table's finished rows expire."""

    def is_backed_up(self, table: str) -> bool:
        """Whether a table can be restored to a point in time."""

    def has_function(self, name: str) -> bool:
        """Whether a function is there."""

    def lease_until(self, app: str) -> int | None:
        """Until when an app's lease is held; None when nobody has it."""

    def time(self) -> int | None:
        """What AWS says that the time is; None when it does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the installation's parts are called, and which targets it allows."""

    releases_table: str
    audit_table: str
    router_function: str
    flipper_function: str
    allowed: Allowed


class Doctor:
    """Examines. Every look may be denied; that is a finding like any other, and the others go on."""

    def __init__(
        self, reader: Reader, stacks: Stacks, alarms: Alarms, premises: Premises, parts: Parts, *, clock: Callable[[], int]
    ) -> None:
        self._reader = reader
        self._stacks = stacks
        self._alarms = alarms
        self._premises = premises
        self._parts = parts
        self._clock = clock

    def examine(self, only: str | None = None) -> Iterator[Finding]:
        """Examine the installation and its apps, or ``only`` one of these."""
        yield from self._clock_findings()
        yield from self._function_findings()
        yield from self._table_findings()
        apps: tuple[str, ...] = (only,) if only else ()
        if not only:
            listed = self._try("apps", "ssm:GetParametersByPath, dynamodb:Query", self._reader.apps)
            if isinstance(listed, Finding):
                yield listed
            elif not listed:
                yield Finding(Level.WARN, "apps", "there are no apps yet", "canary init APP --arn ARN")
            else:
                apps = listed
        for app in apps:
            yield from self._app_findings(app)

    def _clock_findings(self) -> Iterator[Finding]:
        theirs = self._try("clock", "sts:GetCallerIdentity", self._premises.time)
        if isinstance(theirs, Finding):
            yield theirs
        elif theirs is None:
            yield Finding(Level.WARN, "clock", "the answers of AWS carry no date to compare this machine's clock with")
        elif abs(skew := self._clock() - theirs) > _MOST_SKEW_MS:
            words = (
                f"this machine's clock is {duration(abs(skew))} {'ahead' if skew > 0 else 'behind'}: ages and deadlines are wrong"
            )
            yield Finding(Level.WARN, "clock", words, "set this machine's clock (NTP)")
        else:
            yield Finding(Level.OK, "clock", "this machine's clock agrees with AWS")

    def _function_findings(self) -> Iterator[Finding]:
        for name in (self._parts.router_function, self._parts.flipper_function):
            there = self._try("functions", "lambda:GetFunctionConfiguration", partial(self._premises.has_function, name))
            if isinstance(there, Finding):
                yield there
            elif there:
                yield Finding(Level.OK, "functions", f"{name} is there")
            else:
                yield Finding(Level.FAIL, "functions", f"there is no function {name}", "sam deploy")

    def _table_findings(self) -> Iterator[Finding]:
        parts, premises = self._parts, self._premises
        looks: tuple[tuple[str, str, Callable[[str], bool], str], ...] = (
            (parts.audit_table, "dynamodb:DescribeTimeToLive", premises.expires, "expiry (TTL)"),
            (parts.audit_table, "dynamodb:DescribeContinuousBackups", premises.is_backed_up, "point-in-time recovery"),
            (parts.releases_table, "dynamodb:DescribeContinuousBackups", premises.is_backed_up, "point-in-time recovery"),
        )
        for table, action, look, what in looks:
            on = self._try("tables", action, partial(look, table))
            if isinstance(on, Finding):
                yield on
            elif on:
                yield Finding(Level.OK, "tables", f"{what} is on for {table}")
            else:
                yield Finding(Level.WARN, "tables", f"{what} is off for {table}", "sam deploy")

    def _app_findings(self, app: str) -> Iterator[Finding]:
        actions = "ssm:GetParameters, dynamodb:GetItem, dynamodb:Query"
        examined = self._try("app", actions, partial(self._read, app), app=app)
        if isinstance(examined, Finding):
            yield examined
            return
        current = examined.overview.parameters.get("current")
        if current is not None and current.pointer is not None:
            target = current.pointer.target
            problem = self._try(
                "current",
                "lambda:GetFunctionConfiguration, states:DescribeStateMachine",
                lambda: self._stacks.problem(target),
                app=app,
            )
            if isinstance(problem, Finding):
                yield problem
            else:
                examined = replace(examined, current_problem=problem)
        names = _alarms_of(examined.overview)
        states = self._try("plan", "cloudwatch:DescribeAlarms", lambda: self._alarms.states(names), app=app)
        if isinstance(states, Finding):
            yield states
        else:
            examined = replace(examined, missing_alarms=tuple(name for name in names if name not in states))
        yield from findings_of(examined)

    def _read(self, app: str) -> Examined:
        overview = self._reader.overview(app)
        return Examined(
            overview=overview,
            followed=tuple(filter(None, (self._reader.release(app, name) for name in overview.item.followed))),
            lease_until=self._premises.lease_until(app),
            allowed=self._parts.allowed,
        )

    def _try(self, check: str, action: str, look: Callable[[], T], app: str = "") -> T | Finding:
        """Look; where that fails, the finding says so, and what kept us from it."""
        try:
            return look()
        except Denied as error:
            return Finding(
                Level.FAIL, check, f"not permitted: {action} ({error})", "see docs/security.md: who may do what", app=app
            )
        except Unavailable as error:
            return Finding(Level.FAIL, check, str(error), "try again; if it goes on, see docs/operations.md", app=app)


def _alarms_of(overview: Overview) -> tuple[str, ...]:
    """The alarms that an app's plan names; none where it cannot be read, which is a finding of its own."""
    parameter = overview.parameters.get("plan")
    try:
        plan = parse_plan(parameter.value if parameter else None)
    except InvalidPlan:
        return ()
    return tuple(dict.fromkeys(name for stage in plan.stages for name in stage.alarms))
