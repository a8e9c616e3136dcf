"""The table of a suite that is being carried out: live on a terminal, elsewhere one line for each thing that
happens.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fer_bench.apps.suites.state import Row, SuiteState
from fer_bench.durations import in_words

_STYLES = {"running": "bold", "done": "green", "failed": "red", "left out": "red", "queued": "cyan", "waiting": "dim"}
# What runs and what failed is always shown, and of the rest what fits.
_MOST = 30
_LONGEST = 32


def summary(state: SuiteState) -> str:
    """One line: how many run, wait, are done and failed, and the time left."""
    counts = state.counts()
    waiting = counts["waiting"] + counts["queued"]
    parts = [
        f"{counts['running']} running",
        f"{waiting} queued",
        f"{counts['done']} done",
        f"{counts['failed']} failed",
    ]
    parts += [f"{counts['left out']} left out"] if counts["left out"] else []
    left = f", about {in_words(state.left)} left" if state.left is not None and not state.ended else ""
    return ", ".join(parts) + left


def shown(state: SuiteState, most: int = _MOST) -> Group:
    """The table of a state: what runs, what failed, and of the rest what has room."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    # The last column is the one that gives way where a terminal is narrow.
    for title in ("", "run", "on", "time"):
        table.add_column(title, overflow="ellipsis", no_wrap=True, max_width=_LONGEST)
    table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    first = [row for row in state.rows if row.state in ("running", "failed", "left out")]
    latest = sorted((row for row in state.rows if row.state == "done"), key=lambda row: -(row.began + row.seconds))
    waiting = [row for row in state.rows if row.state in ("waiting", "queued")]
    room = max(0, most - len(first))
    rows = [*latest[: max(room // 2, room - len(waiting))][::-1], *first]
    rows += waiting[: max(0, most - len(rows))]
    for row in rows:
        table.add_row(Text(row.state, _STYLES[row.state]), row.name, row.where, _time(row, state), Text(_said(row)))
    more = len(state.rows) - len(rows)
    lines = [Text(f"... {more} more")] if more else []
    return Group(table, *lines, Text(summary(state)))


def _time(row: Row, state: SuiteState) -> str:
    if row.state == "running":
        return in_words(max(0.0, (time.time() if not state.ended else state.updated) - row.began))
    return in_words(row.seconds) if row.seconds else ""


def _said(row: Row) -> str:
    again = f"try {row.tries}  " if row.tries > 1 else ""
    return again + (f"{row.text}  log {row.log}" if row.state == "failed" and row.log else row.text)


class Board:
    """Shows a suite while it is carried out.

    Args:
        state: is looked at whenever something is shown.
        say: prints a line, where there is no terminal.
    """

    def __init__(self, state: SuiteState, say: Callable[[str], None]) -> None:
        self._state, self._say = state, say
        self._n_said = 0
        console = Console(file=sys.stderr)
        self._live = (
            Live(console=console, refresh_per_second=2, get_renderable=self._now, vertical_overflow="crop")
            if console.is_terminal and sys.stdout.isatty()
            else None
        )

    def _now(self) -> Any:
        return shown(self._state, max(8, Console(file=sys.stderr).height - 4))

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def happened(self, row: Row, what: str) -> None:
        """Something has happened to a piece of work; on a terminal the table shows it."""
        if what in ("done", "failed", "left out"):
            self._n_said += 1
        if self._live is None or what in ("failed", "lost"):
            place = f" on {row.where}" if row.where else ""
            n = sum(one.state in ("done", "failed", "left out") for one in self._state.rows)
            said = f": {row.text}" if row.text else ""
            line = f"[{n}/{len(self._state.rows)}] {what}  {row.name}{place}{said}"
            if self._live is None:
                self._say(line)
            else:
                self._live.console.print(line, highlight=False, markup=False)
