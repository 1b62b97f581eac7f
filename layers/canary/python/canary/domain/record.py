"""Evidence records: what the judge saw and said, kept for every decision, so that it can be told and computed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canary.domain.release import timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decision. ``case`` is the judge's whole input and ``numbers`` what it computed, as JSON documents.

    ``before`` names the record of the decision that the release bore then; a decision that is not carried out is in nobody's
    ``before``.

    ``rev`` is the revision of the release that was judged, ``decision`` what was done about the verdict, ``code`` our version.
    """

    app: str
    release: str
    rev: int
    at: int
    code: str
    judgement: str
    reason: str
    decision: str
    case: Mapping[str, Any]
    numbers: Mapping[str, float]
    before: str | None = None

    @property
    def name(self) -> str:
        """Sorts by time; two decisions on the same revision at the same moment are the same decision."""
        return f"{timestamp(self.at)}#{self.rev:08d}"
