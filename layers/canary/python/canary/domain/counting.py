"""Counting: outcomes become a release's counters and its evidence, in one change, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from canary.domain.audit import FAILURES, IN_FLIGHT, Arm, Row, Status
from canary.domain.evidence import ALONE, Gathered
from canary.domain.release import Control, Release


def is_new(row: Row, release: Release) -> bool:
    """Whether a row has ended and is not in the release's counters yet."""
    return row.status not in IN_FLIGHT and not row.counted and row.request_id not in release.counted


def accounted(release: Release, rows: Sequence[Row]) -> Release:
    """The release with these rows seen: their outcomes counted, once, and their ids no longer open.

    Rows of current are control samples: their failures are evidence about both stacks, and they use no slot.
    """
    tally, gathered = release.tally, release.gathered
    new = [row for row in rows if is_new(row, release)]
    mine = [row for row in rows if row.arm is Arm.LATEST]
    for row in new:
        if row.arm is Arm.LATEST:
            tally = tally.plus(row.status, unstarted=row.unstarted)
        gathered = _gathered(gathered, row, release)
    seen = {row.request_id for row in rows}
    return replace(
        release,
        tally=tally,
        gathered=gathered,
        counted={**release.counted, **{row.request_id: row.status.value for row in new}},
        open={request_id: at for request_id, at in release.open.items() if request_id not in seen},
        claimed=release.claimed - sum(row.unstarted for row in new if row.arm is Arm.LATEST),
        state_machine=release.state_machine or next((row.state_machine for row in mine if row.state_machine), None),
        named=release.named or any(is_named(row) for row in mine),
        control=release.control or _control(row for row in rows if _compares(row, release)),
    )


def is_named(row: Row) -> bool:
    """Whether a row's workflow bears its request id."""
    return row.transform_id is not None and row.transform_id.rsplit(":", 1)[-1] == row.request_id


def _compares(row: Row, release: Release) -> bool:
    """Whether a row is of the current that the release is compared with: somebody may have written another since."""
    return row.arm is Arm.CURRENT and release.against in {row.target, None}


def _gathered(gathered: Gathered, row: Row, release: Release) -> Gathered:
    baseline = release.baseline
    if row.status is Status.LOST:
        return gathered
    share = row.share if row.share is not None else ALONE
    if row.arm is Arm.CURRENT:
        # One with a workflow is counted where the workflows are listed.
        failed = row.status in FAILURES and row.transform_id is None and _compares(row, release)
        return gathered.with_control({share: 1}) if failed else gathered
    duration = row.duration_ms if baseline.timed else None
    return gathered.plus(
        share=share,
        failed=row.status in FAILURES,
        claimed_at=row.claimed_at,
        duration_bin=None if duration is None else baseline.bin_of(duration),
    )


def _control(samples: Iterable[Row]) -> Control | None:
    """What a control sample that current has answered tells of its workflows: one that is lost cannot be found by its name.

    A call that failed tells nothing; one that was answered does, also where its workflow has failed since.
    """
    sample = next((row for row in samples if row.transform_id is not None or row.status not in FAILURES), None)
    if sample is None:
        return None
    return Control(sample.state_machine, is_named(sample) if sample.transform_id else sample.status is Status.SUCCEEDED)
