"""Releases and apps as items of the releases table, there and back."""

from __future__ import annotations

from typing import Any

from pynamodb.expressions.update import Action

from canary.aws.gathered_items import gathered_attributes, gathered_fields, learned_of, learned_text
from canary.aws.tables import (
    APP_ITEM,
    AppItem,
    AskItem,
    ChangeItem,
    FlipItem,
    MirrorItem,
    NoticeItem,
    ReleaseItem,
    StoppedItem,
)
from canary.domain.app import App, Mirror, Quarantined, Stopped
from canary.domain.batch import Batch
from canary.domain.plan import Plan
from canary.domain.plan_document import plan_document, plan_from
from canary.domain.release import Ask, Change, Flip, Notice, NoticeKind, Release, Verb, from_timestamp, timestamp
from canary.domain.states import Gate, Hold, ReleaseState
from canary.domain.tally import Tally


def release_item(model: type[ReleaseItem], release: Release) -> ReleaseItem:
    """Write a release as its item."""
    tally, flip = release.tally, release.flip
    return model(
        release.app,
        release.release,
        rev=release.rev,
        state=release.state.value,
        since=timestamp(release.since),
        opened_at=timestamp(release.opened_at),
        written_at=timestamp(release.written_at),
        ended_at=timestamp(release.ended_at) if release.ended_at is not None else None,
        value=release.value,
        target=release.target,
        tag=release.tag,
        by=release.by,
        commit=release.commit,
        plan=plan_document(release.plan),
        stage=release.stage,
        stage_since=timestamp(release.stage_since),
        stage_base=release.stage_base,
        asked_at=timestamp(release.asked_at) if release.asked_at is not None else None,
        share=release.share,
        allowed=release.allowed,
        granted=release.granted,
        claimed=release.claimed,
        gate=release.gate.value,
        open={request_id: timestamp(at) for request_id, at in release.open.items()},
        batches={batch_id: batch_text(batch) for batch_id, batch in release.batches.items()},
        succeeded=tally.succeeded,
        failed=tally.failed,
        timed_out=tally.timed_out,
        aborted=tally.aborted,
        lost=tally.lost,
        refunded=tally.refunded,
        counted=dict(release.counted),
        lost_forgiven=release.lost_forgiven,
        refunds_forgiven=release.refunds_forgiven,
        state_machine=release.state_machine,
        named=release.named or None,
        **gathered_attributes(release),
        accepted=release.accepted or None,
        against=release.against,
        behind=release.behind,
        hold=release.hold.value if release.hold else None,
        returning=release.returning or None,
        record=release.record,
        asks=[AskItem(verb=a.verb.value, who=a.who, why=a.why, at=timestamp(a.at), force=a.force or None) for a in release.asks],
        flip=_flip_item(flip) if flip else None,
        verdict=release.verdict,
        reason=release.reason,
        refusal=release.refusal,
        warning=release.warning,
        restored_from=release.restored_from,
        notices=[NoticeItem(kind=n.kind.value, text=n.text, at=timestamp(n.at)) for n in release.notices],
        history=[_change(change) for change in release.history],
    )


def release_of(item: Any) -> Release:
    """Read a release from its item."""
    plan = plan_from(item.plan)
    return Release(
        app=item.app,
        release=item.release,
        rev=int(item.rev),
        state=ReleaseState(item.state),
        since=from_timestamp(item.since),
        opened_at=from_timestamp(item.opened_at),
        written_at=from_timestamp(item.written_at),
        ended_at=from_timestamp(item.ended_at) if item.ended_at else None,
        value=item.value,
        target=item.target,
        tag=item.tag,
        by=item.by,
        commit=item.commit,
        plan=plan,
        stage=int(item.stage),
        stage_since=from_timestamp(item.stage_since),
        **_stage_fields(item, plan),
        asked_at=from_timestamp(item.asked_at) if item.asked_at else None,
        granted=int(item.granted),
        claimed=int(item.claimed),
        gate=Gate(item.gate),
        open={request_id: from_timestamp(at) for request_id, at in item.open.as_dict().items()},
        batches={batch_id: _batch(text) for batch_id, text in item.batches.as_dict().items()} if item.batches else {},
        tally=Tally(
            succeeded=int(item.succeeded),
            failed=int(item.failed),
            timed_out=int(item.timed_out),
            aborted=int(item.aborted),
            lost=int(item.lost),
            refunded=int(item.refunded),
        ),
        counted=item.counted.as_dict(),
        lost_forgiven=int(item.lost_forgiven),
        refunds_forgiven=int(item.refunds_forgiven),
        state_machine=item.state_machine,
        named=bool(item.named),
        **gathered_fields(item),
        accepted=bool(item.accepted),
        against=item.against,
        behind=item.behind,
        hold=Hold(item.hold) if item.hold else None,
        returning=bool(item.returning),
        record=item.record,
        asks=tuple(Ask(Verb(a.verb), a.who, a.why, from_timestamp(a.at), bool(a.force)) for a in item.asks),
        flip=_flip(item.flip) if item.flip else None,
        verdict=item.verdict,
        reason=item.reason,
        refusal=item.refusal,
        warning=item.warning,
        restored_from=item.restored_from,
        notices=tuple(Notice(NoticeKind(n.kind), n.text, from_timestamp(n.at)) for n in item.notices),
        history=tuple(Change(from_timestamp(c.at), c.who, c.what, c.why) for c in item.history),
    )


