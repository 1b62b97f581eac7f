"""The demo's acts, in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from canary.cli.demo.app import APP, DemoApp
from canary.cli.demo.record import Record
from canary.cli.demo.scene import Scene, Trial
from canary.cli.demo.show import Show
from canary.cli.demo.threads import Repeating
from canary.cli.demo.traffic import Traffic
from canary.cli.demo.watch import NotSeen, Watch
from canary.domain.audit import IN_FLIGHT
from canary.local import Embedded

#: The one that serves, the one that is to be promoted, the one that is to be thrown out.
VERSIONS: Final = ("v1.0.0", "v1.1.0", "v1.2.0")
#: How long the workflows of the good release wait, so that one sees them run.
_WORKFLOW_SECONDS: Final = 3
_REQUEST_EVERY: Final = 0.4
_WAKE_EVERY: Final = 5.0
_LOOK_EVERY: Final = 0.25
#: So long a picture stands before the next act begins.
_LINGER_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cast:
    """Everybody on stage: the app and its upstreams, the threads that keep them going, and who watches and shows it."""

    app: DemoApp
    traffic: Traffic
    requests: Repeating
    waking: Repeating
    watch: Watch
    show: Show
    clock: Callable[[], int]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Show for a block what goes on."""
        with Repeating(self.watch.look, _LOOK_EVERY) as looking, self.show.watching(self.watch.scene):
            yield
            time.sleep(_LINGER_SECONDS)
        if looking.broken:
            raise looking.broken

    def until(self, seen: Callable[[Scene], bool], words: str) -> None:
        """Wait until something is seen."""
        self.watch.until(seen, words, self.requests, self.waking)

    def release(self, tag: str, value: str) -> None:
        """Write ``latest``, wake the flipper, and look at the release that this begins."""
        written_at = self.clock()
        self.watch.follow(Trial(release=self.app.release(value), tag=tag, written_at=written_at))
        self.waking.soon()


def play(aws: Embedded, show: Show, clock: Callable[[], int]) -> tuple[Record, str | None]:
    """Play the acts; return the record, and what was promised and not seen, if anything."""
    app = DemoApp(aws, clock)
    before, good, _ = VERSIONS
    with show.busy():
        serving = _deployed(app, show, before)
        better = _deployed(app, show, good, "slow", _WORKFLOW_SECONDS)
    app.init(serving)
    traffic = Traffic(aws.stack, APP, clock)
    watch = Watch(app, traffic, show)
    missed = None
    with Repeating(app.wake, _WAKE_EVERY) as waking, Repeating(traffic.send, _REQUEST_EVERY) as requests:
        cast = _Cast(app=app, traffic=traffic, requests=requests, waking=waking, watch=watch, show=show, clock=clock)
        try:
            _everybody_on_one(cast)
            _one_is_promoted(cast, better)
            _one_is_thrown_out(cast)
        except NotSeen as error:
            missed = str(error)
    return Record(versions=VERSIONS, look=app.look(None), sent=traffic.sent, rows=app.rows(), releases=app.recent()), missed


def _deployed(app: DemoApp, show: Show, tag: str, behaviour: str = "succeed", delay_seconds: int = 0) -> str:
    show.step(f"Deploying the example pipeline {tag}, a stack of its own")
    return app.deploy(tag, behaviour, delay_seconds)


def _everybody_on_one(cast: _Cast) -> None:
    tag = VERSIONS[0]
    cast.show.act(
        2,
        f"{tag} serves everybody",
        f"Upstream sends a request every {_REQUEST_EVERY} s to the router's URL, with its key.",
        f"The parameter /canary/{APP}/current names {tag}.",
    )
    with cast.watched():
        cast.until(lambda scene: len(scene.sent) >= 6, "six requests answered")


def _one_is_promoted(cast: _Cast, value: str) -> None:
    tag = VERSIONS[1]
    cast.show.act(
        3,
        f"{tag} is released: exactly two requests go to it",
        f"A CI job writes the new stack to /canary/{APP}/latest. That is all.",
    )
    cast.show.tell("   On AWS that wakes the flipper, by an event. The embedded AWS sends none for", "dim")
    cast.show.tell(f"   parameters: the demo wakes it, now and every {_WAKE_EVERY:.0f} s, as a schedule does on AWS.", "dim")
    cast.release(tag, value)
    with cast.watched():
        cast.until(_has_ended, f"the release of {tag} ended")
        cast.until(lambda scene: scene.taken_over, "the router sends requests to what is current")


def _one_is_thrown_out(cast: _Cast) -> None:
    tag, current = VERSIONS[2], cast.watch.scene().look.tag("current")
    cast.show.act(
        4,
        f"{tag} is released, and its workflow fails",
        f"{tag} starts workflows as it should, and they fail later: it must go, and",
        "upstream must not notice.",
    )
    cast.watch.busy_with(f"A CI job deploys {tag} as a stack of its own; {current} goes on serving meanwhile.")
    with cast.watched():
        value = cast.app.deploy(tag, "fail")
        cast.release(tag, value)
        cast.until(_has_ended, f"the release of {tag} ended")
        cast.until(_is_settled, f"all workflows of {tag} ended")
        enough = len(cast.traffic.sent) + 4
        cast.until(lambda scene: len(scene.sent) >= enough, "four more requests answered")


def _has_ended(scene: Scene) -> bool:
    return scene.look.release is not None and scene.look.release.ended


def _is_settled(scene: Scene) -> bool:
    return all(row.status not in IN_FLIGHT for row in scene.look.rows)
