"""What is declared, what is locked and what is installed agree."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import canary

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = PROJECT["project"]["dependencies"]
LOCAL = PROJECT["project"]["optional-dependencies"]["local"]
SIMULATION = PROJECT["project"]["optional-dependencies"]["simulation"]
GROUPS = PROJECT["dependency-groups"]
LOCKED_FOR = {
    "requirements/dev.txt": [
        *DEPENDENCIES,
        *LOCAL,
        *SIMULATION,
        *(one for one in GROUPS["dev"] if isinstance(one, str)),
        *GROUPS["bootstrap"],
    ],
    "requirements/uv.txt": GROUPS["bootstrap"],
    "requirements/sam.txt": GROUPS["sam"],
    "layers/deps/requirements.txt": GROUPS["functions"],
    "layers/router/requirements.txt": GROUPS["router"],
}


def pins(lock: str) -> dict[str, Version]:
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


@pytest.mark.parametrize("lock", LOCKED_FOR)
def test_a_lock_file_satisfies_all_that_is_declared(lock):
    locked = pins(lock)
    for declared in map(Requirement, LOCKED_FOR[lock]):
        assert declared.specifier.contains(locked[canonicalize_name(declared.name)]), f'{declared}: run "make lock"'


@pytest.mark.parametrize("lock", LOCKED_FOR)
def test_a_lock_file_pins_every_package_by_hash_and_names_no_index(lock):
    text = (ROOT / lock).read_text()
    packages = re.findall(r"^[A-Za-z0-9].*\n.*", text, flags=re.MULTILINE)
    assert packages
    assert all(re.fullmatch(r".+==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}.*", package) for package in packages)
    assert "://" not in text


def test_the_functions_run_with_the_versions_that_the_tests_run_with():
    tested = pins("requirements/dev.txt")
    assert pins("layers/deps/requirements.txt").items() <= tested.items()
    assert pins("layers/router/requirements.txt").items() <= pins("layers/deps/requirements.txt").items()


def test_what_the_functions_need_is_what_the_project_needs_without_the_command_line():
    assert set(DEPENDENCIES) - set(GROUPS["functions"]) == {one for one in DEPENDENCIES if one.startswith(("click", "rich"))}
    assert set(GROUPS["functions"]) <= set(DEPENDENCIES)


def test_the_package_says_its_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", canary.__version__)