def batch_text(batch: Batch) -> str:
    """Write a batch: ``20 2026-11-21T09:30:00.123Z``."""
    return f"{batch.slots} {timestamp(batch.taken_at)}"


def _batch(text: str) -> Batch:
    slots, taken_at = text.split(" ")
    return Batch(int(slots), from_timestamp(taken_at))


def _stage_fields(item: Any, plan: Plan) -> dict[str, Any]:
    """Where the stage began; an item of the first version does not tell, but there every stage had its quota."""
    if item.stage_base is None:
        before = sum(each.quota or 0 for each in plan.stages[: int(item.stage)])
        return {"stage_base": before, "share": 100 * plan.stages[int(item.stage)].weight, "allowed": int(item.granted)}
    allowed = int(item.allowed) if item.allowed is not None else None
    return {"stage_base": int(item.stage_base), "share": int(item.share), "allowed": allowed}


def release_changes(model: type[ReleaseItem], before: Release, after: Release) -> list[Action]:
    """Write the difference of two readings of a release as update actions.

    What routers write too is changed relative to what is there: ``claimed`` by its difference, ``open`` by the ids that go.
    """
    old, new = release_item(model, before), release_item(model, after)
    actions = _plain_changes(model, old, new, skip={"claimed", "open", "batches", "counted", "history", "rev"})
    actions.append(model.rev.set(before.rev + 1))
    if after.claimed != before.claimed:
        actions.append(model.claimed.set(model.claimed - (before.claimed - after.claimed)))
    actions += [model.batches[batch_id].remove() for batch_id in before.batches if batch_id not in after.batches]
    actions += [model.open[request_id].remove() for request_id in before.open if request_id not in after.open]
    actions += [model.counted[name].set(value) for name, value in after.counted.items() if name not in before.counted]
    actions += [model.counted[name].remove() for name in before.counted if name not in after.counted]
    if added := after.history[len(before.history) :]:
        actions.append(model.history.set(model.history.append([_change(change) for change in added])))
    return actions


def app_item(model: type[AppItem], app: App) -> AppItem:
    """Write an app as its item."""
    return model(
        app.app,
        APP_ITEM,
        kind="app",
        rev=app.rev,
        followed=list(app.followed),
        promoted=app.promoted,
        mirror=MirrorItem(value=app.mirror.value, version=app.mirror.version) if app.mirror else None,
        quarantine={
            arn: {"release": q.release, "tag": q.tag, "reason": q.reason, "at": timestamp(q.at)}
            for arn, q in app.quarantine.items()
        },
        checked=app.checked,
        newest=app.newest or None,
        newest_at=timestamp(app.newest_at) if app.newest_at else None,
        learned=learned_text(app.learned),
        stopped=StoppedItem(who=app.stopped.who, why=app.stopped.why, at=timestamp(app.stopped.at)) if app.stopped else None,
        last_pass=timestamp(app.last_pass) if app.last_pass is not None else None,
    )


def app_of(item: Any) -> App:
    """Read an app from its item."""
    stopped = item.stopped
    return App(
        app=item.app,
        rev=int(item.rev),
        followed=tuple(item.followed),
        promoted=item.promoted,
        mirror=Mirror(item.mirror.value, int(item.mirror.version)) if item.mirror else None,
        quarantine={
            arn: Quarantined(q["release"], q["tag"], q["reason"], from_timestamp(q["at"]))
            for arn, q in item.quarantine.as_dict().items()
        },
        checked=int(item.checked),
        newest=int(item.newest or 0),
        newest_at=from_timestamp(item.newest_at) if item.newest_at else 0,
        learned=learned_of(item.learned),
        stopped=Stopped(stopped.who, stopped.why, from_timestamp(stopped.at)) if stopped else None,
        last_pass=from_timestamp(item.last_pass) if item.last_pass else None,
    )


def app_changes(model: type[AppItem], before: App, after: App) -> list[Action]:
    """Write the difference of two readings of an app as update actions."""
    old, new = app_item(model, before), app_item(model, after)
    actions = _plain_changes(model, old, new, skip={"rev", "quarantine", "last_pass"})
    actions.append(model.rev.set(before.rev + 1))
    added = {arn: new.quarantine.as_dict()[arn] for arn in after.quarantine if arn not in before.quarantine}
    actions += [model.quarantine[arn].set(entry) for arn, entry in added.items()]
    return actions + [model.quarantine[arn].remove() for arn in before.quarantine if arn not in after.quarantine]


def _plain_changes(model: Any, old: Any, new: Any, skip: set[str]) -> list[Action]:
    was, now = old.serialize(), new.serialize()
    changed = [name for name in {**was, **now} if name not in skip and was.get(name) != now.get(name)]
    return [getattr(model, name).set(getattr(new, name)) if name in now else getattr(model, name).remove() for name in changed]


def _flip_item(flip: Flip) -> FlipItem:
    return FlipItem(
        before=flip.before, version=flip.version, after=flip.after, previous=flip.previous, written=flip.written or None
    )


def _flip(item: Any) -> Flip:
    """Read a flip; one that was frozen by an older version does not tell how previous stood."""
    return Flip(item.before, int(item.version), item.after, int(item.previous or 0), bool(item.written))


def _change(change: Change) -> ChangeItem:
    return ChangeItem(at=timestamp(change.at), who=change.who, what=change.what, why=change.why)
