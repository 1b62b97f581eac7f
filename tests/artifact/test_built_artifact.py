"""What `sam build` leaves is what runs on Lambda: nothing of the checkout or of this environment may be needed beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from canary.local.build import build
from canary.local.checkout import Checkout

LAYERS = ("CanaryLayer", "DependenciesLayer")
# Lambda's own order: the function's code, then its layers.
IMPORT_HANDLER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import app
assert callable(app.handler)
print(json.dumps([module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]))
"""


@pytest.fixture(scope="module")
def artifact() -> Path:
    checkout = Checkout.find()
    return build(checkout, checkout.state / "build", print).parent


def environment(artifact: Path, function: str) -> dict[str, str]:
    """Give the function the settings that the template gives it, with values made up."""
    template = yaml.safe_load((artifact / "template.yaml").read_text())
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    own = template["Resources"][function]["Properties"]["Environment"]["Variables"]
    account = {"CANARY_ACCOUNT": "123456789012", "CANARY_TARGET_PATTERN": "transformer-*", "CANARY_ENVIRONMENT": "staging"}
    made_up = {name: value if isinstance(value, str) else name.lower() for name, value in {**shared, **own}.items()}
    return {**made_up, **account, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-1", "PATH": os.defpath}


@pytest.mark.parametrize("function", ["RouterFunction", "FlipperFunction"])
def test_a_handler_imports_from_the_artifact_and_its_layers_alone(artifact, function, tmp_path):
    path = [str(artifact / function), *(str(artifact / layer / "python") for layer in LAYERS)]
    done = subprocess.run(
        # -I and -S: neither this folder, nor the environment's packages, nor PYTHONPATH.
        [sys.executable, "-I", "-S", "-B", "-c", IMPORT_HANDLER, json.dumps(path)],
        cwd=tmp_path,
        env=environment(artifact, function),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = {Path(file) for file in json.loads(done.stdout)}
    assert artifact / function / "app.py" in imported
    assert not [file for file in imported if "site-packages" in file.parts]
    assert not [file for file in imported if Checkout.find().root / "layers" in file.parents]


def test_a_function_ships_its_own_modules_and_nothing_else(artifact):
    root = Checkout.find().root
    for function in ("RouterFunction", "FlipperFunction"):
        shipped = {file.name for file in (artifact / function).rglob("*")}
        assert shipped == {file.name for file in (root / function.removesuffix("Function").lower()).glob("*.py")}


def test_the_package_is_shipped_whole_but_for_what_only_people_use(artifact):
    source = Checkout.find().root / "layers" / "canary" / "python"
    shipped = {file.relative_to(artifact / "CanaryLayer" / "python") for file in (artifact / "CanaryLayer").rglob("*.py")}
    written = {file.relative_to(source) for file in source.rglob("*.py")}
    assert shipped == {file for file in written if file.parts[1] not in {"cli", "local", "simulating"}}


@pytest.mark.parametrize("part", ["RouterFunction", "FlipperFunction", "CanaryLayer"])
def test_nothing_of_the_live_tree_is_shipped_that_a_function_has_no_use_for(artifact, part):
    shipped = [file.relative_to(artifact / part) for file in (artifact / part).rglob("*")]
    assert shipped
    assert not [file for file in shipped if {"__pycache__", "tests", "Makefile"} & set(file.parts)]
