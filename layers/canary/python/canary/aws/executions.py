"""Step Functions and Lambda, for reading: how executions ended, and which stacks exist."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from canary.aws.faults import translated
from canary.aws.parameters import milliseconds
from canary.domain.audit import Execution, ExecutionStatus
from canary.domain.target import Target, TargetKind, state_machine_of
from canary.errors import Denied, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

_SERVICE: Final = "Step Functions"
#: From this many executions of one state machine, pages of a thousand are cheaper than asking one by one.
_MANY: Final = 20
_MOST_PAGES: Final = 20
_MISSING: Final = frozenset({"ExecutionDoesNotExist", "InvalidArn", "StateMachineDoesNotExist"})
_NO_SUCH_STACK: Final = frozenset({"ResourceNotFoundException", "ResourceNotFound", "StateMachineDoesNotExist", "InvalidArn"})


class StepFunctions:
    """Executions as Step Functions reports them, a few seconds late at times."""

    def __init__(self, client: SFNClient) -> None:
        self._client = client

    def observe(self, arns: Iterable[str]) -> Mapping[str, Execution]:
        """Read executions: few of a state machine with Describe, many with List pages and Describe for the rest."""
        machines: dict[str, set[str]] = defaultdict(set)
        for arn in arns:
            machines[state_machine_of(arn)].add(arn)
        seen: dict[str, Execution] = {}
        for machine, wanted in machines.items():
            if len(wanted) >= _MANY:
                seen |= self._listed(machine, wanted)
            seen |= {arn: self._described(arn) for arn in wanted - seen.keys()}
        return seen

    def _described(self, arn: str) -> Execution:
        try:
            with translated(_SERVICE):
                found = self._client.describe_execution(executionArn=arn)
        except Denied as error:
            return Execution(arn=arn, status=ExecutionStatus.UNREADABLE, error=str(error))
        except Unavailable as error:
            if error.code in _MISSING:
                return Execution(arn=arn, status=ExecutionStatus.MISSING)
            raise
        return _execution(found, found.get("error"))

    def _listed(self, machine: str, wanted: set[str]) -> dict[str, Execution]:
        seen: dict[str, Execution] = {}
        try:
            with translated(_SERVICE):
                pages = self._client.get_paginator("list_executions").paginate(
                    stateMachineArn=machine, PaginationConfig={"PageSize": 1000, "MaxItems": 1000 * _MOST_PAGES}
                )
                for page in pages:
                    found = {item["executionArn"]: item for item in page["executions"] if item["executionArn"] in wanted}
                    seen |= {arn: _execution(item, None) for arn, item in found.items()}
                    if seen.keys() >= wanted:
                        break
        except Unavailable as error:
            if isinstance(error, Denied) or error.code in _MISSING:
                return {}  # describing them says the same, one by one
            raise
        return seen


class StackInventory:
    """What exists."""

    def __init__(self, lambda_client: LambdaClient, states_client: SFNClient) -> None:
        self._lambda = lambda_client
        self._states = states_client

    def problem(self, target: Target) -> str | None:
        """Say why a target cannot be released: it is missing, or an Express workflow."""
        try:
            if target.kind is TargetKind.LAMBDA:
                with translated("Lambda"):
                    self._lambda.get_function_configuration(FunctionName=target.arn)
                return None
            return self._workflow_problem(target)
        except Denied as error:
            return f"{target.arn} cannot be inspected: {error}"
        except Unavailable as error:
            if error.code in _NO_SUCH_STACK:
                return f"{target.arn} does not exist: deploy it before releasing it"
            raise

    def _workflow_problem(self, target: Target) -> str | None:
        with translated(_SERVICE):
            if target.qualifier is not None and not target.qualifier.isdigit():
                self._states.describe_state_machine_alias(stateMachineAliasArn=target.arn)
                machine = self._states.describe_state_machine(stateMachineArn=target.unqualified_arn)
            else:
                machine = self._states.describe_state_machine(stateMachineArn=target.arn)
        if machine.get("type") == "EXPRESS":
            return f"{target.arn} is an Express workflow, whose end cannot be followed: use a Standard one"
        return None


def _execution(found: Any, error: str | None) -> Execution:
    stopped = found.get("stopDate")
    return Execution(
        arn=found["executionArn"],
        status=ExecutionStatus(found["status"]),
        started_at=milliseconds(found["startDate"]),
        stopped_at=milliseconds(stopped) if stopped else None,
        error=error,
    )
