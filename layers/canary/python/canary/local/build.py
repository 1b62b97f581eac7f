"""Builds the router once for everybody who needs it: SAM's own build, repeated only when its inputs have changed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from canary.local.checkout import Checkout
from canary.local.errors import SamFailed

Report = Callable[[str], None]

# What goes into the built router, from the checkout's root.
INPUTS = ("template.yaml", "openapi.yaml", "router", "flipper", "layers", "requirements/sam.txt")
_KEPT_SECONDS = 3600
_IGNORED = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


def build(checkout: Checkout, out: Path, report: Report) -> Path:
    """Build the router for the embedded AWS, and return the built template.

    Each content has a folder of its own, so that a build does not take away what another process deploys just now.
    """
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / "build.lock"):
        wanted = out / digest(checkout.root)[:16]
        built, complete = wanted / "template.yaml", wanted.with_suffix(".complete")
        if complete.is_file():
            report("The build is up to date")
            complete.touch()
            return built
        started = time.monotonic()
        report("Building the router (sam build)")
        sam(checkout, _arguments(checkout, wanted, out / "cache"), {"CANARY_BUILD": "local"})
        complete.touch()
        _clear_away(out)
        report(f"Built in {time.monotonic() - started:.1f} s")
    return built


def digest(root: Path) -> str:
    """Return a hash of everything that goes into the build."""
    digest = hashlib.sha256()
    for path in sorted(_files(root)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def sam(checkout: Checkout, arguments: Sequence[str], environment: dict[str, str]) -> str:
    """Run SAM CLI and return what it printed; if it fails, that is what the error says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    with tempfile.TemporaryDirectory(prefix="canary-sam-") as folder:  # SAM leaves empty folders behind in its TMPDIR
        done = subprocess.run(  # noqa: S603 - our own SAM CLI
            [checkout.sam, *arguments],
            cwd=checkout.root,
            env={
                # Without a region SAM CLI refuses to start.
                "AWS_DEFAULT_REGION": "eu-west-1",
                **inherited,
                "NO_PROXY": "127.0.0.1,localhost",
                # The layers' makefiles find uv here.
                "PATH": f"{checkout.root / '.venv' / 'bin'}{os.pathsep}{inherited.get('PATH', os.defpath)}",
                "SAM_CLI_TELEMETRY": "0",
                "SAM_CLI_POLL_DELAY": "0.2",
                "TMPDIR": folder,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SamFailed(arguments[0], done.stdout.strip())
    return done.stdout


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; it is released whatever becomes of this one."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear_away(out: Path) -> None:
    """Remove builds that nobody has asked for within the last hour."""
    for complete in out.glob("*.complete"):
        if time.time() - complete.stat().st_mtime > _KEPT_SECONDS:
            complete.unlink()
            shutil.rmtree(complete.with_suffix(""), ignore_errors=True)


def _arguments(checkout: Checkout, build_dir: Path, cache_dir: Path) -> list[str]:
    return [
        "build",
        "--template-file",
        str(checkout.template),
        "--config-file",
        str(checkout.samconfig),
        "--config-env",
        "local",
        "--build-dir",
        str(build_dir),
        "--cached",
        "--cache-dir",
        str(cache_dir),
        "--parallel",
    ]


def _files(root: Path) -> Iterator[Path]:
    for name in INPUTS:
        path = root / name
        if path.is_file():
            yield path
        for folder, folders, files in os.walk(path):
            folders[:] = [folder for folder in folders if folder not in _IGNORED]
            yield from (Path(folder) / file for file in files)
