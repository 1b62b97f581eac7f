"""`explain`: why a release was decided as it was, with the numbers, computed again."""

from __future__ import annotations

import json

import click

from canary import __version__
from canary.cli.arguments import app_name, moment, release_id, release_option
from canary.cli.failure import NOT_POSSIBLE
from canary.cli.show_explain import explained_document, explained_view
from canary.cli.text import ago, clock, plain
from canary.cli.verb import Session, verb
from canary.domain.asks import NotPossible
from canary.domain.audit import KEEP_MS
from canary.domain.release import Release
from canary.domain.words import duration
from canary.operating.explaining import Explained, explained, in_force


def addressed(value: str) -> tuple[str, str | None]:
    """Read an app, or a release's id with its app before it, as the audit table writes it."""
    app, mark, name = value.partition("#")
    if not mark and value[:1].isdigit():
        raise click.BadParameter(f"{value!r} does not say of which app: say transformer#{value}")
    return app_name(app), release_id(name) if mark else None


@verb("""
canary explain transformer                                  its running release, or its newest
canary explain 'transformer#00000017-3fa9c1d2'
canary explain transformer --release 00000017-3fa9c1d2 --at 2026-11-21T09:30:00Z
canary explain transformer --at 2h                          what held two hours ago
canary explain transformer --json | jq '.records[-1].numbers'
""")
@click.argument("what", type=addressed, metavar="APP[#RELEASE]")
@release_option
@click.option("--at", "at", metavar="WHEN", help="The decision that held then: 2h (ago), 2026-11-21 or 2026-11-21T09:30:00Z.")
@click.option("--all", "whole", is_flag=True, help="Every decision, however many there are.")
def explain(session: Session, *, what: tuple[str, str | None], release: str | None, at: str | None, whole: bool) -> None:
    """Tell why a release was decided as it was: what was seen, what the evidence says of it, and what was done.

    Every decision is computed again from its record. A different answer is an error (exit code 1), with both answers shown.
    """
    app, named = what
    if named and release and named != release:
        raise click.UsageError(f"{named} and --release {release} are two releases: say one")
    now = session.now()
    asked = session.reader.overview(app, named or release).release
    if asked is None:
        raise NotPossible(f"{app!r} has had no release yet, so there is nothing to explain")
    when = moment(at, now, "--at")
    records = session.reader.records(app, asked.release)  # before the release: then it bears all that was carried out
    found = session.reader.release(app, asked.release) or asked
    decisions = explained(records, found.record)
    chosen = decisions if when is None or not decisions else [_at(decisions, when, found)]
    if session.as_json:
        click.echo(json.dumps(explained_document(found, chosen), ensure_ascii=False))
    elif chosen:
        session.out.print(explained_view(found, chosen, whole=whole))
    else:
        session.out.print(_nothing(found, now))
    if differing := sum(not each.agrees for each in chosen):
        _alert(session, chosen, differing)


def _at(decisions: list[Explained], when: int, release: Release) -> Explained:
    found = in_force(decisions, when)
    if found is None:
        first = decisions[0].record.at
        raise NotPossible(
            f"release {release.release} was not judged before {clock(when)}: its first decision on record is of {clock(first)}"
        )
    return found


def _nothing(release: Release, now: int) -> str:
    """Say why there are no records."""
    words = f"{release.app}: release {release.release} ({plain(release.tag)}) is {release.state}: {plain(release.reason)}.\n"
    if release.record is not None:
        return f"{words}Its records have gone: they are kept for {duration(KEEP_MS)}, and it began {ago(release.opened_at, now)}."
    return f"{words}The judge has decided nothing about it, so there is no record to explain."


def _alert(session: Session, decisions: list[Explained], differing: int) -> None:
    codes = ", ".join(sorted({each.record.code for each in decisions if not each.agrees}))
    counted = f"{differing} of {len(decisions)} decisions come out otherwise when they are computed again"
    by = f"decided by version {codes}, computed by version {__version__}"
    session.remark(f"Error: {counted} ({by}). A record was changed, or the judge was: compare by the version that decided")
    session.end(NOT_POSSIBLE)
