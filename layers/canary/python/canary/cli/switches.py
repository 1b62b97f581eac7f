"""`retry`, and the emergency switch: `stop-all` and `start-all`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import click

from canary.cli.arguments import app_argument, reason_option, target_arn
from canary.cli.failure import NOT_POSSIBLE, WRONG_USAGE
from canary.cli.text import NO_REASON, ago, plain
from canary.cli.verb import Session, verb
from canary.domain.app import Quarantined
from canary.domain.asks import NotPossible
from canary.domain.release import timestamp
from canary.domain.target import InvalidTarget, Pointer, parse_pointer
from canary.errors import Unavailable
from canary.operating.operator import Contended


@verb("""
canary retry transformer                 the only one in quarantine, or a list of them
canary retry transformer ARN
canary retry transformer ARN --release   and release it again
""")
@app_argument
@click.argument("arn", type=target_arn, required=False)
@click.option("--release", "again", is_flag=True, help="Write it to latest again, as it was written the first time.")
def retry(session: Session, *, app: str, arn: str | None, again: bool) -> None:
    """Lift a stack's quarantine, so that it may be released again.

    A stack whose release failed is not tried again until somebody says so: with this.
    """
    quarantine = session.reader.item(app).quarantine
    if arn is None and len(quarantine) > 1:
        _list(session, app, quarantine)
        session.end(WRONG_USAGE)
    target = arn or next(iter(quarantine), None)
    if target is None:
        raise NotPossible(f"no stack of {app!r} is in quarantine")
    if target not in quarantine:
        raise NotPossible(f"{target} is not in quarantine: see `canary status {app}`")
    entry = quarantine[target]
    earlier = session.reader.release(app, entry.release)
    session.operator.retry(app, target)
    pointer = _pointer(earlier.value if earlier else target, target)
    document: dict[str, Any] = {"app": app, "target": target, "tag": entry.tag, "quarantined_by": entry.release}
    if not again:
        command = _command(app, pointer)
        session.say(f"{app}: {plain(entry.tag)} is out of quarantine. Next: {command}", {**document, "next": command})
        return
    name = session.operator.release(app, pointer.value)
    session.say(f"{app}: {plain(entry.tag)} is out of quarantine: release {name}", {**document, "release": name})
    session.wake(app)


@verb("""
canary stop-all --reason "corrupt data in the archive"
""")
@reason_option
def stop_all(session: Session, *, reason: str | None) -> None:
    """Close the gates of every app, at once: no request goes to any stack on trial.

    Stacks that are current go on serving. New releases open with their gate closed, until `canary start-all`.
    """
    _for_all(session, "stopped", lambda app: session.operator.stop(app, reason or NO_REASON))


@verb("""
canary start-all
""")
def start_all(session: Session) -> None:
    """Open the gates that stop-all has closed. What was paused or held stays so."""
    _for_all(session, "started", session.operator.start)


def _for_all(session: Session, done: str, switch: Callable[[str], None]) -> None:
    """Do it for every app; one that fails does not keep the others from it."""
    results: list[dict[str, str]] = []
    for app in session.reader.apps():
        try:
            switch(app)
        except (Unavailable, Contended) as error:
            results.append({"app": app, "result": "failed", "error": str(error)})
        else:
            results.append({"app": app, "result": done})
    failed = [result for result in results if result["result"] == "failed"]
    if session.as_json:
        click.echo(json.dumps({"apps": results}, ensure_ascii=False))
    else:
        for result in results:
            click.echo(f"{result['app']}: {result['result']}" + (f": {result['error']}" if "error" in result else ""))
        if not results:
            click.echo("there are no apps")
    if failed:
        session.remark(f"{len(failed)} of {len(results)} apps failed: type it again; see `canary doctor`")
        session.end(NOT_POSSIBLE)


def _list(session: Session, app: str, quarantine: Mapping[str, Quarantined]) -> None:
    entries = [
        {"target": arn, "tag": q.tag, "release": q.release, "reason": q.reason, "at": timestamp(q.at)}
        for arn, q in quarantine.items()
    ]
    if session.as_json:
        click.echo(json.dumps({"app": app, "quarantine": entries}, ensure_ascii=False))
        return
    session.remark(f"{len(quarantine)} stacks of {app} are in quarantine; say which:")
    for arn, entry in quarantine.items():
        click.echo(f"canary retry {app} {arn}")
        session.remark(f"    {plain(entry.tag)}, {ago(entry.at, session.now())}: {plain(entry.reason)}")


def _pointer(value: str, target: str) -> Pointer:
    """What was written to latest then."""
    try:
        return parse_pointer(value)
    except InvalidTarget:
        return parse_pointer(target)


def _command(app: str, pointer: Pointer) -> str:
    words = ["canary", "release", app, "--arn", pointer.target.arn]
    if pointer.value.strip() != pointer.target.arn:
        words += ["--tag", pointer.tag]
        words += ["--commit", pointer.commit] if pointer.commit else []
    return shlex.join(words)
