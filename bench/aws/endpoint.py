"""Starting the stand-in, and asking what it has counted."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.aws.answers import Answers
from bench.aws.authority import Authority, authority

_SERVER = Path(__file__).with_name("server.py")

#: What AWS takes, in seconds, by service. The target is a Lambda function.
AS_AWS: Mapping[str, float] = {"SSM": 0.008, "DynamoDB": 0.005, "Lambda": 0.040, "StepFunctions": 0.005}
AT_ONCE: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Count:
    """Calls of one operation, and the bytes that were sent with them, heads included."""

    calls: int
    sent: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The stand-in, running. ``daemon`` is where traces go, ``trusted`` what vouches for its certificate."""

    http: str
    https: str
    daemon: str
    trusted: Authority
    _process: subprocess.Popen[str]

    def counted(self) -> dict[str, Count]:
        """What was counted since the last time, by operation."""
        return {name: Count(*numbers) for name, numbers in self._asked({}).items()}

    def settled(self) -> dict[str, Count]:
        """The same of AWS calls alone, traces left out, those included that go on after an answer."""
        time.sleep(0.05)
        return {name: count for name, count in sorted(self.counted().items()) if not name.startswith("XRay")}

    def wait_like(self, latencies: Mapping[str, float]) -> None:
        """Change the latencies (seconds by service); begins counting anew."""
        self._asked({"latencies": dict(latencies)})

    def _asked(self, command: dict[str, Any]) -> dict[str, Any]:
        return _exchange(self._process, command)


@contextmanager
def running(answers: Answers, latencies: Mapping[str, float] = AT_ONCE) -> Iterator[Endpoint]:
    """Run the stand-in with these answers."""
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder:
        trusted = authority(Path(folder))
        with subprocess.Popen(
            [sys.executable, "-I", str(_SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        ) as process:
            try:
                ports = _exchange(process, {"answers": answers, "latencies": dict(latencies), "chain": str(trusted.chain)})
                http, https = f"http://127.0.0.1:{ports['http']}", f"https://127.0.0.1:{ports['https']}"
                yield Endpoint(http, https, f"127.0.0.1:{ports['daemon']}", trusted, process)
            finally:
                process.kill()


def _exchange(process: subprocess.Popen[str], words: dict[str, Any]) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the stand-in has no pipes")
    process.stdin.write(json.dumps(words) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the stand-in has ended: what it said stands above")
    answer: dict[str, Any] = json.loads(line)
    return answer
