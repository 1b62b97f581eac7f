"""Arguments that more than one verb takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from canary.domain.release import from_timestamp
from canary.domain.target import APP_NAME, InvalidTarget, parse_target

_DURATION: Final = re.compile(r"(\d+)\s*(s|m|h|d)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RELEASE: Final = re.compile(r"\d{8,}-[0-9a-f]{8}")

F = TypeVar("F", bound=Callable[..., Any])


def app_name(value: str) -> str:
    """Check an app's name."""
    if not APP_NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no app's name: lower-case letters, digits and dashes, 40 at most")
    return value


def target_arn(value: str) -> str:
    """Check a target's ARN."""
    try:
        return parse_target(value.strip()).arn
    except InvalidTarget as error:
        raise click.BadParameter(str(error)) from error


def release_id(value: str) -> str:
    """Check a release's id; an app before it, as the audit table writes it, is taken off."""
    name = value.rsplit("#", 1)[-1]
    if not _RELEASE.fullmatch(name):
        raise click.BadParameter(f"{value!r} is no release's id, such as 00000017-3fa9c1d2: see `canary releases APP`")
    return name


def milliseconds(value: str) -> int:
    """Read a duration."""
    match = _DURATION.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no duration, such as 90s, 30m, 24h or 2d")
    return int(match[1]) * _UNIT_MS[match[2]]


def moment(text: str | None, now: int, option: str) -> int | None:
    """Read a time: so long ago (``2h``), or a date with or without its time (UTC unless it says otherwise)."""
    if text is None:
        return None
    if match := _DURATION.fullmatch(text):
        return now - int(match[1]) * _UNIT_MS[match[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no time: say 2h (ago), 2026-11-21 or 2026-11-21T09:30:00Z"
        raise click.BadParameter(message, param_hint=option) from error
    return from_timestamp((found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat())


def app_argument(function: F) -> F:
    """The app that the verb is about."""
    return click.argument("app", type=app_name)(function)


def release_option(function: F) -> F:
    """Another release than the one that is meant anyway."""
    return click.option(
        "--release", "release", type=release_id, metavar="ID", help="The release, where it is not the obvious one."
    )(function)


def reason_option(function: F) -> F:
    """Why; it goes on record."""
    return click.option("--reason", metavar="TEXT", help="Why; it goes on record with your name.")(function)


def yes_option(function: F) -> F:
    """No questions."""
    return click.option("--yes", "-y", is_flag=True, help="Do it without asking.")(function)


def pointer_options(function: F) -> F:
    """The words that go with an ARN."""
    for option in (
        click.option(
            "--by", metavar="NAME", help="Who releases it, e.g. the CI job. Default: the caller, with --tag or --commit."
        ),
        click.option("--commit", metavar="SHA", help="The commit that it was built from."),
        click.option("--tag", metavar="TAG", help="What people call it, e.g. v1.5.0."),
        click.option("--arn", type=target_arn, required=True, metavar="ARN", help="The Lambda function or state machine."),
    ):
        option(function)
    return function
