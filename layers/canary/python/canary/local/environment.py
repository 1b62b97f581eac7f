"""An embedded AWS with the router on it: kept (`up`, `down`), or for the length of a block (`embedded`)."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from canary.local import deploy, server
from canary.local.build import Report, build, locked
from canary.local.checkout import Checkout
from canary.local.errors import LocalError
from canary.local.stack import LocalStack


@dataclass(frozen=True)
class Embedded:
    """A running embedded AWS."""

    checkout: Checkout
    server: server.Server
    stack: LocalStack

    @functools.cached_property
    def example(self) -> deploy.Example:
        """The example pipeline; packaged when it is first used."""
        return deploy.Example.package(self.checkout, self.stack.endpoint_url)


@contextlib.contextmanager
def embedded(report: Report, *, wait_scale: float = 1.0) -> Iterator[Embedded]:
    """Run an embedded AWS for the length of the block; nothing of it is left afterwards, nor if this process dies."""
    checkout = Checkout.find()
    built = build(checkout, checkout.state / "build", report)
    with tempfile.TemporaryDirectory(prefix="canary-", ignore_cleanup_errors=True) as folder:
        report("Starting the embedded AWS")
        running = server.start(Path(folder), layers=checkout.layers, wait_scale=wait_scale)
        try:
            yield Embedded(checkout, running, deploy.deploy_router(checkout, running.endpoint_url, built, report))
        finally:
            running.kill()


def up(report: Report, *, folder: Path | None = None) -> LocalStack:
    """Run an embedded AWS that outlives this process, with the router as it stands in the checkout.

    One that runs already is used, and one that was stopped goes on with its data, at the same URL and with the same
    key; only if its port has been taken meanwhile does it move to another one, and says so.
    """
    checkout = Checkout.find()
    folder = folder or home(checkout)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "up.lock"):
        built = build(checkout, checkout.state / "build", report)
        running = server.find(folder)
        if running:
            report(f"The embedded AWS is running at {running.endpoint_url}")
            return _deployed(checkout, running, built, report)
        running = _start(checkout, folder, report)
        try:
            return _deployed(checkout, running, built, report)
        except BaseException:
            running.stop()
            raise


def down(report: Report, *, folder: Path | None = None, forget: bool = False) -> bool:
    """Stop the embedded AWS, and say whether it ran. Its data is kept for the next `up`, unless it shall `forget`."""
    folder = folder or home(Checkout.find())
    running = server.find(folder)
    if running:
        report("Stopping the embedded AWS")
        running.stop()
    if forget:
        shutil.rmtree(folder, ignore_errors=True)
    return running is not None


def status(*, folder: Path | None = None) -> LocalStack:
    """Return the router on the embedded AWS that runs."""
    running = server.find(folder or home(Checkout.find()))
    if running is None:
        raise LocalError("the embedded AWS is not running: start it with `canary local up`")
    return deploy.describe_router(running.endpoint_url)


def home(checkout: Checkout) -> Path:
    """Return the folder in which `up` keeps its state."""
    return checkout.state / "local"


def _start(checkout: Checkout, folder: Path, report: Report) -> server.Server:
    report("Starting the embedded AWS")
    port_file = folder / "port"
    port = int(port_file.read_text()) if port_file.exists() else None
    running = server.start(folder, layers=checkout.layers, port=port, persist=True, outlive=True)
    if port and port != running.port:
        report(f"Port {port} has been taken by another program: the URL is a new one")
    port_file.write_text(str(running.port))
    return running


def _deployed(checkout: Checkout, running: server.Server, built: Path, report: Report) -> LocalStack:
    """Deploy unless this very build is deployed there."""
    record = running.folder / "deployed.json"
    this = {"build": built.parent.name}
    recorded = json.loads(record.read_text()) if record.exists() else None
    if recorded == this and deploy.is_deployed(running.endpoint_url):
        return deploy.describe_router(running.endpoint_url)
    stack = deploy.deploy_router(checkout, running.endpoint_url, built, report)
    record.write_text(json.dumps(this))
    return stack
