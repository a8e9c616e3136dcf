"""The job of minimum versions tests what pyproject.toml promises."""

import re
import tomllib
from pathlib import Path

import fer_bench

ROOT = Path(__file__).parents[1]


def lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # What is not in "all" is packages of data.
    named = {*re.search(r"\[(.*)\]", extras["all"][0])[1].split(","), "dev"}
    for requirement in [*project["dependencies"], *(found for name in named for found in extras[name])]:
        if bound := re.match(r"([\w.-]+)[^;]*?>=([\d.]+)", requirement):
            yield bound[1], tuple(map(int, bound[2].split(".")))


def test_each_lower_bound_is_pinned_and_nothing_else():
    lines = (ROOT / ".github" / "minimum-versions.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    bounds = dict(lower_bounds())
    assert pinned.keys() == bounds.keys()
    for name, bound in bounds.items():
        pin = tuple(map(int, pinned[name].removesuffix(".*").split(".")))
        assert pin == (bound + (0,) * 4)[: len(pin)], name
        assert len(pin) >= len(bound), name


def test_the_version_is_the_same_everywhere():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1]
    assert cited == fer_bench.__version__
    assert re.search(
        rf"^## \[{re.escape(cited)}\] - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
