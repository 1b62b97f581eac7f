"""The one place that reads the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from canary.domain.target import Allowed
from canary.errors import Misconfigured


class Settings(NamedTuple):
    """What both functions need to know of their installation."""

    prefix: str
    releases_table: str
    audit_table: str
    environment: str
    region: str
    allowed: Allowed


class FlipperSettings(NamedTuple):
    """What the flipper needs beside it: where its notices go."""

    installation: Settings
    topic_arn: str
    event_bus: str


class OperatorSettings(NamedTuple):
    """What the command line needs beside it: the functions, to wake the one and to look at both."""

    installation: Settings
    flipper_function: str
    router_function: str


def router_settings(environ: Mapping[str, str]) -> Settings:
    """Read the router's settings. Raises `Misconfigured`, naming all that is missing at once."""
    return _settings(_all(environ, _COMMON))


def flipper_settings(environ: Mapping[str, str]) -> FlipperSettings:
    """Read the flipper's settings. Raises `Misconfigured`, naming all that is missing at once."""
    values = _all(environ, (*_COMMON, "CANARY_TOPIC_ARN", "CANARY_EVENT_BUS"))
    return FlipperSettings(_settings(values), values["CANARY_TOPIC_ARN"], values["CANARY_EVENT_BUS"])


def operator_settings(environ: Mapping[str, str], stack: Callable[[], Mapping[str, str]]) -> OperatorSettings:
    """Read the command line's settings: from the environment, and what it leaves out from the router's stack.

    ``stack`` is asked only when something is missing. Raises `Misconfigured`, naming all that is missing at once.
    """
    names = (*_COMMON, "CANARY_FLIPPER_FUNCTION", "CANARY_ROUTER_FUNCTION")
    given = {name: environ[name] for name in names if environ.get(name)}
    if any(name not in given for name in names):
        given = {**stack(), **given}
    values = _all(given, names)
    return OperatorSettings(_settings(values), values["CANARY_FLIPPER_FUNCTION"], values["CANARY_ROUTER_FUNCTION"])


_COMMON = (
    "CANARY_PREFIX",
    "CANARY_RELEASES_TABLE",
    "CANARY_AUDIT_TABLE",
    "CANARY_TARGET_PATTERN",
    "CANARY_ACCOUNT",
    "CANARY_ENVIRONMENT",
    "AWS_REGION",
)


def _all(environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    if missing := [name for name in names if not environ.get(name)]:
        raise Misconfigured(f"the environment lacks {', '.join(missing)}: template.yaml sets them, see `canary doctor`")
    return {name: environ[name] for name in names}


def _settings(values: Mapping[str, str]) -> Settings:
    return Settings(
        prefix="/" + values["CANARY_PREFIX"].strip("/"),
        releases_table=values["CANARY_RELEASES_TABLE"],
        audit_table=values["CANARY_AUDIT_TABLE"],
        environment=values["CANARY_ENVIRONMENT"],
        region=values["AWS_REGION"],
        allowed=Allowed(values["CANARY_TARGET_PATTERN"], values["CANARY_ACCOUNT"], values["AWS_REGION"]),
    )
