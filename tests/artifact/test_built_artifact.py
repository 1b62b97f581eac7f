"""What `sam build` leaves is what runs on Lambda: nothing of the checkout or of this environment may be needed beside it."""

import importlib.util
import json
import marshal
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from canary.local.build import build
from canary.local.checkout import Checkout
from tests.conftest import template

LAYERS = {
    "RouterFunction": ("CanaryLayer", "RouterDependenciesLayer"),
    "FlipperFunction": ("CanaryLayer", "DependenciesLayer"),
}
PARTS = [*LAYERS, "CanaryLayer", "DependenciesLayer", "RouterDependenciesLayer"]
#: What the router and its layers may have, zipped.
MOST_MB = 2.5
# Lambda's own order: the function's code, then its layers.
IMPORT_HANDLER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import app
assert callable(app.handler)
if hasattr(app, "desk"):
    app.desk()
print(json.dumps([module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]))
"""


@pytest.fixture(scope="module")
def artifact() -> Path:
    checkout = Checkout.find()
    return build(checkout, checkout.state / "build", print).parent


def environment(artifact: Path, function: str, transport: str) -> dict[str, str]:
    """Give the function the settings that the template gives it, with values made up."""
    template = yaml.safe_load((artifact / "template.yaml").read_text())
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    own = template["Resources"][function]["Properties"]["Environment"]["Variables"]
    account = {"CANARY_ACCOUNT": "123456789012", "CANARY_TARGET_PATTERN": "transformer-*", "CANARY_ENVIRONMENT": "staging"}
    made_up = {name: value if isinstance(value, str) else name.lower() for name, value in {**shared, **own}.items()}
    keys = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "CANARY_TRANSPORT": transport}
    return {**made_up, **account, **keys, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-1", "PATH": os.defpath}


def imported_by(artifact: Path, function: str, layers: tuple[str, ...], transport: str, tmp_path: Path) -> set[Path]:
    """The files that a function has imported when it is ready."""
    path = [str(artifact / function), *(str(artifact / layer / "python") for layer in layers)]
    done = subprocess.run(
        # -I and -S: neither this folder, nor the environment's packages, nor PYTHONPATH.
        [sys.executable, "-I", "-S", "-B", "-c", IMPORT_HANDLER, json.dumps(path)],
        cwd=tmp_path,
        env=environment(artifact, function, transport),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {Path(file) for file in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("function", "layers", "transport"),
    [
        ("RouterFunction", LAYERS["RouterFunction"], "lean"),
        ("RouterFunction", ("CanaryLayer", "DependenciesLayer"), "botocore"),
        ("FlipperFunction", LAYERS["FlipperFunction"], "lean"),
    ],
)
def test_a_handler_imports_from_the_artifact_and_its_layers_alone(artifact, function, layers, transport, tmp_path):
    imported = imported_by(artifact, function, layers, transport, tmp_path)
    assert artifact / function / "app.py" in imported
    assert not [file for file in imported if "site-packages" in file.parts]
    assert not [file for file in imported if Checkout.find().root / "layers" in file.parents]


def test_a_function_ships_its_own_modules_and_nothing_else(artifact):
    root = Checkout.find().root
    for function in ("RouterFunction", "FlipperFunction"):
        shipped = {file.name for file in (artifact / function).glob("*") if file.name != "__pycache__"}
        assert shipped == {file.name for file in (root / function.removesuffix("Function").lower()).glob("*.py")}


def test_the_package_is_shipped_whole_but_for_what_only_people_use(artifact):
    source = Checkout.find().root / "layers" / "canary" / "python"
    shipped = {file.relative_to(artifact / "CanaryLayer" / "python") for file in (artifact / "CanaryLayer").rglob("*.py")}
    written = {file.relative_to(source) for file in source.rglob("*.py")}
    assert shipped == {file for file in written if file.parts[1] not in {"cli", "local", "simulating"}}


def test_the_template_gives_the_functions_these_layers():
    resources = template()["Resources"]
    for function, layers in LAYERS.items():
        given = resources[function]["Properties"]["Layers"]
        assert tuple((each["Fn::If"][2] if "Fn::If" in each else each)["Ref"] for each in given) == layers
    assert resources["RouterFunction"]["Properties"]["Layers"][1]["Fn::If"][:2] == [
        "RouterUsesBotocore",
        {"Ref": "DependenciesLayer"},
    ]


def test_the_certificates_that_the_lean_transport_trusts_are_shipped_with_it(artifact):
    shipped = artifact / "CanaryLayer" / "python" / "canary" / "wire" / "amazon_roots.pem"
    assert shipped.read_text().count("BEGIN CERTIFICATE") == 5


def test_the_router_and_all_that_it_needs_is_small(artifact, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in ("RouterFunction", *LAYERS["RouterFunction"]):
            for file in (artifact / part).rglob("*.*"):
                archive.write(file, file.relative_to(artifact))
    assert (tmp_path / "all.zip").stat().st_size <= MOST_MB * 1e6


@pytest.mark.parametrize("part", PARTS)
def test_every_module_is_shipped_with_bytecode_that_is_never_checked_and_tells_of_no_folder_of_ours(artifact, part):
    sources = [file for file in (artifact / part).rglob("*.py") if compiles(file)]
    assert sources
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source)))
        content = compiled.read_bytes()
        assert content[:8] == importlib.util.MAGIC_NUMBER + b"\1\0\0\0", compiled
        assert content[8:16] == importlib.util.source_hash(source.read_bytes())
        told = marshal.loads(content[16:]).co_filename
        place = "/var/task" if part.endswith("Function") else "/opt"
        assert told == f"{place}/{source.relative_to(artifact / part)}"


def compiles(file: Path) -> bool:
    """Whether this Python can compile it: a distribution may bring modules that are for others."""
    try:
        compile(file.read_bytes(), file, "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize("part", PARTS)
def test_nothing_of_the_live_tree_is_shipped_that_a_function_has_no_use_for(artifact, part):
    shipped = [file.relative_to(artifact / part) for file in (artifact / part).rglob("*")]
    assert shipped
    if part not in ("DependenciesLayer", "RouterDependenciesLayer"):
        assert not [file for file in shipped if {"tests", "Makefile"} & set(file.parts)]
    compiled = {file for file in shipped if file.suffix == ".pyc"}
    written = {Path(importlib.util.cache_from_source(str(file))) for file in shipped if file.suffix == ".py"}
    assert compiled <= written
