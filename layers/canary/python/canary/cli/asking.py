"""What operators ask of a release. The stopping verbs close the gate themselves; the flipper does the rest."""

from __future__ import annotations

from typing import Final

import click

from canary.cli.arguments import app_argument, reason_option, release_option, yes_option
from canary.cli.documents import release_document
from canary.cli.failure import NOT_DECIDED, NOT_POSSIBLE
from canary.cli.text import NO_REASON, ago, plain
from canary.cli.verb import Session, verb
from canary.domain.asks import RETURN_MS, asked
from canary.domain.release import Ask, Release, Verb
from canary.domain.states import ON_TRIAL, ReleaseState
from canary.operating.outcome import Outcome, Result

#: So long a verb waits for what comes of it.
_WAIT_MS: Final = 10_000
_EXIT_CODES: Final = {Result.DONE: 0, Result.REFUSED: NOT_POSSIBLE, Result.PENDING: NOT_DECIDED}


@verb("""
canary pause transformer --reason "an incident upstream"
""")
@app_argument
@release_option
@reason_option
def pause(session: Session, *, app: str, release: str | None, reason: str | None) -> None:
    """Stop a release from getting requests, at once, until it is resumed.

    Requests that it has already got are followed to their end. Its deadline goes on.
    """
    _ask(session, Verb.PAUSE, app, release, reason)


@verb("""
canary resume transformer --reason "the incident is over"
""")
@app_argument
@release_option
@reason_option
def resume(session: Session, *, app: str, release: str | None, reason: str | None) -> None:
    """Let a paused or held release go on. One that is held for a person's decision needs `canary promote` instead.

    Requests whose outcome stayed unknown (LOST) are replaced by as many new ones: unknown never becomes success.
    """
    _ask(session, Verb.RESUME, app, release, reason)


@verb("""
canary promote transformer --reason "the fix is urgent"
canary promote transformer --force --reason "the fix is urgent, and an hour has shown enough"
canary promote transformer --yes --json
""")
@app_argument
@release_option
@reason_option
@click.option("--force", is_flag=True, help="Make it current now, whatever is still to be proved; needs a reason.")
@yes_option
def promote(session: Session, *, app: str, release: str | None, reason: str | None, force: bool, yes: bool) -> None:
    """Go on from a stage now: do not wait for its minimum time, and answer a manual gate with yes.

    Proof is needed all the same: with requests missing, running or failed it is refused (exit code 1).

    With --force the release becomes current without the rest of its proof. It is refused where nothing has succeeded, or where
    the evidence says that latest is bad.
    """
    question = f"Force {{}} of {app} past all that it has to prove?" if force else f"Promote {{}} of {app} now?"
    _ask(session, Verb.PROMOTE, app, release, reason, question, yes=yes, force=force)


@verb("""
canary abort transformer --reason "wrong totals in the reports"
canary abort transformer --yes --json
""")
@app_argument
@release_option
@reason_option
@yes_option
def abort(session: Session, *, app: str, release: str | None, reason: str | None, yes: bool) -> None:
    """Stop a release for good: no request goes to it any more, at once, and its stack is quarantined."""
    _ask(session, Verb.ABORT, app, release, reason, f"Abort {{}} of {app}, and quarantine its stack?", yes=yes)


@verb("""
canary rollback transformer --reason "v1.5.0 loses orders"
canary rollback transformer --reason "it was not v1.5.0" --yes      takes the rollback back
canary rollback transformer --yes --json
""")
@app_argument
@release_option
@reason_option
@yes_option
def rollback(session: Session, *, app: str, release: str | None, reason: str | None, yes: bool) -> None:
    """Take the last promotion back: what was current before it serves again, and its stack is quarantined.

    Where the last promotion was taken back already, that is taken back: its stack is current again at once. After 72 hours it is
    released anew instead, with a trial of its own.

    A release that is running is aborted first.
    """
    meant = session.operator.addressed(app, Verb.ROLLBACK, release)
    if meant.state is ReleaseState.ROLLED_BACK and session.now() >= meant.since + RETURN_MS:
        _release_anew(session, meant, yes=yes)
        return
    running = session.operator.running(app)
    if running is not None and running.state in ON_TRIAL:
        session.remark(f"release {running.release} ({plain(running.tag)}) is {running.state}: it is aborted first")
    question = f"Take {{}} of {app} back?"
    if meant.state is ReleaseState.ROLLED_BACK:
        question = f"{{}} of {app} was taken back {ago(meant.since, session.now())}. Make it current again?"
    _ask(session, Verb.ROLLBACK, app, release, reason, question, yes=yes)


def _release_anew(session: Session, meant: Release, *, yes: bool) -> None:
    """Write a stack to latest that was current too long ago."""
    name = f"{meant.release} ({plain(meant.tag)})"
    session.remark(f"{name} was taken back {ago(meant.since, session.now())}, so it has to prove itself anew")
    if not yes:
        _confirm(session, f"Release {plain(meant.tag)} of {meant.app} anew?")
    new = session.operator.release_anew(meant)
    session.say(
        f"{meant.app}: release {new} of {plain(meant.tag)}. Next: canary status {meant.app}",
        {
            "verb": Verb.ROLLBACK.value,
            "result": "RELEASED",
            "app": meant.app,
            "release": new,
            "tag": meant.tag,
            "again": meant.release,
        },
    )
    session.wake(meant.app)


def _ask(
    session: Session,
    verb: Verb,
    app: str,
    name: str | None,
    reason: str | None,
    question: str = "",
    *,
    yes: bool = False,
    force: bool = False,
) -> None:
    operator = session.operator
    meant = operator.addressed(app, verb, name)
    asked(meant, Ask(verb, operator.who, "", session.now()))  # before anybody is asked a question: is it possible at all?
    if question and not yes:
        _confirm(session, question.format(f"{meant.release} ({plain(meant.tag)}, {meant.state})"))
        reason = reason or click.prompt("Why?", default=None if force else NO_REASON, err=True)
    if force and not reason:
        raise click.UsageError("--force goes past the proof, so it needs a --reason; it goes on record with your name")
    before = operator.ask(app, verb, reason or NO_REASON, meant.release, force=force, meant=meant)
    session.wake(app)
    came = operator.carried_out(before, pause=session.pause, timeout_ms=_WAIT_MS)
    session.say(
        _words(verb, came, before), {"verb": verb.value, "result": came.result.value, "why": came.why, **_about(session, came)}
    )
    session.end(_EXIT_CODES[came.result])


def _confirm(session: Session, question: str) -> None:
    """Ask; who says no ends the program. Raises `UsageError` where nobody can answer."""
    if not session.asks:
        raise click.UsageError("there is no terminal to ask at: say --yes")
    click.confirm(question, abort=True, err=True)


def _words(verb: Verb, came: Outcome, before: Release) -> str:
    release = came.release
    name = f"{release.app}: release {release.release} ({plain(release.tag)})"
    match came.result:
        case Result.DONE:
            return f"{name} is {release.state}: {plain(came.why)}"
        case Result.REFUSED:
            return f"{name}: {verb} refused: {plain(came.why)}"
        case Result.PENDING:
            gate = f"its gate is {before.gate}; " if verb in {Verb.PAUSE, Verb.ABORT} else ""
            return f"{name}: {verb} is on record; {gate}{plain(came.why)}. Next: canary status {release.app}"


def _about(session: Session, came: Outcome) -> dict[str, object]:
    document = release_document(came.release, session.now())
    return {name: document[name] for name in ("app", "release", "tag", "state", "gate", "reason") if name in document}
