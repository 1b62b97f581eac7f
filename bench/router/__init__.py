"""The router's own cost, beside what others would have written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median

from bench.progress import say
from bench.router.measuring import FULL, QUICK, measure
from bench.router.report import page, show
from bench.router.samples import Samples
from bench.router.subjects import ours
from bench.router.targets import rows
from bench.sections import renew

_FOLDER = Path(__file__).parents[1]
_PAGE = _FOLDER / "results.md"
#: The medians, for whoever reckons on with them.
MEDIANS = _FOLDER / "results.json"


def run(arguments: list[str]) -> int:
    """Measure everything, print the table, and write it into the page. 1 when a target is missed by the router as deployed."""
    parser = argparse.ArgumentParser(prog="python -m bench router", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: two minutes instead of ten")
    parser.add_argument("--dry", action="store_true", help="print only, and leave bench/results.md as it is")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    samples = measure(effort, say)
    say("")
    found = list(rows(samples, ours()))
    show(found)
    if not options.dry:
        renew(_PAGE, "router", page(found, samples, ours(), effort))
        MEDIANS.write_text(json.dumps(medians(samples), indent=2) + "\n")
    return int(any(not row.met for row in found if row.subject == ours()[0].name))


def medians(samples: Samples) -> dict[str, dict[str, float]]:
    """Medians by router and measure."""
    found: dict[str, dict[str, float]] = {}
    for (measured, name), values in samples.items():
        found.setdefault(name, {})[measured.name] = round(median(values), 4)
    return found
