"""`audit`: the requests that went to a release."""

from __future__ import annotations

import click

from canary.cli.arguments import app_argument, moment, release_option
from canary.cli.show_audit import write_csv, write_json, write_table
from canary.cli.verb import Session, verb
from canary.domain.asks import NotPossible
from canary.domain.audit import Status
from canary.operating.reading import MOST_RELEASES, Wanted


@verb("""
canary audit transformer                        the newest release
canary audit transformer --status FAILED --status LOST
canary audit transformer --all --since 2d --tenant acme --format csv > acme.csv
canary audit transformer --json | jq '.[].transform_id'
""")
@app_argument
@release_option
@click.option("--all", "everything", is_flag=True, help="All releases, not only the newest one.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in Status], case_sensitive=False),
    metavar="STATUS",
    help=f"Only these: {', '.join(Status)}. May be given more than once.",
)
@click.option("--tenant", metavar="TENANT", help="Only this tenant's.")
@click.option("--since", metavar="WHEN", help="Not before: 2h (ago), 2026-11-21 or 2026-11-21T09:30:00Z.")
@click.option("--until", metavar="WHEN", help="Before then.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many at most, oldest first.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def audit(
    session: Session,
    *,
    app: str,
    release: str | None,
    everything: bool,
    statuses: tuple[str, ...],
    tenant: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    form: str,
) -> None:
    """List the requests that went to a release, in the order of time: when, for whom, which workflow, how it ended.

    Tables round durations; JSON (a list) and CSV are exact and have the names of the audit table.
    """
    now = session.now()
    if everything and release:
        raise click.UsageError("--release and --all exclude each other")
    wanted = Wanted(
        status=frozenset(Status(status.upper()) for status in statuses),
        tenant=tenant,
        since=moment(since, now, "--since"),
        until=moment(until, now, "--until"),
    )
    names = _names(session, app, release, everything=everything)
    rows = session.reader.rows(app, names, wanted, limit)
    if form == "json" or session.as_json:
        write_json(rows)
    elif form == "csv":
        write_csv(rows)
    elif not write_table(session.out, rows):
        which = "its releases" if everything else f"release {names[0]}"
        session.remark(f"{app}: no requests on record for {which}" + (" that fit" if wanted != Wanted() else ""))


def _names(session: Session, app: str, release: str | None, *, everything: bool) -> list[str]:
    seen = session.reader.overview(app, release)
    if release:
        return [release]
    found = session.reader.releases(app, MOST_RELEASES) if everything else seen.recent[:1]
    if not found:
        raise NotPossible(f"{app!r} has had no release yet, so there is nothing on record")
    return [one.release for one in found]
