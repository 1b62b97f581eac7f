"""What is shipped is what is locked: two builds have the same bytes, and a package whose hash differs is not built in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

#: A part of the stack, and the folder that SAM builds it from.
PARTS = {
    "RouterFunction": "router",
    "FlipperFunction": "flipper",
    "CanaryLayer": "layers/canary/python",
    "DependenciesLayer": "layers/deps",
    "RouterDependenciesLayer": "layers/router",
}
LOCKED = ["DependenciesLayer", "RouterDependenciesLayer"]
#: For Lambda, as it is deployed to AWS; and for this machine, as the embedded AWS runs it.
PLACES = ["lambda", "local"]
#: In all lock files.
PACKAGE = "jmespath"
UNREACHABLE = re.compile(
    r"error sending request|Could not connect|dns error|was not found in the package registry|Network", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Built:
    """What became of it. SAM shows what is ``said``, and the ``errors`` only of a build that failed."""

    code: int
    folder: Path
    said: str
    errors: str

    @property
    def files(self) -> dict[str, tuple[int, bytes]]:
        """Each file's mode and content, by its path within the part."""
        found = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): (path.stat().st_mode, path.read_bytes()) for path in found}


def made(part: str, place: str, source: Path, out: Path) -> Built:
    """Build a part from a folder as SAM does: by its Makefile, which is told nothing but where to leave what it makes."""
    out.mkdir(parents=True)
    environment = {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}", "ARTIFACTS_DIR": str(out)}
    environment.pop("CANARY_BUILD", None)
    if place == "local":
        environment["CANARY_BUILD"] = "local"
    done = subprocess.run(["make", f"build-{part}"], cwd=source, env=environment, capture_output=True, text=True, check=False)
    if place == "lambda" and done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip("uv reaches no package index here")
    return Built(done.returncode, out, done.stdout, done.stderr)


def copied(part: str, to: Path) -> Path:
    return Path(shutil.copytree(ROOT / PARTS[part], to, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("part", PARTS)
def test_two_builds_in_different_folders_have_the_same_bytes(part, place, tmp_path):
    first = made(part, place, ROOT / PARTS[part], tmp_path / "here" / "out")
    again = made(part, place, copied(part, tmp_path / "elsewhere"), tmp_path / "a folder with a longer name")
    assert (first.code, again.code) == (0, 0), first.errors + again.errors
    assert first.files
    assert first.files == again.files


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("part", LOCKED)
class TestALockFileThatDoesNotMatch:
    def test_a_package_whose_hash_is_another_stops_the_build_and_is_named(self, part, place, tmp_path):
        source = copied(part, tmp_path / "source")
        falsify(source, lambda hashes: [re.sub(r"sha256:\w{64}", f"sha256:{'0' * 64}", each) for each in hashes])
        built = made(part, place, source, tmp_path / "out")
        assert built.code != 0
        assert re.search(rf"hash.*\b{PACKAGE}\b|\b{PACKAGE}\b.*hash", built.errors, re.IGNORECASE | re.DOTALL), built.errors
        assert "0" * 64 in built.errors

    def test_a_package_without_a_hash_stops_the_build_and_is_named(self, part, place, tmp_path):
        source = copied(part, tmp_path / "source")
        falsify(source, lambda hashes: [])
        built = made(part, place, source, tmp_path / "out")
        assert built.code != 0
        assert re.search(rf"--require-hashes.*\b{PACKAGE}\b|\b{PACKAGE}\b.*--(require-hashes|hash)", built.errors, re.DOTALL), (
            built.errors
        )


def falsify(source: Path, change) -> None:
    """Change the hashes of one package."""
    lines = (source / "requirements.txt").read_text().splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith(f"{PACKAGE}=="))
    end = next(number for number in range(at + 1, len(lines)) if not lines[number].lstrip().startswith("--hash"))
    hashes = change([line.strip(" \\") for line in lines[at + 1 : end]])
    first = lines[at].rstrip(" \\")
    (source / "requirements.txt").write_text("\n".join([*lines[:at], " ".join([first, *hashes]), *lines[end:], ""]))


@pytest.mark.parametrize("part", PARTS)
def test_without_the_functions_python_it_is_built_without_bytecode_and_says_so(part, tmp_path):
    """A launcher that is there and knows no such version (as of a version manager) is no such Python either."""
    source = copied(part, tmp_path / "source")
    makefile = source / "Makefile"
    makefile.write_text(re.sub(r"python(3\.13|\$\(VERSION\))(?=[)\n])", str(broken(tmp_path)), makefile.read_text()))
    built = made(part, "lambda", source, tmp_path / "out")
    assert built.code == 0, built.errors
    assert f"{part}: built without bytecode" in built.said
    assert built.files
    assert not [name for name in built.files if name.endswith(".pyc")]


def broken(folder: Path) -> Path:
    launcher = folder / "launcher"
    launcher.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    launcher.chmod(0o755)
    return launcher
