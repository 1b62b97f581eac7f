"""Where an installation is, and who is asking: CloudFormation and STS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from canary.aws.faults import code_of, translated
from canary.errors import Misconfigured

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_sts import STSClient

#: What an operator may leave out of the environment, and the output or parameter of the stack that says it.
_SAID_BY: Final = {
    "CANARY_PREFIX": "ParameterPrefix",
    "CANARY_RELEASES_TABLE": "ReleasesTable",
    "CANARY_AUDIT_TABLE": "AuditTable",
    "CANARY_FLIPPER_FUNCTION": "FlipperFunction",
    "CANARY_ROUTER_FUNCTION": "RouterFunction",
    "CANARY_TARGET_PATTERN": "TargetPattern",
    "CANARY_ENVIRONMENT": "Environment",
}


def described(client: CloudFormationClient, stack: str) -> Mapping[str, str]:
    """Read from the router's stack what else the environment would have to say. Raises `Misconfigured`, `Unavailable`."""
    try:
        with translated("CloudFormation"):
            found = _stack(client, stack)
    except _Missing as error:
        raise Misconfigured(
            f"there is no stack {stack!r} in {client.meta.region_name}: name the router's stack with --stack-name or "
            "CANARY_STACK, its region with --region, or use the variables that `canary local up` prints"
        ) from error
    words = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    words |= {given["ParameterKey"]: given["ParameterValue"] for given in found.get("Parameters", [])}
    said = {name: words[word] for name, word in _SAID_BY.items() if word in words}
    return {**said, "CANARY_ACCOUNT": found["StackId"].split(":")[4]}


def caller(client: STSClient) -> str:
    """Name the caller, as records show them: the last part of the ARN, e.g. ``assumed-role/Deployer/alice``."""
    with translated("STS"):
        return client.get_caller_identity()["Arn"].rsplit(":", 1)[1]


class _Missing(Exception):
    """CloudFormation knows no such stack."""


def _stack(client: CloudFormationClient, stack: str) -> StackTypeDef:
    try:
        stacks = client.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if code_of(error) == "ValidationError":  # what CloudFormation calls a stack that does not exist
            raise _Missing(stack) from error
        raise
    if not stacks:
        raise _Missing(stack)
    return stacks[0]
