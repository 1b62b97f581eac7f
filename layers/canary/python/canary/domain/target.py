"""Targets: the ARNs that start work on a stack, and the parameter values that carry them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

#: SSM refuses an empty value, so a blank parameter holds this word.
BLANK: Final = "NONE"
_BLANKS: Final = frozenset({"", "-", BLANK})

#: A standard parameter holds no more; a promotion copies latest's value to current as it stands.
MOST_CHARACTERS: Final = 4096

APP_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")

# Not compiled here: `re` does it when one is first needed, and a router that starts needs one of them.
_LAMBDA: Final = (
    r"arn:(?P<partition>aws[a-z-]*):lambda:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
    r":function:(?P<name>[A-Za-z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)
_STATE_MACHINE: Final = (
    r"arn:(?P<partition>aws[a-z-]*):states:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
    r":stateMachine:(?P<name>[A-Za-z0-9_-]{1,80})(?::(?P<qualifier>[A-Za-z0-9_.-]{1,80}))?"
)
_EXECUTION: Final = (
    r"arn:(?P<partition>aws[a-z-]{0,20}):states:(?P<region>[a-z0-9-]{1,32}):(?P<account>[0-9]{12})"
    r":execution:(?P<name>[^:\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,80}):(?P<execution>[^:\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,80})"
)


class InvalidTarget(ValueError):
    """A parameter value that names no target; the message says what to write instead."""


class TargetKind(StrEnum):
    LAMBDA = "lambda"
    STATE_MACHINE = "state machine"


@dataclass(frozen=True, slots=True)
class Target:
    """One target, taken apart. ``arn`` is the whole, as it was written."""

    arn: str
    kind: TargetKind
    region: str
    account: str
    name: str
    qualifier: str | None

    @property
    def mutable(self) -> bool:
        """Whether the code behind this ARN may change under a running release."""
        return self.kind is TargetKind.LAMBDA and self.qualifier in (None, "$LATEST")

    @property
    def unqualified_arn(self) -> str:
        """The ARN without its version or alias."""
        return self.arn.removesuffix(f":{self.qualifier}") if self.qualifier else self.arn


def parse_target(arn: str) -> Target:
    """Take a target's ARN apart, or raise `InvalidTarget` with the reason."""
    for kind, pattern in ((TargetKind.LAMBDA, _LAMBDA), (TargetKind.STATE_MACHINE, _STATE_MACHINE)):
        if match := re.fullmatch(pattern, arn):
            return Target(arn, kind, match["region"], match["account"], match["name"], match["qualifier"])
    raise InvalidTarget(
        f"{shorten(arn)!r} is not the ARN of a Lambda function or a state machine "
        "(expected arn:aws:lambda:REGION:ACCOUNT:function:NAME[:ALIAS] or arn:aws:states:REGION:ACCOUNT:stateMachine:NAME)"
    )


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a parameter holds: a target with the words that came with it. ``value`` is the parameter as it stands."""

    value: str
    target: Target
    tag: str
    commit: str | None = None
    by: str | None = None


def is_blank(value: str | None) -> bool:
    """Whether a parameter's value (None: there is no parameter) stands for "nothing here"."""
    return value is None or value.strip() in _BLANKS


@lru_cache
def parse_pointer(value: str) -> Pointer:
    """Read a parameter's value: a bare ARN, or JSON ``{"arn", "tag", "commit", "by"}``.

    Raises `InvalidTarget`. The tag is the JSON's, else the ARN's qualifier, else the resource's name.
    """
    text = value.strip()
    words = _pointer_words(text) if text.startswith("{") else {"arn": text}
    target = parse_target(words["arn"])
    tag = words.get("tag") or target.qualifier or target.name
    return Pointer(value, target, tag, words.get("commit"), words.get("by"))


def _pointer_words(text: str) -> dict[str, str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidTarget(f"the value starts like JSON but cannot be read: {error}") from error
    if not isinstance(document.get("arn"), str):
        raise InvalidTarget('the JSON value has no "arn": write {"arn": "arn:aws:…", "tag": "v1.5.0"}')
    words: dict[str, str] = {}
    for key in ("arn", "tag", "commit", "by"):
        word = document.get(key)
        if word is None:
            continue
        if not isinstance(word, str) or len(word) > 2048:
            raise InvalidTarget(f'"{key}" in the JSON value must be a text')
        words[key] = printable(word.strip())
    return words


@dataclass(frozen=True, slots=True)
class Allowed:
    """Where targets may live: one account, one region, names that match ``pattern`` (``*`` and ``?`` as in IAM)."""

    pattern: str
    account: str
    region: str

    def refusal(self, target: Target) -> str | None:
        """Say why ``target`` must never be called; None when it may be."""
        if target.account != self.account:
            return f"{target.arn} is in account {target.account}: only account {self.account} is allowed"
        if target.region != self.region:
            return f"{target.arn} is in region {target.region}: only region {self.region} is allowed"
        if not fnmatchcase(target.name, self.pattern.replace("[", "[[]")):  # IAM knows no character classes
            return f"the name {target.name!r} does not match the allowed pattern {self.pattern!r} (TargetPattern)"
        return None


def is_execution(arn: str) -> bool:
    """Whether ``arn`` is that of a Standard execution, the only kind that can be followed."""
    return re.fullmatch(_EXECUTION, arn) is not None


def state_machine_of(execution_arn: str) -> str:
    """Name the state machine of an execution's ARN."""
    match = re.fullmatch(_EXECUTION, execution_arn)
    if match is None:
        raise InvalidTarget(f"{shorten(execution_arn)!r} is not the ARN of an execution")
    head = execution_arn.split(":execution:", maxsplit=1)[0]
    return f"{head}:stateMachine:{match['name']}"


def execution_arn(state_machine_arn: str, execution_name: str) -> str:
    """Name the execution that ``execution_name`` gives on a state machine (aliases and versions share its executions)."""
    machine = parse_target(state_machine_arn)
    return f"{machine.unqualified_arn.replace(':stateMachine:', ':execution:')}:{execution_name}"


def shorten(text: str, limit: int = 120) -> str:
    """Cut a foreign text for a message, in which it may do nothing to a terminal or a table."""
    return printable(text if len(text) <= limit else text[: limit - 1] + "…")


def printable(text: str) -> str:
    """A foreign text without what cannot be shown, and half surrogate pairs, which cannot even be sent."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)
