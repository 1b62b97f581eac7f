"""`init` and `release`: what release tagging does."""

from __future__ import annotations

import json
from typing import Final

import click

from canary.cli.arguments import app_argument, milliseconds, pointer_options
from canary.cli.documents import release_document
from canary.cli.failure import NOT_DECIDED, NOT_POSSIBLE
from canary.cli.plan_source import PLAN, checked_plan, plan_text
from canary.cli.show_status import next_step
from canary.cli.show_trial import preflight_words, watch_words
from canary.cli.text import plain
from canary.cli.verb import Session, verb
from canary.domain.states import ON_TRIAL, ReleaseState
from canary.domain.target import parse_pointer
from canary.domain.words import duration
from canary.errors import Denied
from canary.operating.waiting import Progress, follow

_TIMEOUT: Final = "24h"


@verb("""
canary init transformer --tag v1.0.0 \\
    --arn arn:aws:lambda:eu-west-1:123456789012:function:transformer-v1-0-0:live
canary init reports --plan careful \\
    --arn arn:aws:states:eu-west-1:123456789012:stateMachine:reports-v3
""")
@app_argument
@pointer_options
@click.option(
    "--plan", metavar=PLAN, type=plan_text, help="The app's plan: a file, a preset's name, JSON, or - for standard input."
)
def init(session: Session, *, app: str, arn: str, tag: str | None, commit: str | None, by: str | None, plan: str | None) -> None:
    """Set an app up: the stack that serves everybody now becomes `current`.

    An app exists once its parameter `current` is set, so writing that by hand does just as well.
    """
    value = _value(session, arn, tag, commit, by)
    if plan is not None:
        checked_plan(plan)
    session.operator.init(app, value, plan)
    woken = session.wake(app)
    shown = parse_pointer(value).tag
    session.say(
        f"{app}: {shown} is current. Next: canary release {app} --arn ARN --tag TAG",
        {"app": app, "current": {"arn": arn, "tag": shown}, "woken": woken},
    )


@verb("""
canary release transformer --tag v1.5.0 \\
    --arn arn:aws:lambda:eu-west-1:123456789012:function:transformer-v1-5-0:live
canary release transformer --arn ARN --tag v1.5.0 --commit 8c1f2ab --wait --timeout 2h
""")
@app_argument
@pointer_options
@click.option("--wait", is_flag=True, help="Wait for the end of the release, its watch included, and tell it by the exit code.")
@click.option(
    "--timeout",
    "timeout_ms",
    type=milliseconds,
    metavar="DURATION",
    default=_TIMEOUT,
    show_default=True,
    help="How long to wait; the release itself goes on.",
)
def release(
    session: Session,
    *,
    app: str,
    arn: str,
    tag: str | None,
    commit: str | None,
    by: str | None,
    wait: bool,
    timeout_ms: int,
) -> None:
    """Write a new stack to `latest`: a release begins. A running one is superseded, unless its plan says otherwise.

    Prints the release's id at once; with --json one line with it, and with --wait a last line with the end.

    Exit codes with --wait: 0 promoted; 1 aborted, rejected, superseded or rolled back; 3 not decided in time.
    """
    value = _value(session, arn, tag, commit, by)
    name = session.operator.release(app, value)
    shown = parse_pointer(value).tag
    session.say(f"{app}: release {name} of {plain(shown)}", {"app": app, "release": name, "arn": arn, "tag": shown})
    session.wake(app)
    if wait:
        session.end(wait_for(session, app, name, timeout_ms))


def wait_for(session: Session, app: str, name: str, timeout_ms: int) -> int:
    """Wait for the end of a release, showing its progress; return the exit code."""
    looks = follow(session.reader, app, name, clock=session.now, pause=session.pause, timeout_ms=timeout_ms)
    last, told = Progress(name), None
    try:
        with session.err.status(f"{app}: waiting for the flipper") as spinner:
            for last in looks:
                words = progress_words(app, last, session.now())
                spinner.update(words)
                if (gist := _gist(last)) != told and not session.err.is_terminal:
                    session.remark(words)
                told = gist
    except Denied as error:
        session.remark(f"{app}: {error}")
    except KeyboardInterrupt:
        session.remark(f"{app}: release {last.name} goes on; see `canary status {app}`")
    return _tell_end(session, app, name, last)


def progress_words(app: str, seen: Progress, now: int) -> str:
    """Say in a line how a release stands."""
    if seen.trouble:
        return f"{app}: {seen.trouble}; looking again"
    release = seen.release
    if release is None:
        return f"{app}: {seen.name} waits for the flipper to open it"
    name = f"{app}: {release.release} ({plain(release.tag)}) {release.state}"
    if seen.first is not None:
        return f"{name}: waits behind release {seen.first.release} ({plain(seen.first.tag)}, {seen.first.state})"
    if release.state is ReleaseState.WATCHING and release.plan.watch:
        return f"{name}: {watch_words(release, now)}"
    if release.state is ReleaseState.OPENING and release.accepted and release.plan.preflight:
        return f"{name}: preflight, {preflight_words(release)}"
    if release.state not in ON_TRIAL or seen.weighed is None:
        return f"{name}: {plain(release.reason)}"
    judged = seen.weighed.verdict.reason if release.state is ReleaseState.RUNNING else plain(release.reason)
    return f"{name}: {judged} (deadline in {duration(release.opened_at + release.plan.deadline_ms - now)})"


def _gist(seen: Progress) -> tuple[object, ...]:
    """What makes a new line in a job's log: not that time has passed."""
    release = seen.release
    if release is None:
        return (seen.name, seen.overtaken, seen.trouble)
    first = (seen.first.release, seen.first.state) if seen.first else None
    judgement = seen.weighed.verdict.judgement if seen.weighed else None
    facts = (
        release.state,
        release.reason,
        release.stage,
        release.claimed,
        release.tally,
        release.probes,
        release.watched.started,
    )
    return (release.release, seen.trouble, first, judgement, *facts)


def _tell_end(session: Session, app: str, asked: str, last: Progress) -> int:
    release = last.release
    code = 0 if last.promoted else (NOT_POSSIBLE if last.over else NOT_DECIDED)
    if release is None:
        words = "a newer write to latest came before it was opened" if last.overtaken else "the flipper has not opened it yet"
        state = "SUPERSEDED" if last.overtaken else None
        text = f"{app}: {last.name}: {words}. Next: canary releases {app}"
        document = {"app": app, "release": last.name, "state": state, "reason": words}
    else:
        step = next_step(release, session.reader.item(app), session.now())
        text = f"{app}: {release.release} ({plain(release.tag)}) is {release.state}: {plain(release.reason)}"
        text += f". Next: {step}" if step else ""
        document = release_document(release, session.now(), last.weighed)
    session.say(text if code != NOT_DECIDED else f"not decided in time: {text}", {**document, "asked": asked, "exit_code": code})
    return code


def _value(session: Session, arn: str, tag: str | None, commit: str | None, by: str | None) -> str:
    """The parameter's value: a bare ARN, or JSON where there is more to say."""
    if not (tag or commit or by):
        return arn
    words = {"arn": arn, "tag": tag, "commit": commit, "by": by or session.operator.who}
    return json.dumps({name: word for name, word in words.items() if word}, ensure_ascii=False)
