"""Step Functions: how executions ended, what a state machine has done of late, and stopping one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from canary.aws.answers import MISSING_EXECUTION, milliseconds
from canary.aws.faults import translated
from canary.domain.audit import FAILURES, SKEW_MS, Execution, ExecutionStatus
from canary.domain.baseline import MOST_PAST, Past, still_settling
from canary.domain.release import timestamp
from canary.domain.target import shorten, state_machine_of
from canary.errors import Denied, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_SERVICE: Final = "Step Functions"
_PAGE: Final = 1000
#: From this many executions of one state machine, pages of a thousand are cheaper than asking one by one.
_MANY: Final = 20
_MOST_PAGES: Final = 20
#: An account has 300 calls of Describe at once, and then 15 a second, for everybody: a pass leaves some to others.
_MOST_ASKED: Final = 200
#: There is no such state machine, or an Express one, which keeps no list of its executions.
_NO_LIST: Final = frozenset({"StateMachineDoesNotExist", "InvalidArn", "StateMachineTypeNotSupported"})
#: What StopExecution says of one that is not running; what we send is valid by itself.
_NOT_RUNNING: Final = frozenset({"ExecutionDoesNotExist", "InvalidArn", "ValidationException"})
#: The words of a stop are encrypted with the state machine's own key, which we may not use.
_NO_KEY: Final = frozenset({"KmsAccessDeniedException", "KmsInvalidStateException"})
_MOST_CAUSE: Final = 32_768
_FAILED: Final = tuple(sorted(status.value for status in FAILURES))
_FINISHED: Final = frozenset({*_FAILED, ExecutionStatus.SUCCEEDED.value})


class StepFunctions:
    """Executions as Step Functions reports them, a few seconds late at times."""

    def __init__(self, client: SFNClient) -> None:
        self._client = client

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        """Read executions: few of a state machine with Describe, many with List pages and Describe for the rest.

        Of many that are on none of these pages only the oldest are read, as many as the rates allow; the others are absent.
        """
        machines: dict[str, set[str]] = defaultdict(set)
        for arn in arns:
            machines[state_machine_of(arn)].add(arn)
        seen: dict[str, Execution] = {}
        for machine, wanted in machines.items():
            if len(wanted) >= _MANY:
                # Those that run have a list of their own, however old they are; what ended of late is mostly among the newest.
                seen |= self._listed(machine, wanted, ExecutionStatus.RUNNING.value)
                seen |= self._listed(machine, wanted - seen.keys())
            # The names of those that the router started sort by time.
            seen |= {arn: self._described(arn) for arn in sorted(wanted - seen.keys())[:_MOST_ASKED]}
        return seen

    def past(self, machine: str) -> Sequence[Past]:
        """Read the newest finished executions of a state machine, among the newest `MOST_PAST`; none where it keeps no list."""
        try:
            newest = tuple(islice(self._newest(machine), MOST_PAST))
        except Unavailable as error:
            if error.code in _NO_LIST:
                return ()
            raise
        finished = [execution.status.value in _FINISHED for execution in newest]
        settled = still_settling(finished)
        return tuple(_past(each) for each, ended in zip(newest[settled:], finished[settled:], strict=True) if ended)

    def failures(self, machine: str, since: int) -> Sequence[Execution]:
        """Read the executions that started since then and have failed, timed out or been aborted, newest first.

        Raises `Unavailable`, with the code ``TooMany`` when there are more than `MOST_PAST`.
        """
        found: dict[str, Execution] = {}  # one that is redriven meanwhile may be on two lists
        for execution in chain.from_iterable(self._newest(machine, since, status) for status in _FAILED):
            if _start(execution) >= since:
                found[execution.arn] = execution
            if len(found) > MOST_PAST:
                message = f"more than {MOST_PAST} executions of {machine} that started since {timestamp(since)} have failed"
                raise Unavailable(_SERVICE, "TooMany", message)
        return tuple(sorted(found.values(), key=_start, reverse=True))

    def started(self, machine: str, since: int, until: int) -> Sequence[Execution]:
        """Read the executions that started from ``since`` on and before ``until``: the newest `MOST_PAST`, newest first."""
        within = (execution for execution in self._newest(machine, since) if since <= _start(execution) < until)
        return tuple(islice(within, MOST_PAST))

    def succeeded(self, machine: str, since: int, most: int) -> Sequence[Execution]:
        """Read the executions that started since then and have succeeded, newest first: whole pages, until ``most`` are found."""
        found: list[Execution] = []
        for page in self._pages(machine, since, ExecutionStatus.SUCCEEDED.value):
            found += (execution for execution in page if _start(execution) >= since)
            if len(found) >= most:
                break
        return found

    def stop(self, arn: str, cause: str) -> None:
        """Stop an execution; one that has ended or is not known stays as it is."""
        try:
            self._stop(executionArn=arn, error="Canary", cause=shorten(cause, _MOST_CAUSE))
        except Unavailable as error:
            if error.code not in _NO_KEY:
                raise
            self._stop(executionArn=arn)  # without words there is nothing to encrypt

    def _stop(self, **asked: Any) -> None:
        try:
            with translated(_SERVICE):
                self._client.stop_execution(**asked)
        except Unavailable as error:
            if error.code not in _NOT_RUNNING:
                raise

    def _described(self, arn: str) -> Execution:
        try:
            with translated(_SERVICE):
                found = self._client.describe_execution(executionArn=arn)
        except Denied as error:
            return Execution(arn=arn, status=ExecutionStatus.UNREADABLE, error=str(error))
        except Unavailable as error:
            if error.code in MISSING_EXECUTION:
                return Execution(arn=arn, status=ExecutionStatus.MISSING)
            raise
        return _execution(found, found.get("error"))

    def _listed(self, machine: str, wanted: set[str], status: str | None = None) -> dict[str, Execution]:
        seen: dict[str, Execution] = {}
        if not wanted:
            return seen
        try:
            for page in islice(self._pages(machine, status=status), _MOST_PAGES):
                seen |= {execution.arn: execution for execution in page if execution.arn in wanted}
                if seen.keys() >= wanted:
                    break
        except Unavailable as error:
            if isinstance(error, Denied) or error.code in MISSING_EXECUTION:
                return {}  # describing them says the same, one by one
            raise
        return seen

    def _newest(self, machine: str, since: int | None = None, status: str | None = None) -> Iterator[Execution]:
        return chain.from_iterable(self._pages(machine, since, status))

    def _pages(self, machine: str, since: int | None = None, status: str | None = None) -> Iterator[Sequence[Execution]]:
        """Turn the pages of a state machine's executions, the newest first, until one had ended before ``since``.

        The order is Step Functions' own, by start or by end: what ended before ``since`` also started before it.
        """
        asked: dict[str, Any] = {"stateMachineArn": _unqualified(machine), "PaginationConfig": {"PageSize": _PAGE}}
        if status is not None:
            asked["statusFilter"] = status
        with translated(_SERVICE):
            for page in self._client.get_paginator("list_executions").paginate(**asked):
                executions = [_execution(found, None) for found in page["executions"]]
                yield executions
                if since is not None and executions and _end(executions[-1]) < since - SKEW_MS:
                    return


def _end(execution: Execution) -> int:
    return execution.stopped_at if execution.stopped_at is not None else _start(execution)


def _unqualified(machine: str) -> str:
    """The state machine of an alias or a version.

    Listed by an alias or a version, only those executions come that were started by exactly that ARN: not all that the stack did.
    """
    return ":".join(machine.split(":")[:7])


def _execution(found: Any, error: str | None) -> Execution:
    stopped = found.get("stopDate")
    return Execution(
        arn=found["executionArn"],
        status=ExecutionStatus(found["status"]),
        started_at=milliseconds(found["startDate"]),
        stopped_at=milliseconds(stopped) if stopped else None,
        error=error,
    )


def _past(execution: Execution) -> Past:
    started = _start(execution)
    stopped = execution.stopped_at if execution.stopped_at is not None else started
    return Past(execution.status.value in _FAILED, started, max(0, stopped - started))


def _start(execution: Execution) -> int:
    return execution.started_at or 0
