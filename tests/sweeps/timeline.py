"""What ran where and when, read from a suite's events and logs; and a picture of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

_EPOCH = re.compile(r"^epoch (\d+)/\d+ ", re.MULTILINE)
_BEGAN = re.compile(r"^run         .*(starts at epoch 1|resumes at epoch (\d+) of|is trained)", re.MULTILINE)


@dataclass
class Try:
    """One try of one run; times in seconds since 1970."""

    key: str
    began: float
    where: str = ""
    ended: float = 0.0
    how: str = "driver killed"


@dataclass
class Timeline:
    tries: list[Try] = field(default_factory=list)
    drivers: list[float] = field(default_factory=list)


def timeline_of(events: Path) -> Timeline:
    found, running = Timeline(), {}
    for line in events.read_text().splitlines():
        event = json.loads(line)
        key, what, at = event["key"], event["event"], event["at"]
        if what == "driver":
            for one in running.values():
                one.ended = at
            running.clear()
            found.drivers.append(at)
        elif what == "started":
            running[key] = Try(key, at)
            found.tries.append(running[key])
        elif what == "placed":
            running[key].where = event["where"]
        elif key in running:
            one = running.pop(key)
            one.ended, one.how, one.where = at, what, one.where or event["where"]
    return found


def epochs_lost(log: Path, epochs: int) -> list[int]:
    """Whole epochs that each interruption of a run cost, from its log: where the next try begins, and which was the
    last epoch to end before.
    """
    text, lost, done = log.read_text(), [], 0
    tries = [*_BEGAN.finditer(text)]
    for at, began in enumerate(tries):
        if at:
            first = int(began[2]) if began[2] else epochs + 1 if began[1].startswith("is") else 1
            lost.append(done + 1 - first)
        end = tries[at + 1].start() if at + 1 < len(tries) else len(text)
        ended = [int(number) for number in _EPOCH.findall(text[began.start() : end])]
        done = max(ended, default=done)
    return lost


def draw(found: Timeline, kills: list[tuple[float, str]], driver_killed: float, path: Path, title: str) -> None:
    """One line for each node, one bar for each try; kills of nodes and of the driver are marked."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    start = found.drivers[0]
    nodes = list(dict.fromkeys(one.where for one in found.tries if one.where))
    # Runs that are on a node at the same time are drawn one above the other.
    lanes: dict[str, list[float]] = {node: [] for node in nodes}
    rows = []
    for one in sorted((one for one in found.tries if one.where), key=lambda one: one.began):
        free = lanes[one.where]
        lane = next((n for n, until in enumerate(free) if until <= one.began + 0.01), len(free))
        free[lane : lane + 1] = [one.ended]
        rows.append((one, lane))
    base, offset = {}, 0
    for node in nodes:
        base[node], offset = offset, offset + len(lanes[node]) + 0.6
    figure, axis = plt.subplots(figsize=(11, 0.2 * offset + 1.2), layout="constrained")
    colours = {"done": "#4c9f70", "lost": "#d1495b", "driver killed": "#edae49"}
    for one, lane in rows:
        axis.barh(
            base[one.where] + lane,
            (driver_killed if one.how == "driver killed" else one.ended) - one.began,
            left=one.began - start,
            height=0.85,
            color=colours.get(one.how, "#888888"),
            edgecolor="white",
        )
    for at, node in kills:
        here = [(where, base[where] + len(lanes[where]) / 2 - 0.5) for where in nodes if where.endswith(node)]
        for _, y in here:
            axis.plot(at - start, y, marker="x", color="black", markersize=7, markeredgewidth=2)
    for at in (driver_killed, *found.drivers[1:]):
        axis.axvline(at - start, color="#edae49", linestyle="--")
    axis.set_yticks([base[node] + len(lanes[node]) / 2 - 0.5 for node in nodes], [n.partition("/")[2] for n in nodes])
    axis.set(xlabel="seconds", ylabel="node", title=title)
    axis.invert_yaxis()
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    cross = plt.Line2D([], [], marker="x", color="black", linestyle="", markeredgewidth=2)
    names = ["done", "lost with its node", "lost with the driver", "node killed"]
    axis.legend([*handles, cross], names, loc="lower left", fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
