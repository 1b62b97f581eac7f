"""Deploys the router, and versions of the example pipeline, to the embedded AWS."""

from __future__ import annotations

import functools
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, WaiterError

from canary.local.build import Report, sam
from canary.local.checkout import Checkout
from canary.local.errors import LocalError, SamFailed
from canary.local.stack import REGION, LocalStack, aws_environment, client

ROUTER_STACK = "canary-local"
ARTIFACTS = "canary-artifacts"
WAITING = {"Delay": 0.05, "MaxAttempts": 600}
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


@dataclass(frozen=True, slots=True)
class Version:
    """A deployed version of the example pipeline."""

    stack: str
    tag: str
    function_arn: str
    function_alias_arn: str
    state_machine_arn: str


def deploy_router(checkout: Checkout, endpoint_url: str, built: Path, report: Report) -> LocalStack:
    """Deploy the built template with `sam deploy`, as it is deployed to AWS."""
    started = time.monotonic()
    report("Deploying the router (sam deploy)")
    make_bucket(endpoint_url)
    arguments = [
        "deploy",
        "--template-file",
        str(built),
        "--config-file",
        str(checkout.samconfig),
        "--config-env",
        "local",
        "--stack-name",
        ROUTER_STACK,
        "--s3-bucket",
        ARTIFACTS,
        "--region",
        REGION,
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        "--no-progressbar",
    ]
    remove_failed(endpoint_url, ROUTER_STACK)
    try:
        sam(checkout, arguments, aws_environment(endpoint_url))
    except SamFailed as failed:
        reasons = failures(endpoint_url, ROUTER_STACK)
        raise LocalError(f"`sam deploy` failed:\n{reasons or failed.output}") from failed
    report(f"Deployed in {time.monotonic() - started:.1f} s")
    return describe_router(endpoint_url)


def describe_router(endpoint_url: str) -> LocalStack:
    """Read from the embedded AWS how its router is reached."""
    outputs = stack_outputs(endpoint_url, ROUTER_STACK)
    key = client(endpoint_url, "apigateway").get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)
    return LocalStack(
        endpoint_url=endpoint_url,
        region=REGION,
        router_url=local_url(endpoint_url, outputs["RouterUrl"]),
        api_key=key["value"],
        outputs=outputs,
    )


def is_deployed(endpoint_url: str) -> bool:
    """Tell whether the router's stack is there and whole."""
    return stack_status(endpoint_url, ROUTER_STACK) in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def stack_status(endpoint_url: str, stack: str) -> str | None:
    """Return the status of a stack, or None if there is no such stack."""
    try:
        described: str = client(endpoint_url, "cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError:
        return None
    return described


def remove_failed(endpoint_url: str, stack: str) -> None:
    """Remove a stack whose creation failed: CloudFormation refuses to update it."""
    if stack_status(endpoint_url, stack) in {"ROLLBACK_COMPLETE", "CREATE_FAILED"}:
        cloudformation = client(endpoint_url, "cloudformation")
        cloudformation.delete_stack(StackName=stack)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig=WAITING)


def failures(endpoint_url: str, stack: str) -> str:
    """Return which resources failed, and why: what counts among the hundreds of lines that SAM CLI prints."""
    try:
        events = client(endpoint_url, "cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    except ClientError:
        return ""
    return "\n".join(
        f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', 'no reason given')}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
    )


def local_url(endpoint_url: str, router_url: str) -> str:
    """Translate an API's URL on AWS into the one at which the embedded AWS serves it."""
    url = urlsplit(router_url)
    api = (url.hostname or "").split(".")[0]
    stage = url.path.strip("/")
    return f"{endpoint_url}/restapis/{api}/{stage}/_user_request_"


@dataclass(frozen=True)
class Example:
    """The example pipeline, ready to be deployed in any number of versions."""

    endpoint_url: str
    template: str

    @classmethod
    def package(cls, checkout: Checkout, endpoint_url: str) -> Example:
        """Upload the example's code once; its versions differ only in their parameters."""
        make_bucket(endpoint_url)
        with tempfile.TemporaryDirectory() as folder:
            packaged = Path(folder) / "packaged.yaml"
            arguments = ["package", "--template-file", str(checkout.example), "--output-template-file", str(packaged)]
            arguments += ["--s3-bucket", ARTIFACTS, "--s3-prefix", "example", "--region", REGION, "--no-progressbar"]
            sam(checkout, arguments, aws_environment(endpoint_url))
            return cls(endpoint_url, packaged.read_text())

    @functools.cached_property
    def _cloudformation(self) -> Any:
        return client(self.endpoint_url, "cloudformation")

    def deploy(self, tag: str, *, behaviour: str = "succeed", delay_seconds: int = 30, stack: str | None = None) -> Version:
        """Deploy a version as a stack of its own and wait until it is there."""
        name = stack or f"transformer-{re.sub(r'[^A-Za-z0-9]+', '-', tag)}"
        given = {"Version": tag, "Behaviour": behaviour, "DelaySeconds": str(delay_seconds)}
        try:
            self._cloudformation.create_stack(
                StackName=name,
                TemplateBody=self.template,
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
                Capabilities=_CAPABILITIES,
            )
            waiter = self._cloudformation.get_waiter("stack_create_complete")
            waiter.wait(StackName=name, WaiterConfig=WAITING)
        except (ClientError, WaiterError) as error:
            raise LocalError(f"the stack {name} was not created: {error}") from error
        outputs = stack_outputs(self.endpoint_url, name)
        return Version(
            stack=name,
            tag=tag,
            function_arn=outputs["FunctionArn"],
            function_alias_arn=outputs["FunctionAliasArn"],
            state_machine_arn=outputs["StateMachineArn"],
        )


def stack_outputs(endpoint_url: str, stack: str) -> dict[str, str]:
    """Return the outputs of a stack."""
    described = client(endpoint_url, "cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def make_bucket(endpoint_url: str) -> None:
    """Make the bucket for artifacts; SAM CLI's own would take a stack, and seconds, more."""
    s3 = client(endpoint_url, "s3")
    try:
        s3.create_bucket(Bucket=ARTIFACTS, CreateBucketConfiguration={"LocationConstraint": REGION})
    except (s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        return
