"""Finds the project's files: the embedded AWS deploys them, so an installed package alone is not enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from canary.local.errors import LocalError


@dataclass(frozen=True, slots=True)
class Checkout:
    """A working copy of the project."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Checkout:
        """Find the working copy that this module runs from, or that `start` lies in."""
        origin = (start or Path(__file__)).resolve()
        for folder in (origin, *origin.parents):
            if (folder / "template.yaml").is_file() and (folder / "layers" / "canary").is_dir():
                return cls(folder)
        raise LocalError(
            f"the embedded AWS deploys template.yaml and what lies beside it, and {origin} is not in a working copy of "
            "the project: clone it, run `make setup` there, and use its .venv/bin/canary"
        )

    @property
    def template(self) -> Path:
        """The router's template."""
        return self.root / "template.yaml"

    @property
    def samconfig(self) -> Path:
        """SAM CLI's settings for each environment."""
        return self.root / "samconfig.toml"

    @property
    def example(self) -> Path:
        """The example pipeline's template."""
        return self.root / "examples" / "transformer" / "template.yaml"

    @property
    def state(self) -> Path:
        """Where builds, and the state of the embedded AWS, are kept."""
        return self.root / ".canary"

    @property
    def layers(self) -> Path:
        """Where layers lie unpacked, for the Lambdas of every embedded AWS."""
        return self.state / "layers"

    @property
    def sam(self) -> Path:
        """SAM CLI, from an environment of its own."""
        program = self.root / ".venv" / "sam" / "bin" / "sam"
        if not program.is_file():
            raise LocalError(f"SAM CLI is not installed at {program}: run `make setup` in {self.root}")
        return program
