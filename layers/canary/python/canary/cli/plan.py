"""`plan`: check, read and write the plan of an app."""

from __future__ import annotations

import json

import click

from canary.cli.arguments import app_argument
from canary.cli.failure import NOT_POSSIBLE
from canary.cli.plan_source import PLAN, checked_plan, plan_text
from canary.cli.show_plan import PlanLook, look_document, plan_view, presets_table, told_document
from canary.cli.text import plain
from canary.cli.verb import Session, verb
from canary.domain.asks import NotPossible
from canary.domain.plan import InvalidPlan, Plan
from canary.domain.plan_document import plan_document, plan_from
from canary.domain.plan_lint import warnings
from canary.domain.plan_schema import schema as json_schema
from canary.domain.plan_words import sentences
from canary.domain.presets import PRESETS
from canary.domain.release import Release
from canary.operating.reading import Overview


@click.group(
    epilog="""\b
Examples:
  canary plan presets
  canary plan lint plan.json
  canary plan set transformer careful
  canary plan show transformer --json
"""
)
def plan() -> None:
    """Check, read and write plans: how much of the traffic a release gets, what must be proved, and what happens when it is not.

    docs/plans.md explains every key.
    """


@verb("""
canary plan presets
canary plan presets --json
""")
def presets(session: Session) -> None:
    """List the plans that have a name, and what each is for."""
    if session.as_json:
        found = [{"name": name, "purpose": one.purpose, "plan": plan_document(plan_from(name))} for name, one in PRESETS.items()]
        click.echo(json.dumps({"presets": found}, ensure_ascii=False))
    else:
        session.out.print(presets_table(PRESETS))


@verb("""
canary plan schema > plan.schema.json       and "$schema": "./plan.schema.json" in plan.json
""")
def schema(session: Session) -> None:  # noqa: ARG001 - every verb gets one
    """Print the JSON Schema of plans, for editors. It is JSON, with or without --json."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@verb("""
canary plan lint plan.json
canary plan lint careful
canary plan lint '{"stages": [{"quota": 20}], "max_failures": 1}'
jq .plan settings.json | canary plan lint - --json
""")
@click.argument("text", metavar=PLAN, type=plan_text)
def lint(session: Session, *, text: str) -> None:
    """Check a plan, and say what is weak in it.

    PLAN is a file, a preset's name, JSON, or - for standard input. AWS is not asked.

    Exit codes: 0 it is valid, weak or not; 1 it is refused; 2 there was no plan to check.
    """
    try:
        checked = checked_plan(text)
    except InvalidPlan as error:
        session.say(f"refused: {error}", {"valid": False, "error": str(error), "exit_code": NOT_POSSIBLE})
        session.end(NOT_POSSIBLE)
    lines = ["valid", *(f"warning: {plain(each)}" for each in warnings(checked))]
    session.say("\n".join(lines), {"valid": True, **told_document(checked)})


@verb("""
canary plan show transformer
canary plan show transformer --json
""")
@app_argument
def show(session: Session, *, app: str) -> None:
    """Tell an app's plan in plain sentences.

    Says what is weak in it, and what holds for a release that runs by another one.

    Exit code 1 when the parameter holds no plan that can be used: then every release is rejected.
    """
    look = _look(_readable(session, app))
    if session.as_json:
        click.echo(json.dumps(look_document(look), ensure_ascii=False))
    else:
        session.out.print(plan_view(look))
        if look.plan is not None:
            click.echo(f"\nfor the next release, in full: {json.dumps(plan_document(look.plan), ensure_ascii=False)}")
    if look.plan is None:
        session.end(NOT_POSSIBLE)


@verb(
    """
canary plan set transformer careful
canary plan set transformer plan.json --dry-run
canary plan set transformer '{"preset": "careful", "max_failure_rate": "5%"}'
canary plan set transformer two-requests        the default again
""",
    name="set",
)
@app_argument
@click.argument("text", metavar=PLAN, type=plan_text)
@click.option("--dry-run", is_flag=True, help="Check it and tell it, and write nothing.")
def set_plan(session: Session, *, app: str, text: str, dry_run: bool) -> None:
    """Write an app's plan, for its next release.

    PLAN is a file, a preset's name, JSON, or - for standard input. What cannot be is refused, with the place and the cure.
    A release that runs keeps the plan that it began with.
    """
    checked = checked_plan(text)
    running = _running(_readable(session, app))
    if not dry_run:
        session.operator.set_plan(app, text)
    document = {"app": app, "written": not dry_run, **told_document(checked)}
    session.say(
        "\n".join(_written(app, checked, running, dry_run=dry_run)),
        {**document, "running": running.release} if running else document,
    )


def _written(app: str, checked: Plan, running: Release | None, *, dry_run: bool) -> list[str]:
    lines = [
        f"{app}: " + ("nothing was written; its next release would go by this:" if dry_run else "its next release goes by this:")
    ]
    lines += [f"  • {plain(each)}" for each in sentences(checked)]
    lines += [f"warning: {plain(each)}" for each in warnings(checked)]
    if running is not None:
        lines.append(f"release {running.release} ({plain(running.tag)}) runs, and keeps the plan that it began with")
    return lines


def _readable(session: Session, app: str) -> Overview:
    overview = session.reader.overview(app)
    if overview.trouble:
        raise NotPossible(f"the parameters of {app!r} cannot be read: {overview.trouble}")
    return overview


def _look(overview: Overview) -> PlanLook:
    parameter, found, problem = overview.parameters.get("plan"), None, None
    try:
        found = checked_plan(parameter.value if parameter else "")
    except InvalidPlan as error:
        problem = str(error)
    return PlanLook(
        app=overview.app, at=overview.at, parameter=parameter, plan=found, problem=problem, running=_running(overview)
    )


def _running(overview: Overview) -> Release | None:
    return overview.release if overview.release is not None and not overview.release.ended else None


for _command in (presets, schema, lint, show, set_plan):
    plan.add_command(_command)
