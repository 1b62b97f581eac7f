"""The deployed router as its callers see it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "000000000000"
REGION = "eu-west-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A router on an embedded AWS, and the way to it."""

    endpoint_url: str
    region: str
    router_url: str
    api_key: str
    outputs: Mapping[str, str]

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return a boto3 client that talks to this embedded AWS, whatever the environment says."""
        return client(self.endpoint_url, service, config)

    def as_json(self) -> dict[str, Any]:
        """Return what `canary local up --json` prints."""
        return asdict(self)


def client(endpoint_url: str, service: str, config: Config | None = None) -> Any:
    """Return a boto3 client for an embedded AWS."""
    # Cloud Map's calls prefix the host with "data-", and data-127.0.0.1 is nobody.
    plain = Config(inject_host_prefix=False)
    session = boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    merged = config.merge(plain) if config else plain
    return session.client(service, endpoint_url=endpoint_url, config=merged)  # type: ignore[call-overload]


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """Return the variables that send the AWS CLI, SAM CLI and boto3 to an embedded AWS."""
    return {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }


def exports(stack: LocalStack) -> dict[str, str]:
    """Return the variables that make the AWS CLI, boto3 and `canary` talk to this stack."""
    return {
        **aws_environment(stack.endpoint_url),
        "CANARY_ACCOUNT": ACCOUNT,
        "CANARY_API_KEY": stack.api_key,
        "CANARY_AUDIT_TABLE": stack.outputs["AuditTable"],
        "CANARY_ENVIRONMENT": "local",
        "CANARY_FLIPPER_FUNCTION": stack.outputs["FlipperFunction"],
        "CANARY_PREFIX": stack.outputs["ParameterPrefix"],
        "CANARY_RELEASES_TABLE": stack.outputs["ReleasesTable"],
        "CANARY_ROUTER_FUNCTION": stack.outputs["RouterFunction"],
        "CANARY_ROUTER_URL": stack.router_url,
        "CANARY_TARGET_PATTERN": "*",
    }


def as_shell(variables: Mapping[str, str]) -> str:
    """Write the variables as lines for a shell, which also forget a profile or session that would get in the way."""
    lines = ["unset AWS_PROFILE AWS_SESSION_TOKEN"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return "\n".join(lines)
