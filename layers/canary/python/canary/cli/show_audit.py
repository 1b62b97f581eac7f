"""How audit rows look: a table for people, JSON and CSV for programs. All of them are written as the rows come."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from canary.cli.documents import ROW_COLUMNS, row_document
from canary.cli.text import clock, plain
from canary.domain.audit import Row, Status
from canary.domain.evidence import ALONE
from canary.domain.words import duration, percent

#: So many rows of a table are laid out together.
_PAGE: Final = 200
_STYLES: Final = {
    Status.CLAIMED: "cyan",
    Status.RUNNING: "cyan",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.TIMED_OUT: "red",
    Status.ABORTED: "red",
    Status.LOST: "yellow",
}
#: What a spreadsheet would take for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_json(rows: Iterable[Row]) -> None:
    """Write a JSON list, a row on each line."""
    separator = "["
    for row in rows:
        click.echo(f"{separator}{json.dumps(row_document(row), ensure_ascii=False)}", nl=False)
        separator = ",\n "
    click.echo("[]" if separator == "[" else "]")


def write_csv(rows: Iterable[Row]) -> None:
    """Write CSV with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(ROW_COLUMNS)
    for row in rows:
        document = row_document(row)
        writer.writerow([cell(document.get(column)) for column in ROW_COLUMNS])


def write_table(console: Console, rows: Iterable[Row]) -> int:
    """Write tables of a page each; return how many rows there were."""
    count = 0
    for page in _pages(rows):
        console.print(audit_table(page))
        count += len(page)
    return count


def audit_table(rows: Iterable[Row]) -> Table:
    """Show rows, two lines for each: what it was, and how it ended. Control samples of current are told apart from latest's."""
    rows = list(rows)
    sent = [_sent(row) for row in rows]
    told = len(set(sent)) > 1  # where all went the same way, the tag says enough
    table = Table(box=None, padding=(0, 1), header_style="dim", show_edge=False)
    for column, width in (
        ("claimed (UTC)", 19),
        ("tag", None),
        *[("sent to", None)] * told,
        ("status", 9),
        ("took", 8),
        ("tenant", None),
    ):
        table.add_column(column, min_width=width, overflow="fold")
    table.add_column("request", overflow="fold", ratio=1)
    for row, way in zip(rows, sent, strict=True):
        request = Text(row.request_id)
        if row.error:
            request.append(f"\n{plain(row.error)}", style=_STYLES[row.status])
        took = duration(row.duration_ms) if row.duration_ms is not None else ""
        status = Text(row.status.value, style=_STYLES[row.status])
        table.add_row(clock(row.claimed_at)[:19], plain(row.tag), *[way] * told, status, took, plain(row.tenant), request)
    return table


def cell(value: Any) -> Any:
    """A value that no spreadsheet runs: tenants and errors are foreign texts."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _sent(row: Row) -> str:
    """Where a request went, and at which share of latest: ``latest, 25 %``."""
    return row.arm.value if row.share is None else f"{row.arm}, {percent(row.share / ALONE)}"


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    for first in iterator:
        yield list(chain([first], islice(iterator, _PAGE - 1)))
