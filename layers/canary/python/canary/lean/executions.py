"""Step Functions, as far as a router asks it: how the execution of a request on record stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from canary.aws.answers import MISSING_EXECUTION, milliseconds, moment
from canary.domain.audit import Execution, ExecutionStatus
from canary.errors import Denied, Unavailable
from canary.lean.asking import asked
from canary.lean.items import mapping, quoted
from canary.wire.call import Wire
from canary.wire.endpoints import STATES


class LeanExecutions:
    """Executions as Step Functions reports them, a few seconds late at times."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        """Read executions, with a Describe for each: a router asks for one."""
        return {arn: self._described(arn) for arn in dict.fromkeys(arns)}

    def _described(self, arn: str) -> Execution:
        try:
            return _execution(asked(self._wire, STATES, "DescribeExecution", mapping({"executionArn": quoted(arn)})))
        except Denied as error:
            return Execution(arn=arn, status=ExecutionStatus.UNREADABLE, error=str(error))
        except Unavailable as error:
            if error.code in MISSING_EXECUTION:
                return Execution(arn=arn, status=ExecutionStatus.MISSING)
            raise


def _execution(found: dict[str, Any]) -> Execution:
    try:
        stopped = found.get("stopDate")
        return Execution(
            arn=found["executionArn"],
            status=ExecutionStatus(found["status"]),
            started_at=milliseconds(moment(found["startDate"])),
            stopped_at=milliseconds(moment(stopped)) if stopped else None,
            error=found.get("error"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(STATES.title, "Unreadable", f"the answer cannot be understood: {error!r}") from error
