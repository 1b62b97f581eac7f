"""Where the demo is shown: live on a terminal that has room for it, in lines everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from canary.cli.demo.changes import changes
from canary.cli.demo.scene import Scene
from canary.cli.demo.view import LEAST_HEIGHT, LEAST_WIDTH, frame

_REDRAWS_PER_SECOND: Final = 5.0


class Show:
    """Lines: texts, steps with the seconds since the start, and one for each change while a scene is watched."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._last: Scene | None = None

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return time.monotonic() - self._started

    def act(self, number: int, title: str, *words: str) -> None:
        """Begin an act."""
        self._console.print()
        self.tell(f"{number}  {title}", "bold yellow")
        for line in words:
            self.tell(f"   {line}")

    def tell(self, words: str, style: str = "") -> None:
        """Tell something."""
        self._console.print(words, style=style, soft_wrap=True)

    def step(self, words: str) -> None:
        """Tell of a step."""
        self._console.print(Text(f"{self.seconds:6.1f} s  ", style="dim").append(words, style="not dim"), soft_wrap=True)

    def give(self, table: RenderableType) -> None:
        """Show a table."""
        self._console.print(table)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Show for a block that something is being done which cannot be watched."""
        yield

    @contextmanager
    def watching(self, _scene: Callable[[], Scene]) -> Iterator[None]:
        """Show a scene for a block."""
        yield

    def noticed(self, scene: Scene) -> None:
        """Take what was seen just now."""
        for line in changes(self._last, scene):
            self.step(line)
        self._last = scene


class LiveShow(Show):
    """Scenes are drawn live; the last picture of each stays."""

    def __init__(self, console: Console, clock: Callable[[], int]) -> None:
        super().__init__(console)
        self._clock = clock

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Show a spinner."""
        with Live(_Ticking(self), console=self._console, refresh_per_second=2 * _REDRAWS_PER_SECOND, transient=True):
            yield

    @contextmanager
    def watching(self, scene: Callable[[], Scene]) -> Iterator[None]:
        """Draw it, again and again."""

        def picture() -> RenderableType:
            return frame(scene(), self._console.width, self._clock())

        self._console.print()
        with Live(
            get_renderable=picture,
            console=self._console,
            refresh_per_second=_REDRAWS_PER_SECOND,
            vertical_overflow="crop",
        ):
            yield

    def noticed(self, scene: Scene) -> None:
        """Nothing: the next picture shows it."""


def show_on(*, stderr: bool, terminal: bool, clock: Callable[[], int]) -> Show:
    """Choose the way. Without a terminal no escape code is written, whatever the environment asks for."""
    if not terminal:
        return Show(Console(stderr=stderr, markup=False, highlight=False, emoji=False, force_terminal=False, color_system=None))
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    roomy = console.width >= LEAST_WIDTH and console.height >= LEAST_HEIGHT and not console.is_dumb_terminal
    return LiveShow(console, clock) if roomy else Show(console)


class _Ticking:
    """A spinner with the seconds since the start."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._spinner = Spinner("dots", style="yellow")

    def __rich__(self) -> Table:
        line = Table.grid(padding=(0, 1))
        line.add_row(Text(f"{self._show.seconds:6.1f} s", style="dim"), self._spinner)
        return line
