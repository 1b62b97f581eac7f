"""What might make a router of boto3 faster, and whether it does: each beside the same without it, in turns."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.aws.answers import REGION, answers
from bench.aws.endpoint import Endpoint, running
from bench.machine import machine
from bench.router.packages import installed
from bench.router.report import markdown, number
from bench.router.samples import Figure, figure, ratio
from bench.router.subjects import FEW_ROOTS, MANY_ROOTS
from bench.sections import renew

_PAGE: Final = Path(__file__).parents[2] / "docs" / "performance.md"
_ROUNDS: Final = 9
_PACKAGES: Final = ("boto3", "pynamodb", "aws-lambda-powertools[tracer]")

_CLIENTS: Final = "import boto3\nservices = 'ssm', 'dynamodb', 'lambda', 'stepfunctions'\n"
_ONE_BY_ONE: Final = _CLIENTS + "for service in services: boto3.client(service)"
_CALLS: Final = """
import boto3
from botocore.config import Config
client = boto3.client('ssm', config=Config({}))
call = lambda: client.get_parameters(Names=['/canary/app-idle/current'])
call()
began = now()
for _ in range(300): call()
"""
_VALIDATED: Final = _CALLS.format("")
_NOT_VALIDATED: Final = _CALLS.format("parameter_validation=False")


@dataclass(frozen=True, slots=True)
class Trial:
    """A piece of code without something, and with it. ``clock``: on the clock, since it is about waiting; else CPU."""

    name: str
    without: str
    with_: str
    option: str = ""
    clock: bool = False


TRIALS: Final = (
    Trial(
        "four boto3 clients made in threads, not one by one: ms on the clock",
        _ONE_BY_ONE,
        _CLIENTS + "from concurrent.futures import ThreadPoolExecutor\nlist(ThreadPoolExecutor(4).map(boto3.client, services))",
        clock=True,
    ),
    Trial("importing boto3, four clients, with -OO: ms CPU", _ONE_BY_ONE, _ONE_BY_ONE, option="-OO"),
    Trial(
        "the same, garbage collected only afterwards: ms CPU",
        _ONE_BY_ONE,
        f"import gc\ngc.disable()\n{_ONE_BY_ONE}\ngc.enable()",
    ),
    Trial("300 calls by botocore, parameters not validated: ms CPU", _VALIDATED, _NOT_VALIDATED),
    Trial(
        "a TLS context that trusts Amazon's roots, not everybody's: ms CPU",
        f"import ssl\nbegan = now()\nssl.create_default_context(cafile={str(MANY_ROOTS)!r})",
        f"import ssl\nbegan = now()\nssl.create_default_context(cafile={str(FEW_ROOTS)!r})",
    ),
    Trial("importing Powertools' Logger and Metrics: ms CPU, beside nothing", "", "import aws_lambda_powertools"),
    Trial(
        "importing Powertools' Tracer beside its Logger and Metrics: ms CPU",
        "import aws_lambda_powertools",
        "from aws_lambda_powertools import Tracer\nimport os\nos.environ['LAMBDA_TASK_ROOT'] = '/var/task'\nTracer(service='x')",
    ),
)


def run(arguments: list[str]) -> int:
    """Try everything, print the table, and write it into docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m bench tried", description=__doc__)
    parser.add_argument("--dry", action="store_true", help="print only, and leave docs/performance.md as it is")
    options = parser.parse_args(arguments)
    with running(answers()) as aws:
        lines = [_line(trial, *_tried(trial, aws)) for trial in TRIALS]
    heads = ("tried", "without", "with", "ratio", "spread")
    text = "\n".join([f"Medians of {_ROUNDS} rounds on {machine()}:", "", *markdown(heads, lines)])
    print(text)
    if not options.dry:
        renew(_PAGE, "tried", text)
    return 0


def _tried(trial: Trial, aws: Endpoint) -> tuple[list[float], list[float]]:
    """Run both in turns, each time in a new process; the first time, when bytecode is written, does not count."""
    without, with_ = [], []
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder:
        for _ in range(_ROUNDS + 1):
            without.append(_spent(trial, trial.without, (), aws, folder))
            with_.append(_spent(trial, trial.with_, (trial.option,) if trial.option else (), aws, folder))
    return without[1:], with_[1:]


def _spent(trial: Trial, code: str, options: Sequence[str], aws: Endpoint, folder: str) -> float:
    clock = "perf_counter" if trial.clock else "process_time"
    script = f"from time import {clock} as now\nbegan = now()\n{code}\nprint((now() - began) * 1000)"
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "PYTHONPATH": str(installed(_PACKAGES)[0]),
        "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_ENDPOINT_URL": aws.http,
    }
    done = subprocess.run(
        [sys.executable, *options, "-s", "-S", "-P", "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _line(trial: Trial, without: list[float], with_: list[float]) -> tuple[str, ...]:
    def middle(found: Figure) -> str:
        return number(found.middle)

    least = min(without)
    compared = ratio(with_, without) if least > 0.5 else None
    spread = f"{number(compared.low)}–{number(compared.high)}" if compared else ""
    return (trial.name, middle(figure(without)), middle(figure(with_)), number(compared.middle) if compared else "", spread)
