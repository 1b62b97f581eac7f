"""The program `canary`. Its verbs are loaded when they are used, so that `canary --help` answers at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final

import click

from canary import __version__

#: Each verb: the module that has it, and what it does in a line.
_VERBS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Release": {
        "init": ("tagging", "Set an app up: its current stack, and a plan if it wants its own."),
        "plan": ("plan", "Check, read and write what a release has to prove."),
        "release": ("tagging", "Write a new stack to latest: a release begins."),
        "status": ("status", "Show what is current, what is on trial, and how it stands."),
        "releases": ("status", "List an app's releases."),
        "explain": ("explain", "Tell why a release was decided as it was, with the numbers."),
        "audit": ("audit", "List the requests that went to a release, and how they ended."),
    },
    "Operate": {
        "pause": ("asking", "Stop a release from getting requests, until it is resumed."),
        "resume": ("asking", "Let a paused or held release go on."),
        "promote": ("asking", "Approve a stage at its gate, or do not wait for its minimum time; --force for the rest."),
        "abort": ("asking", "Stop a release and quarantine its stack."),
        "rollback": ("asking", "Take the last promotion back."),
        "retry": ("switches", "Lift a stack's quarantine."),
        "stop-all": ("switches", "The emergency switch: close the gates of every app."),
        "start-all": ("switches", "Open the gates that stop-all has closed."),
        "doctor": ("doctor", "Examine the installation and say what to do."),
    },
    "Try it out": {
        "simulate": ("simulate", "Try a plan out on simulated good and bad versions."),
        "backtest": ("backtest", "Replay an app's real releases under another plan."),
        "local": ("local", "Keep an embedded AWS with the router running."),
        "demo": ("demo.command", "Watch releases go through the router, on an embedded AWS."),
    },
}


class Verbs(click.Group):
    """A group that knows its commands by name, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the verbs, in the order in which people meet them."""
        return [name for section in _VERBS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load a verb."""
        for section in _VERBS.values():
            if cmd_name in section:
                module = importlib.import_module(f"canary.cli.{section[cmd_name][0]}")
                command: click.Command = getattr(module, cmd_name.replace("-", "_"))
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the verbs in sections, without loading them."""
        for title, section in _VERBS.items():
            with formatter.section(title):
                formatter.write_dl([(name, line) for name, (_, line) in section.items()])


@click.command(
    "canary",
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Exit codes: 0 done, or promoted; 1 not possible, or the release ended
otherwise; 2 wrong usage or settings; 3 not decided in time.

\b
Where the installation is: in the environment variables that
`canary local up` prints, and for what they leave out in the outputs of the
stack that --stack-name or CANARY_STACK names.
""",
)
@click.version_option(__version__, prog_name="canary")
def main() -> None:
    """Release new immutable stacks of serverless pipelines through a canary router.

    A new stack gets a few real requests, and becomes the current one once their workflows have succeeded.
    """
