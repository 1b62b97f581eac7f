"""What upstream apps hear: nobody is turned away because of a canary, and what is said is true."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from canary.domain.call import CallResult
from canary.domain.plan import Fallback
from canary.domain.request_id import without_release
from canary.routing.problem import Problem
from canary.routing.router import Reply
from tests.histories.stacks import Run

if TYPE_CHECKING:
    from tests.histories.installation import Installation
    from tests.histories.scheduling import Actor

#: A router without parameters and mirror looks again after a second, give or take a fifth.
_KEPT_MS = 1_500


@dataclass(eq=False)
class Asked:
    """One request of an upstream app. ``first`` is the number of the first call of a stack that may be its own."""

    router: str
    key: str | None
    body: bytes
    at: int
    first: int
    actor: Actor | None = None


@dataclass
class Answers:
    """Judges every answer. ``on_record`` are ids that can be asked for."""

    place: Installation
    on_record: list[str] = field(default_factory=list)
    told: int = 0
    problems: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._answered: dict[str, dict[str, Any]] = {}
        self._bodies: dict[str, set[bytes]] = {}
        self._crashed: set[str] = set()
        self._failed: set[str] = set()
        self._done: set[str] = set()

    def asked(self, router: str, key: str | None, body: bytes) -> Asked:
        """A request comes in."""
        if key is not None:
            self._bodies.setdefault(key, set()).add(body)
        return Asked(router, key, body, self.place.clock.now, len(self.place.stacks.runs))

    def never(self, asked: Asked) -> None:
        """The router died over it."""
        if asked.key is not None:
            self._crashed.add(asked.key)

    def reply(self, asked: Asked, reply: Reply) -> None:
        """An answer goes out."""
        self._kept(asked)
        demand, body, runs = self.place.watch.demand, reply.body, self._runs(asked)
        self.told += 1
        self.place.tell("", f"answers {reply.status}: {body.get('routed_to')} {body.get('request_id')} {reply.because}")
        arm, name = body.get("routed_to"), body.get("request_id", "")
        if asked.key is not None and asked.key in self._answered:
            demand(self._answered[asked.key] == body, f"{asked.key} was answered otherwise before")
        if asked.key is not None and not self._had(asked, "ddb.finish_key"):  # else the answer may not be on record
            self._answered[asked.key] = body
        if reply.status >= 400:
            return
        self._ran_once(asked, runs)
        if asked.key is not None and runs and not self._had(asked, "ddb.finish_key"):
            demand(name not in self._done, f"2: the work of {asked.key} was done twice, as {name}")
            self._done.add(name)
        if asked.key is not None or arm == "latest":
            self.on_record.append(name)
        good = [run for run in (runs if asked.key is None else self.place.stacks.runs) if run.request_id == name]
        good = [run for run in good if (run.release is not None) == (arm == "latest")]
        if not (asked.key is not None and asked.key in self._crashed):
            demand(
                any(run.result is CallResult.ANSWERED for run in good),
                f"2: {name} is said to run on {arm}, and nothing ran there",
            )

    def problem(self, asked: Asked, problem: Problem) -> None:
        """An error goes out: only current's own errors may, and what a key asks for."""
        self._kept(asked)
        self.place.tell("", f"answers {problem.status}: {problem.detail}")
        self.problems[problem.status] = self.problems.get(problem.status, 0) + 1
        runs = self._runs(asked)
        self._ran_once(asked, runs)
        allowed = self._current_failed(asked, runs) or self._stays_with_latest(runs) or self._nothing_known(asked)
        match problem.status:
            case 409 | 422 if asked.key is not None:
                allowed = problem.status == 409 or len(self._bodies[asked.key]) > 1
            case 503 if asked.key is not None:
                allowed = allowed or self._had(asked, "ddb.begin_key", "ddb.rows")
            case 502 | 504 if asked.key is not None:
                allowed = allowed or asked.key in self._crashed or asked.key in self._failed
            case _:
                pass
        if asked.key is not None and problem.status in {502, 504}:
            self._failed.add(asked.key)
        self.place.watch.demand(allowed, f"2: a request was turned away with {problem.status}: {problem.detail}")

    def _kept(self, asked: Asked) -> None:
        """An answer that could not be kept with its key is as if the router had died after it."""
        if asked.key is not None and self._had(asked, "ddb.finish_key"):
            self._crashed.add(asked.key)

    def found(self, request_id: str, body: dict[str, Any]) -> None:
        """An answer was asked for again."""
        told = str(body.get("request_id"))  # of a key whose first answer could not be kept it is the second one's
        same = without_release(told) == without_release(request_id)
        self.place.watch.demand(same, f"{request_id} was asked for, and {body} found")

    def _runs(self, asked: Asked) -> list[Run]:
        return [run for run in self.place.stacks.runs[asked.first :] if run.by == asked.router]

    def _ran_once(self, asked: Asked, runs: list[Run]) -> None:
        latest = sum(run.release is not None for run in runs)
        self.place.watch.demand(latest <= 1 and len(runs) - latest <= 1, f"2: a request ran {len(runs)} times: {runs}")

    def _current_failed(self, asked: Asked, runs: list[Run]) -> bool:
        own = any(run.release is None and run.result is not CallResult.ANSWERED for run in runs)
        return own or self._had(asked, "stack.call")

    def _stays_with_latest(self, runs: list[Run]) -> bool:
        mine = [run for run in runs if run.release is not None and run.result is not CallResult.ANSWERED]
        plans = [self.place.watch.releases[run.release].plan for run in mine if run.release in self.place.watch.releases]
        return any(plan.fallback is Fallback.UNSTARTED for plan in plans)

    def _nothing_known(self, asked: Asked) -> bool:
        """Neither parameters nor mirror could be read by this router, a short while ago at most."""
        since, mirrored = asked.at - _KEPT_MS, self.place.watch.mirrored_at  # an earlier request may have asked
        faults = self.place.board.faults_of(asked.router, since)
        return "ssm.read" in faults and ("ddb.app" in faults or mirrored is None or mirrored > since)

    def _had(self, asked: Asked, *calls: str) -> bool:
        faults = self.place.board.faults_of(asked.router, asked.at)
        return any(call in faults for call in calls)
