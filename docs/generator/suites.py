"""Every suite of ``benchmarks/suites``: what it is about, and what it trains."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from fer_bench.sweeps.suite import Suite, names_of, read

from .markdown import code, page, sentence, table
from .settings import ROOT

FOLDER = ROOT / "benchmarks" / "suites"
_INTRODUCTION = """
`fer-bench suite NAME` does everything of a suite that the store lacks; `--dry-run` lists it. A suite states all its
settings, so that nothing depends on the defaults of this package; how to write one is said in
[Write a suite](../how-to/suite.md). *id* is the row's digest: `fer-bench list recipes` shows what it measured, and
`fer-bench run --use SUITE/RECIPE` takes its settings.
"""


def suites_page() -> str:
    """The page."""
    suites = {path.stem: read(path) for path in sorted(FOLDER.glob("*.yaml"))}
    overview = table(
        ("Suite", "", "Trainings", "Grids of heads"),
        (
            (f"[`{name}`](#{name})", _about(suite), str(len(suite.trainings)), str(len(suite.grids)))
            for name, suite in suites.items()
        ),
    )
    return page("Suites", _INTRODUCTION, overview, *(_suite(name, suite) for name, suite in suites.items()))


def _about(suite: Suite) -> str:
    return sentence(str(suite.source.content.get("about", "")))


def _suite(name: str, suite: Suite) -> str:
    parts = [f"## {name}", _about(suite), _comment(Path(suite.source.path))]
    parts.append(table(("Protocol", "Model and recipe", "Seeds", "Also tested on", "id"), _trainings(suite)))
    parts.append(table(("Protocol", "Heads on", "Grids"), _grids(suite)))
    return "\n\n".join(part for part in parts if part)


def _comment(path: Path) -> str:
    """The comment below the first line of a file."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    said = [line.removeprefix("#").strip() for line in lines[: _length(lines)]]
    return " ".join(said)


def _length(lines: list[str]) -> int:
    return next((at for at, line in enumerate(lines) if not re.match(r"#", line)), len(lines))


def _trainings(suite: Suite) -> Iterator[tuple[str, str, str, str, str]]:
    specs = [spec for spec, _ in suite.trainings]
    seeds, first = defaultdict(list), {}
    for (spec, on), called in zip(suite.trainings, names_of(specs), strict=True):
        seeds[spec.digest()].append(spec.seed)
        first.setdefault(spec.digest(), (spec, called, on))
    for digest, (spec, called, on) in first.items():
        shown = ", ".join(map(str, seeds[digest]))
        yield code(spec.protocol), called, shown, ", ".join(code(other) for other in on), code(digest)


def _grids(suite: Suite) -> Iterator[tuple[str, str, str]]:
    found = Counter((grid.protocol, _kinds(grid.streams)) for grid in suite.grids)
    for (protocol, streams), n in found.items():
        yield code(protocol), streams, str(n)


def _kinds(streams: tuple[str, ...]) -> str:
    return " + ".join(sorted({stream.partition(":")[0] for stream in streams}))
