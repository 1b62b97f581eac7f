"""`local`: the embedded AWS for one's own tries."""

from __future__ import annotations

import click

from canary.cli.verb import Session, verb
from canary.local import LocalStack, as_shell, exports
from canary.local import down as stop
from canary.local import status as running
from canary.local import up as start


@click.group()
def local() -> None:
    """Keep an embedded AWS with the deployed router running, for one's own tries. It needs no account and no network."""


@verb("""
canary local up
eval "$(canary local up)"                       and the AWS CLI, boto3 and canary talk to it
canary local up --json
""")
def up(session: Session) -> None:
    """Start it, or use the one that runs. Its data survives a restart.

    Prints the lines for a shell that make the AWS CLI, boto3 and `canary` talk to it.
    """
    _tell(session, start(session.remark))


@verb("""
canary local status
eval "$(canary local status)"
""")
def status(session: Session) -> None:
    """Tell how to reach the one that runs; exit code 1 when none does."""
    _tell(session, running())


@verb("""
canary local down
canary local down --forget                      and throw its data away
""")
@click.option("--forget", is_flag=True, help="Throw its data away.")
def down(session: Session, *, forget: bool) -> None:
    """Stop it. Its data is kept for the next `up`."""
    stopped = stop(session.remark, forget=forget)
    kept = "its data is gone" if forget else "its data is kept"
    session.say(f"stopped; {kept}" if stopped else f"it was not running; {kept}", {"stopped": stopped, "forgotten": forget})


def _tell(session: Session, stack: LocalStack) -> None:
    words = f"# The router: {stack.router_url}\n# Its key:    {stack.api_key}\n{as_shell(exports(stack))}"
    session.say(words, stack.as_json())


for _command in (up, status, down):
    local.add_command(_command)
