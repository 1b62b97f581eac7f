"""The judge against what it must reach: simulated releases, decided by the code that decides on AWS."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.judge.cells import measure
from bench.judge.measures import FULL, MEASURES, QUICK, cells
from bench.judge.tables import sections

_PAGE = Path(__file__).parents[2] / "docs" / "judgement.md"
_SECTION = re.compile(r"<!-- ([^>]+) -->\n(.*?)(?=<!-- |\Z)", flags=re.DOTALL)
_BEGIN, _END = "<!-- judge: begin -->\n", "<!-- judge: end -->"


def run(arguments: list[str]) -> int:
    """Measure everything, print the tables, and write them into the page."""
    parser = argparse.ArgumentParser(prog="python -m bench judge", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer releases: minutes instead of an hour")
    parser.add_argument("--only", metavar="MEASURE", help="only the measures whose name contains this")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processors to use (default: all)")
    parser.add_argument("--dry", action="store_true", help="print only, and leave the page as it is")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    wanted = [cell for cell in cells(effort) if not options.only or options.only in cell.measure]
    if not wanted:
        parser.error(f"there is no measure {options.only!r}")
    found = measure(wanted, options.jobs, lambda done, of: print(f"\r{done} of {of} pieces", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)
    tables = sections(found, effort)
    print("\n\n".join(tables.values()))
    if not options.dry:
        _PAGE.write_text(renewed(_PAGE.read_text(), tables))
    return 0


def renewed(page: str, tables: Mapping[str, str]) -> str:
    """The page with these tables between its markers; those that were not measured stay as they are."""
    before, _, rest = page.partition(_BEGIN)
    there, end, after = rest.partition(_END)
    if not end:
        raise SystemExit(f"docs/judgement.md has lost its markers {_BEGIN.strip()} and {_END}")
    known = dict(_SECTION.findall(there)) | {measure: f"{text}\n\n" for measure, text in tables.items()}
    ordered = "".join(f"<!-- {measure} -->\n{known[measure]}" for measure in MEASURES if measure in known)
    return f"{before}{_BEGIN}{ordered}{end}{after}"
