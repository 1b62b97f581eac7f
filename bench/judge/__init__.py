"""The judge against what it must reach: simulated releases, decided by the code that decides on AWS."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.judge.cells import measure
from bench.judge.measures import FULL, QUICK, cells
from bench.judge.tables import markdown

_PAGE = Path(__file__).parents[2] / "docs" / "judgement.md"
_BEGIN, _END = "<!-- judge: begin -->\n", "<!-- judge: end -->"


def run(arguments: list[str]) -> int:
    """Measure everything, print the tables, and write them into the page."""
    parser = argparse.ArgumentParser(prog="python -m bench judge", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer releases: minutes instead of an hour")
    parser.add_argument("--only", metavar="MEASURE", help="only the measures whose name contains this; the page stays as it is")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processors to use (default: all)")
    parser.add_argument("--dry", action="store_true", help="print only, and leave the page as it is")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    wanted = [cell for cell in cells(effort) if not options.only or options.only in cell.measure]
    if not wanted:
        parser.error(f"there is no measure {options.only!r}")
    found = measure(wanted, options.jobs, lambda done, of: print(f"\r{done} of {of} pieces", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)
    text = markdown(found, effort)
    print(text)
    if not options.dry and not options.only:
        write(text)
    return 0


def write(text: str) -> None:
    """Put the tables between the page's markers."""
    page = _PAGE.read_text()
    before, _, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise SystemExit(f"{_PAGE} has lost its markers {_BEGIN.strip()} and {_END}")
    _PAGE.write_text(f"{before}{_BEGIN}{text}\n{end}{after}")
