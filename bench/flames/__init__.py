"""Where a request's CPU goes: a flame graph by botocore, and one by the lean transport."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from bench.aws.answers import App, answers
from bench.aws.endpoint import running
from bench.flames.drawing import drawn
from bench.flames.tree import grown
from bench.router.process import started
from bench.router.subjects import ours

_FOLDER: Final = Path(__file__).parents[2] / "docs" / "flames"
_FIRST: Final = 200
#: The graphs of two routers are drawn to one scale, so that their widths compare.
_SAMPLES_MS: Final = 6_000


def run(arguments: list[str]) -> int:
    """Sample requests to latest, and draw a graph for each of our routers into docs/flames."""
    parser = argparse.ArgumentParser(prog="python -m bench flames", description=__doc__)
    parser.add_argument("--dry", action="store_true", help="say what was found, and leave docs/flames as it is")
    options = parser.parse_args(arguments)
    found = {}
    with running(answers()) as aws:
        for subject in ours():
            with started(subject, aws) as router:
                router.requests(App.CANARY, _FIRST)
                each = router.requests(App.CANARY, _FIRST).each.cpu
                found[subject.name] = (each, grown(router.stacks(App.CANARY, round(_SAMPLES_MS / each))))
    widest = max(each for each, _ in found.values())
    for name, (each, tree) in found.items():
        print(f"{name}: {each:.2f} ms of CPU for a request to latest, {tree.count} samples")
        if options.dry:
            continue
        _FOLDER.mkdir(exist_ok=True)
        title, file = f"{name}: {each:.2f} ms of CPU for a request to latest", name.replace(" ", "-")
        (_FOLDER / f"{file}.svg").write_text(drawn(tree, title, each / widest))
        if each < widest:
            (_FOLDER / f"{file}-near.svg").write_text(drawn(tree, f"{title}, from near", 1))
    return 0
