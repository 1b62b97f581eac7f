"""The resources of template.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]  # SAM's own loader knows CloudFormation's tags

_ROOT = Path(__file__).parents[1]


def template() -> dict[str, Any]:
    """Read template.yaml."""
    document: dict[str, Any] = yaml_parse((_ROOT / "template.yaml").read_text())
    return document
