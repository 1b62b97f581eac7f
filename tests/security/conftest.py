"""One installation in which everybody has done all that they do; tests look at what that has asked of AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.security.driving import everybody_works
from tests.security.policies import RELEASES
from tests.security.recording import Recorder
from tests.security.stage import staged


@dataclass(frozen=True, slots=True)
class Life:
    """What was asked of AWS, the flipper's ports that were used, and the releases table as it stands at the end."""

    recorder: Recorder
    used: set[tuple[str, str]]
    releases: list[dict[str, Any]]


@pytest.fixture(scope="session")
def worked() -> Life:
    """Takes ten seconds: who uses it is in the xdist group "permissions"."""
    with staged() as stage:
        everybody_works(stage)
        return Life(stage.recorder, stage.used, stage.client("dynamodb").scan(TableName=RELEASES)["Items"])


@pytest.fixture(scope="session")
def recorder(worked: Life) -> Recorder:
    return worked.recorder
