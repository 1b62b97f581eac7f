"""What all verbs share: their options, their way to AWS, and how they end."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console

from canary.cli.failure import explained
from canary.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from canary.config import OperatorSettings
    from canary.operating.doctor import Doctor
    from canary.operating.operator import Operator
    from canary.operating.reading import Reader
    from canary.ports import Executions

#: The name that samconfig.toml gives the router's stack in production.
_STACK = "canary"


@dataclass(frozen=True)
class Session:
    """What a verb works with. AWS is asked for nothing before it is needed."""

    as_json: bool
    stack_name: str
    region: str | None

    @cached_property
    def operator(self) -> Operator:
        """The verbs that write, in the caller's name."""
        from canary import bootstrap  # noqa: PLC0415 - boto3 takes a while, and `--help` does not need it

        return bootstrap.operator(self._settings)

    @cached_property
    def reader(self) -> Reader:
        """What reads."""
        from canary import bootstrap  # noqa: PLC0415 - see above

        return bootstrap.reader(self._settings)

    @cached_property
    def doctor(self) -> Doctor:
        """What examines."""
        from canary import bootstrap  # noqa: PLC0415 - see above

        return bootstrap.doctor(self._settings)

    @cached_property
    def executions(self) -> Executions:
        """The workflows of an app, for reading."""
        from canary import bootstrap  # noqa: PLC0415 - see above

        return bootstrap.executions(self._settings)

    @cached_property
    def out(self) -> Console:
        """Where results go. What stands in the tables is foreign, so it is never read as markup."""
        return Console(markup=False, highlight=False, emoji=False)

    @cached_property
    def err(self) -> Console:
        """Where everything else goes."""
        return Console(stderr=True, markup=False, highlight=False, emoji=False)

    @property
    def asks(self) -> bool:
        """Whether there is somebody at a terminal to ask."""
        return sys.stdin.isatty() and not self.as_json

    def now(self) -> int:
        """The time in milliseconds."""
        return time.time_ns() // 1_000_000

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def say(self, text: str, document: Mapping[str, Any]) -> None:
        """Give the verb's result: a text to people, the document to programs."""
        if self.as_json:
            click.echo(json.dumps(document, ensure_ascii=False))
        else:
            click.echo(text)

    def remark(self, text: str) -> None:
        """Tell something beside the result."""
        click.echo(text, err=True)

    def end(self, exit_code: int) -> NoReturn:
        """End the program."""
        raise click.exceptions.Exit(exit_code)

    def wake(self, app: str) -> bool:
        """Wake the flipper; where that fails, its schedule does it within a minute."""
        try:
            result = self.operator.wake(app)
        except Unavailable as error:
            self.remark(f"the flipper could not be woken ({error}): its schedule wakes it within a minute")
            return False
        if result == "failed":
            self.remark("the flipper's pass failed: `canary doctor` and its log say more")
        return result != "failed"

    @cached_property
    def _settings(self) -> OperatorSettings:
        import boto3  # noqa: PLC0415 - see above

        from canary import bootstrap  # noqa: PLC0415 - see above

        region = self.region or os.environ.get("AWS_REGION") or boto3.Session().region_name
        if not region:
            raise Misconfigured("no AWS region: give --region, or set AWS_REGION or the region of your AWS profile")
        boto3.setup_default_session(region_name=region)
        return bootstrap.installation({**os.environ, "AWS_REGION": region}, self.stack_name)


def verb(examples: str, *, name: str | None = None) -> Callable[[Callable[..., None]], click.Command]:
    """Make a verb of a function: it gets a `Session` first, then its own options."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(*, as_json: bool, debug: bool, stack_name: str, region: str | None, **options: Any) -> None:
            with explained(as_json=as_json, debug=debug):
                function(Session(as_json=as_json, stack_name=stack_name, region=region), **options)

        command = click.command(name, epilog=f"\b\nExamples:\n{_indented(examples)}")(run)
        command.params += _common()
        return command

    return decorate


def _common() -> list[click.Parameter]:
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Write JSON, for programs."),
        click.Option(
            ["--stack-name"],
            envvar="CANARY_STACK",
            default=_STACK,
            show_default=True,
            metavar="NAME",
            help="The router's own stack.",
        ),
        click.Option(["--region"], metavar="REGION", help="The AWS region. Default: the environment's or the profile's."),
        click.Option(["--debug"], is_flag=True, help="Show the whole error, with its traceback."),
    ]


def _indented(examples: str) -> str:
    return "\n".join(f"  {line.rstrip()}" for line in examples.strip().splitlines())
