"""`doctor`: is the installation well, and what to do if it is not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from canary.cli.arguments import app_name, yes_option
from canary.cli.documents import finding_document
from canary.cli.failure import NOT_POSSIBLE
from canary.cli.text import plain
from canary.cli.verb import Session, verb
from canary.operating.finding import Finding, Level

_STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@verb("""
canary doctor                                   the installation and all apps
canary doctor transformer
canary doctor transformer --repair              mend the mirror, or a lost current
""")
@click.argument("app", type=app_name, required=False)
@click.option("--repair", is_flag=True, help="Mend the mirror from current, or a missing or broken current from the mirror.")
@yes_option
def doctor(session: Session, *, app: str | None, repair: bool, yes: bool) -> None:
    """Examine the installation and its apps: each finding is ok, warn or fail, with the command to type next.

    Exit code 1 with any fail. Nothing is changed without --repair.
    """
    findings = list(session.doctor.examine(app))
    if repair:
        repaired = [line for name in _broken(findings) if (line := _repaired(session, name, yes=yes))]
        if repaired:
            for line in repaired:
                session.remark(line)
            findings = list(session.doctor.examine(app))
        else:
            session.remark("there was nothing to repair")
    if session.as_json:
        click.echo(json.dumps({"findings": [finding_document(one) for one in findings]}, ensure_ascii=False))
    else:
        session.out.print(findings_table(findings))
        session.out.print(_count(findings))
    if any(one.level is Level.FAIL for one in findings):
        session.end(NOT_POSSIBLE)


def findings_table(findings: Iterable[Finding]) -> Table:
    """Show findings, with what to do under each."""
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    for one in findings:
        words = Text(plain(one.text))
        if one.cure:
            words.append(f"\n→ {one.cure}", style="cyan")
        where = f"{one.app} {one.check}" if one.app else one.check
        table.add_row(Text(one.level.value, style=_STYLES[one.level]), where, words)
    return table


def _broken(findings: Iterable[Finding]) -> list[str]:
    """The apps whose mirror or current can be mended from the other one."""
    return sorted({one.app for one in findings if one.app and "--repair" in one.cure})


def _repaired(session: Session, app: str, *, yes: bool) -> str | None:
    current = session.reader.overview(app).parameters.get("current")
    lost = current is None or current.pointer is None
    question = f"Write the mirror's value to {app}/current?" if lost else f"Copy {app}/current to the mirror?"
    if not yes:
        if not session.asks:
            raise click.UsageError("there is no terminal to ask at: say --yes")
        if not click.confirm(question, err=True):
            return None
    if not lost:
        session.operator.repair_mirror(app)
        return f"{app}: current was copied to the mirror"
    return f"{app}: current was written from the mirror: {session.operator.repair_current(app)}"


def _count(findings: Iterable[Finding]) -> Text:
    levels = [one.level for one in findings]
    failed, warned = levels.count(Level.FAIL), levels.count(Level.WARN)
    if not failed and not warned:
        return Text("all is well", style="green")
    return Text(f"{failed} to mend, {warned} to look at", style="bold red" if failed else "yellow")
