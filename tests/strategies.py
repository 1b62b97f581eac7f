"""Anything that the domain can be: for tests that say something of all of it."""

from __future__ import annotations

from typing import Any

from hypothesis import Phase
from hypothesis import strategies as st

from canary.domain.audit import Status
from canary.domain.baseline import Baseline
from canary.domain.batch import Batch
from canary.domain.evidence import Gathered, Share, Slice
from canary.domain.release import Ask, Change, Control, Flip, Notice, NoticeKind, Probe, Release, Verb, Watched
from canary.domain.states import Gate, Hold, ReleaseState
from canary.domain.tally import Tally
from tests.plan_strategies import plans

#: Where an example takes milliseconds, shrinking takes minutes: the first one that fails has to do.
NO_SHRINKING = (Phase.explicit, Phase.generate)
#: 1970 to 2100, to the millisecond.
times = st.integers(0, 4_102_444_800_000)
#: What DynamoDB takes: any Unicode text but half a surrogate pair.
texts = st.text(st.characters(codec="utf-8"), max_size=30)
counts = st.integers(0, 10**6)
keys = st.from_regex(r"[0-9]{8}-[0-9a-f]{8}", fullmatch=True)
request_ids = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True)
statuses = st.sampled_from(["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "LOST"])


_maybe = st.none() | texts
_slices = st.builds(Slice, times, counts, counts)
_gathered = st.builds(
    Gathered,
    shares=st.dictionaries(st.integers(1, 10_000), st.builds(Share, *[counts] * 3), max_size=3),
    bins=st.tuples(*[counts] * 5),
    prefix=_slices,
    tail=st.lists(_slices, max_size=3).map(tuple),
    compared_until=times,
)
_baselines = st.builds(
    Baseline,
    executions=counts,
    failed=counts,
    cuts_ms=st.tuples(*[counts] * 4),
    slowest_ms=counts,
    mean_ms=counts,
    interval_ms=counts,
    machine=_maybe,
    source=texts,
)
_probes = st.builds(Probe, st.sampled_from(Status), _maybe, st.none() | times, _maybe)


@st.composite
def releases(draw: st.DrawFn, release: str = "00000001-0123abcd", app: str = "transformer") -> Release:
    """Every release, however unlikely, of which each field can be anything; but its stage is one of its plan's."""
    plan = draw(plans())
    fields: dict[str, st.SearchStrategy[Any]] = {
        "app": st.just(app),
        "release": st.just(release),
        "rev": st.integers(1, 10**6),
        "state": st.sampled_from(ReleaseState),
        "since": times,
        "opened_at": times,
        "written_at": times,
        "value": texts,
        "target": texts,
        "tag": texts,
        "by": _maybe,
        "commit": _maybe,
        "plan": st.just(plan),
        "stage": st.integers(0, len(plan.stages) - 1),
        "stage_since": times,
        "stage_base": counts,
        "asked_at": st.none() | times,
        "share": st.integers(1, 10_000),
        "allowed": st.none() | counts,
        "granted": counts,
        "claimed": counts,
        "gate": st.sampled_from(Gate),
        "open": st.dictionaries(request_ids, times, max_size=3),
        "batches": st.dictionaries(request_ids, st.builds(Batch, counts, times), max_size=3),
        "tally": st.builds(Tally, *[counts] * 6),
        "counted": st.dictionaries(request_ids, statuses, max_size=3),
        "lost_forgiven": counts,
        "refunds_forgiven": counts,
        "state_machine": _maybe,
        "named": st.booleans(),
        "against": _maybe,
        "baseline": _baselines,
        "gathered": _gathered,
        "control": st.none() | st.builds(Control, _maybe, st.booleans()),
        "accepted": st.booleans(),
        "probes": st.dictionaries(st.integers(0, 9), _probes, max_size=3),
        "behind": st.none() | keys,
        "hold": st.none() | st.sampled_from(Hold),
        "watched": st.builds(Watched, times, times, times, counts, times, counts),
        "returning": st.booleans(),
        "record": _maybe,
        "asks": st.lists(st.builds(Ask, st.sampled_from(Verb), texts, texts, times, st.booleans()), max_size=2).map(tuple),
        "flip": st.none() | st.builds(Flip, texts, counts, texts, counts, st.booleans()),
        "verdict": _maybe,
        "reason": _maybe,
        "refusal": _maybe,
        "warning": _maybe,
        "restored_from": _maybe,
        "ended_at": st.none() | times,
        "notices": st.lists(st.builds(Notice, st.sampled_from(NoticeKind), texts, times), max_size=2).map(tuple),
        "history": st.lists(st.builds(Change, times, texts, texts, texts), max_size=3).map(tuple),
    }
    assert fields.keys() == set(Release.__slots__), "a field that is never drawn is never tested"
    return draw(st.builds(Release, **fields))
