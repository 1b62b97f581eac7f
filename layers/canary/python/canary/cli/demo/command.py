"""`demo`: releases pass the router while one watches, on an embedded AWS that is gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Final

import click

from canary import bootstrap
from canary.cli.demo.acts import play
from canary.cli.demo.ending import ending, opening
from canary.cli.demo.record import Check, checks, facts
from canary.cli.demo.show import Show, show_on
from canary.cli.failure import NOT_POSSIBLE, explained
from canary.local import embedded

_INTERRUPTED: Final = 130
#: What ends the demo before its time; the terminal that is closed, too.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command(
    epilog="""\b
Examples:
  canary demo
  canary demo --json | jq .requests
"""
)
@click.option("--json", "as_json", is_flag=True, help="Write the facts as JSON at the end; what there is to see goes to stderr.")
@click.option("--debug", is_flag=True, help="Show the whole error, with its traceback.")
def demo(*, as_json: bool, debug: bool) -> None:
    """Watch releases go through the router, on an embedded AWS.

    Deploys the router's own template.yaml and three versions of an example pipeline, sends requests, releases a version that is
    promoted and one that is thrown out. Needs no account and no container, takes about a minute, and leaves nothing behind.
    Exit code 0 when all that was promised happened, 1 when not.
    """
    terminal = (sys.stderr if as_json else sys.stdout).isatty()
    show = show_on(stderr=as_json, terminal=terminal, clock=bootstrap.now)
    try:
        with explained(as_json=as_json, debug=debug), interruptible(), tidy():
            document = perform(show)
    except KeyboardInterrupt:
        show.tell("\nStopped. The embedded AWS has ended, and its files are removed.")
        raise click.exceptions.Exit(_INTERRUPTED) from None
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    if not document["ok"]:
        raise click.exceptions.Exit(NOT_POSSIBLE)


def perform(show: Show) -> dict[str, Any]:
    """Show it from the beginning to the end; return the facts."""
    started = time.monotonic()
    opening(show)
    with ExitStack() as until_the_end:
        with show.busy():
            aws = until_the_end.enter_context(embedded(show.step))
        record, missed = play(aws, show, bootstrap.now)
    seconds = time.monotonic() - started
    results = [*checks(record), *([Check(ok=False, words=missed)] if missed else [])]
    ending(show, record, results, seconds)
    return facts(record, results, seconds)


@contextmanager
def tidy() -> Iterator[None]:
    """Have all temporary files in one folder, and remove it: SAM CLI leaves some of its own behind, killed or not.

    Nothing that is started here asks a proxy for what is on this machine.
    """
    before = {name: os.environ.get(name) for name in ("TMPDIR", "NO_PROXY", "no_proxy")}
    direct = ",".join(filter(None, ("127.0.0.1", "localhost", before["no_proxy"] or before["NO_PROXY"])))
    with tempfile.TemporaryDirectory(prefix="canary-demo-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        os.environ.update(TMPDIR=folder, NO_PROXY=direct, no_proxy=direct)
        try:
            yield
        finally:
            tempfile.tempdir = None
            for name, value in before.items():
                del os.environ[name]
                if value is not None:
                    os.environ[name] = value


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first signal end the block in order; later ones would only disturb the cleaning up."""
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
