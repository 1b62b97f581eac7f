"""`backtest`: what a plan would have decided about an app's real releases."""

from __future__ import annotations

import json

import click

from canary.cli.arguments import app_name
from canary.cli.plan_source import PLAN, checked_plan, plan_name, plan_text
from canary.cli.show_backtest import backtest_document, backtest_view
from canary.cli.verb import Session, verb
from canary.operating.backtesting import backtest as replayed
from canary.operating.reading import MOST_RELEASES


@verb("""
canary backtest careful --app transformer
canary backtest plan.json --app transformer --releases 10
canary backtest '{"preset": "careful", "max_failure_rate": "5%"}' --app transformer
canary backtest careful --app transformer --json | jq '.releases[] | select(.agrees == false)'
""")
@click.argument("text", metavar=PLAN, type=plan_text)
@click.option("--app", "app", type=app_name, required=True, metavar="APP", help="The app whose releases are replayed.")
@click.option(
    "--releases",
    "most",
    type=click.IntRange(1, MOST_RELEASES),
    default=50,
    show_default=True,
    metavar="N",
    help="The newest so many that have ended.",
)
def backtest(session: Session, *, text: str, app: str, most: int) -> None:
    """Replay an app's past releases under a plan: say what it would have decided, and after how many requests.

    PLAN is a file, a preset's name, JSON, or - for standard input. Nothing is written.

    The outcomes on record come in the order in which they really came, and the code that decides real releases decides. No
    outcome is made up: where the record ends too soon, the release is UNDECIDED, and what it still needed is said.
    """
    plan = checked_plan(text)
    found = replayed(session.reader, session.executions, app, plan, most=most, now=session.now())
    if session.as_json:
        click.echo(json.dumps(backtest_document(found), ensure_ascii=False))
    else:
        session.out.print(backtest_view(found, plan_name(text)))
