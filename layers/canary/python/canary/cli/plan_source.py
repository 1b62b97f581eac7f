"""Where a plan comes from on the command line: a file, standard input, a preset's name, or JSON as it stands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from canary.aws.transform_id import expression_problem
from canary.domain.plan import InvalidPlan, Plan
from canary.domain.plan_document import parse_plan
from canary.domain.plan_fields import choice, nearest
from canary.domain.presets import PRESETS

#: How the forms are named where a verb takes one.
PLAN: Final = "PLAN"
_STANDARD_INPUT: Final = "-"


def plan_text(value: str) -> str:
    """Fetch a plan's text; it is not read yet. A preset goes before a file of its name, which ``./careful`` names."""
    text = _fetched(value).strip()
    if not text:
        raise click.BadParameter(f"{value!r} is empty: say a file with a plan, a preset, or JSON")
    return text


def checked_plan(text: str) -> Plan:
    """Read a plan as the flipper does when it opens a release. Raises `InvalidPlan`."""
    plan = parse_plan(text)
    if problem := expression_problem(plan.transform_id):
        raise InvalidPlan(f"transform_id: {problem}")
    return plan


def plan_name(text: str) -> str:
    """What a plan is called in a table: its preset's name, or only that it is the one that was given."""
    return text if text in PRESETS else "this plan"


def _fetched(value: str) -> str:
    if value in PRESETS or value.lstrip().startswith(("{", '"', "[")):
        return value
    try:
        if value == _STANDARD_INPUT:
            return sys.stdin.read()
        return Path(value).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        near = nearest(value, PRESETS)
        raise click.BadParameter(f"{value!r} is no file and no preset{near}; there are {choice(PRESETS)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value!r} cannot be read: {error}") from error
