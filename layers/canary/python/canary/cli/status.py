"""`status` and `releases`: what is current, what is on trial, what was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import click
from rich.console import Console
from rich.live import Live

from canary.cli.arguments import app_argument, app_name, release_option
from canary.cli.documents import overview_document, release_document
from canary.cli.show_status import apps_table, releases_table, status_view, summary
from canary.cli.verb import Session, verb
from canary.errors import Denied, Unavailable
from canary.operating.reading import Overview

_WATCH_SECONDS = 1.0


@verb("""
canary status                                  all apps, a line for each
canary status transformer
canary status transformer --watch              live, until Ctrl-C
canary status transformer --release 00000017-3fa9c1d2 --json
""")
@click.argument("app", type=app_name, required=False)
@release_option
@click.option("--watch", is_flag=True, help="Redraw it live; without a terminal, a line for each change.")
def status(session: Session, *, app: str | None, release: str | None, watch: bool) -> None:
    """Show what is current, what is on trial, how it stands and what to do next.

    Without APP: all apps. --watch ends with Ctrl-C, or when the release that --release names has ended.
    """
    if app is None:
        if watch or release:
            raise click.UsageError("--watch and --release need an APP")
        _all(session)
    elif watch:
        _watch(session, app, release)
    else:
        _show(session, session.reader.overview(app, release))


@verb("""
canary releases transformer
canary releases transformer --limit 100 --json
""")
@app_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
def releases(session: Session, *, app: str, limit: int) -> None:
    """List an app's releases, newest first: how each ended, and why."""
    overview = session.reader.overview(app)
    found = session.reader.releases(app, limit)
    if session.as_json:
        click.echo(json.dumps({"app": app, "releases": [release_document(r, overview.at) for r in found]}, ensure_ascii=False))
    elif found:
        session.out.print(releases_table(found, overview.at))
    else:
        session.say(f"{app} has had no release yet: canary release {app} --arn ARN --tag TAG", {})


def _all(session: Session) -> None:
    overviews = [session.reader.overview(name) for name in session.reader.apps()]
    if session.as_json:
        click.echo(json.dumps({"apps": [overview_document(one) for one in overviews]}, ensure_ascii=False))
    elif overviews:
        session.out.print(apps_table(overviews))
    else:
        session.say("there are no apps yet: canary init APP --arn ARN", {})


def _show(session: Session, overview: Overview) -> None:
    if session.as_json:
        click.echo(json.dumps(overview_document(overview), ensure_ascii=False))
    else:
        session.out.print(status_view(overview))


def _watch(session: Session, app: str, release: str | None) -> None:
    looks = _looks(session, app, release)
    try:
        if session.out.is_terminal and not session.as_json:
            _redraw(session.out, looks)
        else:
            _tell_changes(looks, lambda overview: _change(session, overview))
    except KeyboardInterrupt:
        return


def _looks(session: Session, app: str, release: str | None) -> Iterator[Overview]:
    """Look again and again. The first look says what is wrong with the question; later ones may fail for a while."""
    seen = session.reader.overview(app, release)
    while True:
        yield seen
        if release is not None and seen.release is not None and seen.release.ended:
            return
        session.pause(_WATCH_SECONDS)
        try:
            seen = session.reader.overview(app, release)
        except Denied:
            raise
        except Unavailable as error:
            session.remark(f"{error}; looking again")


def _redraw(console: Console, looks: Iterator[Overview]) -> None:
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for overview in looks:
            live.update(status_view(overview), refresh=True)


def _tell_changes(looks: Iterator[Overview], tell: Callable[[Overview], None]) -> None:
    last = ""
    for overview in looks:
        if (words := summary(overview)) != last:
            tell(overview)
            last = words


def _change(session: Session, overview: Overview) -> None:
    session.say(summary(overview), overview_document(overview))
