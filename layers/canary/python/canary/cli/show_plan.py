"""How plans look. These functions take values and return something to print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from canary.cli.text import ago, plain
from canary.domain.app import Parameter
from canary.domain.plan import Plan
from canary.domain.plan_document import plan_document
from canary.domain.plan_lint import warnings
from canary.domain.plan_words import sentences
from canary.domain.presets import Preset
from canary.domain.release import Release, timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLook:
    """An app's plan at one moment: for the next release, and the other one of a release that runs."""

    app: str
    at: int
    parameter: Parameter | None
    plan: Plan | None
    problem: str | None = None
    running: Release | None = None

    @property
    def differing(self) -> Release | None:
        """The running release, where it goes by another plan."""
        return self.running if self.running is not None and self.running.plan != self.plan else None


def plan_view(look: PlanLook) -> RenderableType:
    """Show an app's plan in sentences, with what is weak; and the plan of a release that goes on by another one."""
    parts: list[RenderableType] = [Text(f"{look.app}: {_origin(look)}", style="bold")]
    if look.plan is None:
        parts.append(Text(f"  it cannot be used, so every release is rejected: {plain(look.problem)}", style="red"))
    else:
        parts.append(_told(look.plan))
    if (release := look.differing) is not None:
        heading = (
            f"\nrelease {release.release} ({plain(release.tag)}) is {release.state}, and goes on by the plan that it began with:"
        )
        parts += [Text(heading, style="bold"), _told(release.plan)]
    return Group(*parts)


def look_document(look: PlanLook) -> dict[str, Any]:
    """Write the same for programs."""
    parameter, release = look.parameter, look.differing
    about = (
        {"value": parameter.value, "version": parameter.version, "modified_at": timestamp(parameter.modified_at)}
        if parameter
        else None
    )
    document = {
        "app": look.app,
        "parameter": about,
        "error": look.problem,
        **(told_document(look.plan) if look.plan else {}),
        "running": {"release": release.release, "tag": release.tag, **told_document(release.plan)} if release else None,
    }
    return {name: value for name, value in document.items() if value is not None}


def told_document(plan: Plan) -> dict[str, Any]:
    """Write a plan, what it means, and what is weak in it."""
    return {"plan": plan_document(plan), "sentences": list(sentences(plan)), "warnings": list(warnings(plan))}


def presets_table(presets: Mapping[str, Preset]) -> Table:
    """Show the presets, with what each is for and what it stands for."""
    table = Table(box=None, padding=(0, 1), header_style="dim", show_edge=False)
    for column in ("preset", "what it is for", "the same as"):
        table.add_column(column, overflow="fold")
    for name, preset in presets.items():
        table.add_row(Text(name, style="bold"), preset.purpose, Text(json.dumps(preset.document), style="dim"))
    return table


def _origin(look: PlanLook) -> str:
    if look.parameter is None:
        return "the default plan, since it has none of its own"
    preset = f", the preset {look.plan.preset!r}" if look.plan and look.plan.preset else ""
    return f"the plan for its next release{preset}, written {ago(look.parameter.modified_at, look.at)}"


def _told(plan: Plan) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for sentence in sentences(plan):
        grid.add_row("  •", plain(sentence))
    for warning in warnings(plan):
        grid.add_row(Text("  !", style="yellow"), Text(plain(warning), style="yellow"))
    return grid
