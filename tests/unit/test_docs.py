"""The documents say what is: links, commands, names and numbers are looked up where they come from."""

import ast
import dataclasses
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from samtranslator.yaml_helper import yaml_parse

from canary.domain.plan_document import parse_plan

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", flags=re.MULTILINE | re.DOTALL)
UNITS = {"": 1, "%": 1, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "days": 86_400_000, "KiB": 1024, "MiB": 1024**2}


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for _, language, body in FENCE.findall(page.read_text()) if language in languages]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def shell_lines(page: Path) -> Iterator[str]:
    for body in blocks(page, "sh"):
        yield from body.replace("\\\n", " ").splitlines()


def heading_ids(page: Path) -> set[str]:
    """The anchors that a page's headings get, as code hosts make them."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(page: Path, first: str) -> list[list[list[str]]]:
    """The rows, without their heads, of the tables whose first column is called so."""
    found = []
    for table in re.findall(r"(?:^\|.*\|\n)+", page.read_text(), flags=re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
        if head[0].strip("| ") == first:
            found.append([[cell.strip("| ") for cell in row] for row in rows])
    return found


def program() -> click.Group:
    """The command line, loaded only where a test asks for it."""
    from canary.cli.main import main  # noqa: PLC0415

    return main


def commands_said(page: Path) -> Iterator[list[str]]:
    """Every `canary …` that a page tells people to type, as words."""
    lines = (re.sub(r"\$\([^)]*\)", "VALUE", line.partition("#")[0]) for line in shell_lines(page))
    for text in (*spans(page), *lines):
        for found in re.finditer(r"(?:^|\s|\()(?:\.venv/bin/)?canary ((?:[a-z]|-)[^|;&)>]*)", text):
            yield shlex.split(found[1].replace("…", "").replace("'", "").replace('"', ""))


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and the words that follow it."""
    command: click.Command = program()
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        assert inner is not None, f"`canary` has no {words[0]!r}"
        command, words = inner, words[1:]
    return command, words


@pytest.mark.parametrize("name", NAMES)
def test_a_link_leads_somewhere(name):
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in heading_ids(target), f"{link}: no such heading"


@pytest.mark.parametrize("name", NAMES)
def test_a_target_of_make_that_is_named_exists(name):
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    page = ROOT / name
    said = {m for text in (*spans(page), *shell_lines(page)) for m in re.findall(r"(?:^|\s)make ([a-z-]+)", text)}
    assert said <= known


@pytest.mark.parametrize("name", NAMES)
def test_a_verb_and_an_option_of_the_command_line_that_is_named_exists(name):
    for words in commands_said(ROOT / name):
        command, rest = resolve(words)
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        said = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert said <= options | {"--help", "-h", "--version"}, f"canary {' '.join(words)}"


def test_every_verb_of_the_command_line_is_documented():
    said = {words[0] for name in ("README.md", "docs/operations.md") for words in commands_said(ROOT / name) if words}
    verbs = set(program().list_commands(click.Context(program())))
    assert verbs <= said


@pytest.mark.parametrize("name", NAMES)
def test_a_page_that_is_named_in_code_spans_exists(name):
    for span in spans(ROOT / name):
        if re.fullmatch(r"(docs|tests|layers|router|flipper|events|examples|requirements)/[\w./-]+", span):
            assert (ROOT / span).exists(), f"{span} does not exist"


@pytest.mark.parametrize(("first", "section"), [("Parameter", "Parameters"), ("Output", "Outputs")])
def test_what_the_readme_says_of_the_template_is_in_the_template(first, section):
    [table] = tables(ROOT / "README.md", first)
    said = {name for row in table for name in re.findall(r"`(\w+)`", row[0])}
    assert said
    assert said <= TEMPLATE[section].keys()


def test_an_environment_that_the_readme_names_has_its_settings_and_its_stack():
    [table] = tables(ROOT / "README.md", "Environment")
    assert {row[0].strip("`") for row in table} == {"local", "staging", "production"}
    for environment, stack, *_ in table:
        assert SAMCONFIG[environment.strip("`")]["deploy"]["parameters"]["stack_name"] == stack.strip("`")


@pytest.mark.parametrize("name", NAMES)
def test_python_in_a_document_compiles(name):
    for body in blocks(ROOT / name, "python"):
        ast.parse(body)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_in_a_document_is_a_valid_plan(name):
    for body in (*blocks(ROOT / name, "json"), *spans(ROOT / name)):
        if body.lstrip().startswith('{"stages"') or body.lstrip().startswith('{\n  "stages"'):
            parse_plan(body)


def numbers() -> list[tuple[str, str]]:
    """The rows of the page of limits that say where in the repository their number stands."""
    rows = [row for table in tables(DOCS / "limits.md", "Limit") for row in table]
    found = [(row[1], span) for row in rows for span in re.findall(r"`((?:canary\.|router\.|template\.yaml:)[^`]+)`", row[2])]
    assert len(found) > 20, "limits.md has lost its numbers"
    return found


def constant(source: str) -> float:
    """Look a number up: `canary.module.NAME`, `canary.module.Class.field`, `canary.module.NAME[key]`, or a template path."""
    if source.startswith("template.yaml:"):
        found = TEMPLATE["Resources"] | {"Parameters": TEMPLATE["Parameters"]}
        resource, *path = source.removeprefix("template.yaml:").split(".")
        found = found[resource] if resource == "Parameters" else found[resource]["Properties"]
        for key in path:
            found = found[int(key) if isinstance(found, list) else key]
        return float(found)
    dotted, _, key = source.rstrip("]").partition("[")
    words = dotted.split(".")
    depth = next(n for n in range(len(words) - 1, 0, -1) if is_module(".".join(words[:n])))
    found = importlib.import_module(".".join(words[:depth]))
    for word in words[depth:]:
        fields = {field.name: field.default for field in dataclasses.fields(found)} if isinstance(found, type) else {}
        found = fields[word] if word in fields else getattr(found, word)
    return float(found[key] if key else found)


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(("said", "source"), numbers())
def test_a_number_on_the_page_of_limits_is_the_number_in_the_code(said, source):
    match = re.match(r"([\d,.]+) ?(ms|s|min|h|days|KiB|MiB|%)?(?![a-zA-Z])", said)
    assert match, f"{said!r} does not begin with a number"
    number, unit = float(match[1].replace(",", "")), match[2] or ""
    is_in_units = source.startswith("template.yaml:") and unit in {"s", "days", "%"}
    assert number * (1 if is_in_units else UNITS[unit]) == constant(source)


@pytest.mark.parametrize(("number", "role"), [(0, "RouterRole"), (1, "FlipperRole")])
def test_the_page_on_security_has_the_permissions_of_the_roles(number, role):
    said = {row[0].strip("`"): set(re.findall(r"`([^`]+)`", row[1])) for row in tables(DOCS / "security.md", "Statement")[number]}
    [policy] = TEMPLATE["Resources"][role]["Properties"]["Policies"]
    given = {one["Sid"]: one["Action"] for one in policy["PolicyDocument"]["Statement"]}
    assert said == {sid: {actions} if isinstance(actions, str) else set(actions) for sid, actions in given.items()}
