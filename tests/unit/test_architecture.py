import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOMAIN = ROOT / "layers" / "canary" / "python" / "canary" / "domain"


def imported_by(source: Path) -> set[str]:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: relative imports hide where they lead"
            imported.add(node.module or "")
    return imported


@pytest.mark.parametrize("module", sorted(DOMAIN.rglob("*.py")), ids=lambda path: path.stem)
def test_the_domain_imports_nothing_but_itself_and_the_standard_library(module):
    foreign = {
        name
        for name in imported_by(module)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not name.startswith("canary.domain.")
        and name not in {"canary", "canary.domain"}
    }
    assert not foreign


@pytest.mark.parametrize("module", sorted(DOMAIN.rglob("*.py")), ids=lambda path: path.stem)
def test_the_domain_is_given_time_and_randomness_and_does_no_io(module):
    reaching_out = {
        "asyncio",
        "http",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "threading",
        "time",
        "urllib",
    }
    assert not {name.split(".")[0] for name in imported_by(module)} & reaching_out
