"""What a release has gathered, as JSON texts in its item, there and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from canary.domain.app import Learned
from canary.domain.audit import Status
from canary.domain.baseline import Baseline
from canary.domain.evidence import Gathered, Share, Slice
from canary.domain.release import Control, Probe, Release, Watched


def gathered_attributes(release: Release) -> dict[str, Any]:
    """Write baseline, evidence, control, preflight and watch; what is not known is absent."""
    gathered, empty = release.gathered, Gathered()
    return {
        "baseline": asdict(release.baseline) if release.baseline != Baseline() else None,
        "gathered": None
        if gathered == empty
        else {
            "shares": {str(share): [each.finished, each.failed, each.control] for share, each in gathered.shares.items()},
            "bins": list(gathered.bins),
            "prefix": _slice(gathered.prefix),
            "tail": [_slice(each) for each in gathered.tail],
            "compared_until": gathered.compared_until,
        },
        "control": asdict(release.control) if release.control else None,
        "probes": {str(number): asdict(probe) for number, probe in release.probes.items()} or None,
        "watched": asdict(release.watched) if release.watched != Watched() else None,
    }


def gathered_fields(item: Any) -> dict[str, Any]:
    """Read them back."""
    return {
        "baseline": Baseline(**{**item.baseline, "cuts_ms": tuple(item.baseline["cuts_ms"])}) if item.baseline else Baseline(),
        "gathered": _gathered(item.gathered) if item.gathered else Gathered(),
        "control": Control(**item.control) if item.control else None,
        "probes": {
            int(number): Probe(**{**probe, "status": Status(probe["status"])}) for number, probe in (item.probes or {}).items()
        },
        "watched": Watched(**item.watched) if item.watched else Watched(),
    }


def learned_text(learned: Learned | None) -> dict[str, Any] | None:
    """Write what an app has learned of current's workflows."""
    return asdict(learned) if learned else None


def learned_of(document: Any) -> Learned | None:
    """Read it back."""
    return Learned(document["target"], Control(**document["control"])) if document else None


def _slice(each: Slice) -> list[int]:
    return [each.until, each.finished, each.failed]


def _gathered(document: Any) -> Gathered:
    return Gathered(
        shares={int(share): Share(*counts) for share, counts in document["shares"].items()},
        bins=tuple(document["bins"]),
        prefix=Slice(*document["prefix"]),
        tail=tuple(Slice(*each) for each in document["tail"]),
        compared_until=document["compared_until"],
    )
