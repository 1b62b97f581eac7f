"""Which stacks exist, and whether they can be released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from canary.aws.faults import translated
from canary.domain.target import Target, TargetKind
from canary.errors import Denied, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

_NO_SUCH_STACK: Final = frozenset({"ResourceNotFoundException", "ResourceNotFound", "StateMachineDoesNotExist", "InvalidArn"})


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
        with translated("Step Functions"):
            if target.qualifier is not None and not target.qualifier.isdigit():
                self._states.describe_state_machine_alias(stateMachineAliasArn=target.arn)
                machine = self._states.describe_state_machine(stateMachineArn=target.unqualified_arn)
            else:
                machine = self._states.describe_state_machine(stateMachineArn=target.arn)
        if machine.get("type") == "EXPRESS":
            return f"{target.arn} is an Express workflow, whose end cannot be followed: use a Standard one"
        return None
