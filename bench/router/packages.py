"""What each router is deployed with, laid out in folders as Lambda would find it, with bytecode."""

from __future__ import annotations

import compileall
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

from packaging.requirements import Requirement

from bench.router.subjects import ROOT, Subject
from bench.template import template

_FOLDER: Final = ROOT / ".canary" / "bench"
#: Builds of what the checkout was before, so long in seconds: another run may still be at work with one.
_KEPT_S: Final = 3600
_OURS: Final = ("template.yaml", "router", "layers")


def package_of(subject: Subject) -> tuple[Path, ...]:
    """The folders that a router is deployed with; of what it is compared with, only what it requires."""
    return deployed(_transport(subject)) if subject.requires is None else installed(subject.requires)


def folders_of(subject: Subject) -> tuple[Path, ...]:
    """Where a router is imported from."""
    return package_of(subject) if subject.requires is None else (ROOT, *package_of(subject))


def uncompiled(folders: Iterable[Path], to: Path) -> tuple[Path, ...]:
    """The same folders without bytecode."""
    copies = []
    for number, folder in enumerate(folders):
        copies.append(to / str(number))
        shutil.copytree(folder, copies[-1], ignore=shutil.ignore_patterns("__pycache__"))
    return tuple(copies)


@cache
def deployed(transport: str) -> tuple[Path, ...]:
    """The router with its layers on a transport, built by their own makefiles for this Python: folders to import from."""
    files = sorted(path for name in _OURS for path in _files(ROOT / name))
    stamp = hashlib.sha256(b"\0".join(f"{path.relative_to(ROOT)}".encode() + path.read_bytes() for path in files))
    folder = _FOLDER / f"ours-{transport}-{stamp.hexdigest()[:16]}"
    parts = _parts(transport)
    if not folder.is_dir():
        with _made(folder) as made:
            for name, source in parts.items():
                _make(source, name, made / name)
        for old in _FOLDER.glob(f"ours-{transport}-*"):
            if old != folder and time.time() - old.stat().st_mtime > _KEPT_S:
                shutil.rmtree(old, ignore_errors=True)
    return (folder / "RouterFunction", *(folder / name / "python" for name in parts if name != "RouterFunction"))


@cache
def installed(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Distributions of this environment and what they require, copied to a folder: what `pip install --target` would give."""
    if not names:
        return ()
    wanted = sorted(set(_closure(names)))
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in wanted]
    folder = _FOLDER / f"packages-{hashlib.sha256(repr(versions).encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        with _made(folder) as made:
            for name in wanted:
                _copy(name, made)
    return (folder,)


def linked(subject: Subject, to: Path) -> tuple[Path, ...]:
    """A router of this checkout and its layers as they stand, unbuilt: what they require is this environment's, by links."""
    folders = []
    for name, source in _parts(_transport(subject)).items():
        requirements = source / "requirements.txt"
        if not requirements.is_file():
            folders.append(source)
            continue
        folder = to / name
        folder.mkdir()
        folders.append(folder)
        for line in requirements.read_text().splitlines():
            if "==" in line and not line.startswith(("#", " ")):
                _link(line.partition("==")[0], folder)
    return tuple(folders)


def zipped(folders: Iterable[Path]) -> int:
    """Bytes that the folders have when they are zipped, as a deployment package is."""
    archive = _FOLDER / f"size-{os.getpid()}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
        for number, folder in enumerate(folders):
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                out.write(path, f"{number}/{path.relative_to(folder)}")
    size = archive.stat().st_size
    archive.unlink()
    return size


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """Make a folder that is there only when it is complete, its modules compiled."""
    draft = folder.with_suffix(f".{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        yield draft
        # Checked by their content: a build that is unpacked elsewhere has other dates.
        compileall.compile_dir(draft, quiet=2, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _transport(subject: Subject) -> str:
    return subject.environ.get("CANARY_TRANSPORT", "lean")


def _parts(transport: str) -> dict[str, Path]:
    """The router's function and its layers on a transport: their names in the template, and their sources."""
    document = template()
    resources = document["Resources"]
    function = resources["RouterFunction"]["Properties"]
    chosen = {"botocore": 1, "lean": 2}[transport]  # !If [RouterUsesBotocore, the one, the other]
    layers = [(layer["Fn::If"][chosen] if "Fn::If" in layer else layer)["Ref"] for layer in function["Layers"]]
    sources = {name: resources[name]["Properties"]["ContentUri"] for name in layers}
    return {name: ROOT / source for name, source in {"RouterFunction": function["CodeUri"], **sources}.items()}


def _make(source: Path, name: str, out: Path) -> None:
    out.mkdir(parents=True)
    binaries = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "CANARY_BUILD": "local"}
    command = ["make", "--silent", "--no-print-directory", f"build-{name}", f"ARTIFACTS_DIR={out}"]
    subprocess.run(command, cwd=source, env=environ, check=True)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, folders, names in os.walk(path):
        folders[:] = [each for each in folders if each != "__pycache__"]
        yield from (Path(folder) / name for name in names)


def _closure(names: Iterable[str]) -> Iterator[str]:
    """Name distributions and all that they require here; names may have extras."""
    for name in names:
        asked = Requirement(name)
        yield asked.name
        for line in importlib.metadata.requires(asked.name) or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in asked.extras or {""}):
                yield from _closure([str(needed).partition(";")[0]])


def _copy(name: str, to: Path) -> None:
    distribution = importlib.metadata.distribution(name)
    for file in distribution.files or ():
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        out = to / file
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(distribution.locate_file(file)), out)


def _link(name: str, to: Path) -> None:
    distribution = importlib.metadata.distribution(Requirement(name).name)
    for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "__pycache__"}}:
        if not (to / top).exists():
            (to / top).symlink_to(str(distribution.locate_file(top)))
