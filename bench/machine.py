"""The machine that something was measured on: what matters of it, and nothing that names it."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> str:
    """Describe the machine, for example ``2 cores of Intel Xeon, Linux 6.1, CPython 3.11.9``."""
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    return f"{cores} {'core' if cores == 1 else 'cores'} of {_processor()}, {system}, CPython {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())
