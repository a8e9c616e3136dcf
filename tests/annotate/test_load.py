"""Many raters at once against the real server process; the full size runs in benchmarks/perf/annotate_load.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("uvicorn")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "perf" / "annotate_load.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("annotate_load", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["annotate_load"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raters", "images", "kill"), [pytest.param(100, 3, False, marks=pytest.mark.proof), (20, 4, True)]
)
def test_no_answer_is_lost_or_doubled(raters: int, images: int, kill: bool) -> None:
    figures = load_script().run(raters, images, think=0.4, kill=kill, limit=90)
    assert figures["unexpected"] == []
    assert figures["finished"] == raters
    assert figures["acknowledged"] == figures["stored"] == raters * images
    assert figures["lost"] == figures["changed"] == figures["doubled"] == figures["damaged"] == 0


def test_the_check_would_notice(tmp_path: Path) -> None:
    script = load_script()
    study = script.make_study(tmp_path / "study", 2)
    script.make_links(study, 1)
    outcome = script.Outcome(acknowledged={("r001", 0): ("happy", 5, 5)})
    assert script.check(study.with_suffix(".sqlite3"), outcome)["lost"] == 1
