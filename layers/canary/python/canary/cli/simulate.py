"""`simulate`: what a plan would do with good and bad versions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from canary.cli.arguments import app_name, milliseconds
from canary.cli.plan_source import PLAN, checked_plan, plan_name, plan_text
from canary.cli.verb import Session, verb
from canary.domain.asks import NotPossible
from canary.operating.likeness import Likeness, likeness

if TYPE_CHECKING:
    from canary.simulating.measured import Found
    from canary.simulating.study import Study
    from canary.simulating.world import World

_MOST_RELEASES: Final = 1_000_000
_INSTALL: Final = "pip install 'canary-router[simulation]'"


def rate(value: str) -> float:
    """Read a failure rate: ``0.5%`` or ``0.005``."""
    text = value.strip()
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no rate, such as 0.5% or 0.005") from error
    if not 0 <= number < 1:
        raise click.BadParameter(f"{value!r} must lie between 0 and 100 %")
    return number


@verb("""
canary simulate careful                                   at 6 requests an hour, 40 minutes each
canary simulate careful --like transformer                with the traffic and the history of an app
canary simulate plan.json --requests-per-second 100 --duration 20s --plot out.png
canary simulate two-requests --compare --releases 500     beside CodeDeploy, Argo Rollouts, Flagger and Kayenta
""")
@click.argument("text", metavar=PLAN, type=plan_text)
@click.option(
    "--requests-per-hour", type=click.FloatRange(min=0, min_open=True), metavar="N", help="How much traffic. Default: 6."
)
@click.option("--requests-per-second", type=click.FloatRange(min=0, min_open=True), metavar="N", help="The same.")
@click.option("--like", type=app_name, metavar="APP", help="Traffic, durations and failures as in this app's real history.")
@click.option("--duration", type=milliseconds, metavar="TIME", help="Half of the workflows take longer. Default: 40m.")
@click.option(
    "--spread", type=click.FloatRange(min=1, min_open=True), metavar="N", help="One in twenty takes N times as long. Default: 2."
)
@click.option("--heavy-tailed", is_flag=True, help="The longest take much longer still (a power law).")
@click.option("--normal", type=rate, metavar="RATE", help="How often current fails. Default: 0.5%.")
@click.option(
    "--failing-takes",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    metavar="N",
    help="A failing workflow takes N times as long.",
)
@click.option(
    "--history",
    type=click.IntRange(min=0, max=10_000),
    default=500,
    show_default=True,
    metavar="N",
    help="Executions of current to compare with.",
)
@click.option(
    "--outage", type=milliseconds, metavar="TIME", help="For so long, an hour into the release, 80 % fail on both stacks."
)
@click.option(
    "--releases",
    type=click.IntRange(min=1, max=_MOST_RELEASES),
    default=2000,
    show_default=True,
    metavar="N",
    help="So many of each version.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, metavar="N", help="The same seed, the same result."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processors to use. Default: all.")
@click.option("--compare", is_flag=True, help="Put what others do beside it, with what is supposed of them.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE", help="Draw it, for example out.png."
)
def simulate(session: Session, *, text: str, compare: bool, plot: Path | None, jobs: int | None, **options: Any) -> None:
    """Try a plan out: simulated releases of good and bad versions, decided by the code that decides real ones.

    PLAN is a file, a preset's name, JSON, or - for standard input. AWS is asked only for --like.

    Shows for each version how often it is thrown out and how often promoted, how many executions it does meanwhile, and how long
    a promotion takes.
    """
    plan = checked_plan(text)
    with _installed():
        from canary.cli.show_simulation import document, view  # noqa: PLC0415 - numpy takes a while, and is an extra
        from canary.simulating.judged import Judged  # noqa: PLC0415 - see above
        from canary.simulating.rivals import RIVALS  # noqa: PLC0415 - see above
        from canary.simulating.study import Study  # noqa: PLC0415 - see above
    name = plan_name(text)
    policies = [Judged(plan, name), *(RIVALS if compare else ())]
    study = Study(world=_world(session, **options), policies=policies, releases=options["releases"], seed=options["seed"])
    found = _run(session, study, jobs or len(os.sched_getaffinity(0)))
    if plot is not None:
        with _installed():
            from canary.simulating.picture import draw  # noqa: PLC0415 - see above
        draw(found, f"{name}: {study.world}", plot)
        session.remark(f"drawn: {plot}")
    if session.as_json:
        click.echo(json.dumps(document(study, found), ensure_ascii=False))
    else:
        session.out.print(view(study, found))


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"numpy", "matplotlib"}:
            raise
        raise NotPossible(f"to simulate takes numpy and matplotlib, and {error.name} is not installed: {_INSTALL}") from error


def _world(session: Session, **options: Any) -> World:
    from canary.simulating.durations import HeavyTailed, Lognormal, Resampled  # noqa: PLC0415 - see above
    from canary.simulating.world import Outage, World  # noqa: PLC0415 - see above

    hour, second, app = options["requests_per_hour"], options["requests_per_second"], options["like"]
    if hour is not None and second is not None:
        raise click.UsageError("--requests-per-hour and --requests-per-second exclude each other")
    shape = HeavyTailed if options["heavy_tailed"] else Lognormal
    given = any(options[name] is not None for name in ("duration", "spread")) or options["heavy_tailed"]
    world = World(
        hourly=hour or (second or 0) * 3600 or 6.0,
        durations=shape(options["duration"] or 40 * 60_000, options["spread"] or 2.0),
        normal=0.005 if options["normal"] is None else options["normal"],
        failing_takes=options["failing_takes"],
        history=options["history"],
        outages=(Outage(3_600_000, options["outage"], 0.8),) if options["outage"] else (),
    )
    if app is None:
        return world
    like = _like(session, app)
    return replace(
        world,
        hourly=world.hourly if hour or second else like.hourly,
        durations=world.durations if given else Resampled(like.durations),
        normal=like.fails if options["normal"] is None else world.normal,
    )


def _like(session: Session, app: str) -> Likeness:
    overview = session.reader.overview(app)
    if overview.trouble:
        raise NotPossible(f"the parameters of {app!r} cannot be read: {overview.trouble}")
    return likeness(overview, session.executions)


def _run(session: Session, study: Study, jobs: int) -> Found:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - see above

    from canary.simulating.scene import PlanRefused  # noqa: PLC0415 - see above

    columns = (TextColumn("{task.completed} of {task.total} releases of each version"), BarColumn(), TimeRemainingColumn())
    quiet = session.as_json or not session.err.is_terminal
    try:
        with Progress(*columns, console=session.err, transient=True, disable=quiet) as progress:
            task = progress.add_task("", total=study.releases)
            return study.run(jobs, lambda done: progress.update(task, completed=done))
    except PlanRefused as error:
        raise NotPossible(f"such a release would be refused: {error}") from error
