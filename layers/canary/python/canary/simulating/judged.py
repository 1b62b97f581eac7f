"""Our own policy: a release of a plan, decided on by the code that decides on the deployed stack.

What the flipper and the routers do around that code is simulated here: when passes come, which request claims a slot, and what of
current's failures is seen meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from canary.domain.plan import Plan
from canary.domain.states import ON_TRIAL, ReleaseState
from canary.simulating.policy import Ending, Fate
from canary.simulating.trace import Trace
from canary.simulating.trial import Trial
from canary.simulating.watch import watched
from canary.simulating.world import Version


@dataclass(frozen=True)
class Judged:
    """A plan of this router."""

    plan: Plan
    name: str

    @property
    def assumptions(self) -> tuple[str, ...]:
        words = [
            "decided by the flipper's code; it looks when a workflow of latest has ended, at most every 2 s, and every minute",
            "routers see new slots up to 5 s late, and what they send to current while the coin decides is compared with",
        ]
        if self.plan.preflight:
            words.append("the preflight is left out")
        if any(stage.gate for stage in self.plan.stages):
            words.append("nobody answers at a manual gate: what the plan says then happens after its timeout")
        if any(stage.alarms for stage in self.plan.stages):
            words.append("its alarms are OK")
        return tuple(words)

    def release(self, trace: Trace, version: Version) -> Fate:
        """Put a version through it."""
        trial = Trial(replace(self.plan, preflight=()), trace, version)
        while trial.release.state in ON_TRIAL and trial.next_pass():
            pass
        state = trial.release.state
        if state is ReleaseState.PROMOTING:
            return watched(trial)
        ending = Ending.UNDECIDED if state in ON_TRIAL else Ending.ABORTED
        return Fate(ending=ending, at=trial.now, exposed=trial.claimed, samples=trial.samples, why=trial.why)
