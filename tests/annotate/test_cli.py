from __future__ import annotations

import csv
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import load_study
from fer_bench.cli.annotate import app
from fer_bench.errors import FerBenchError
from tests.forks import UNMEASURED

from .fakes import run_verb, write_study

run = partial(run_verb, app)


def test_links_export_prescreen(tmp_path: Path) -> None:
    path = write_study(tmp_path, prescreen={"per_class": 2})
    out = tmp_path / "links.csv"
    assert "5 links" in run(
        "links",
        path,
        "--raters",
        2,
        "--name",
        "ann",
        "--admin",
        "--screener",
        "--out",
        out,
        "--base-url",
        "https://study.example.org",
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = list(csv.DictReader(out.open()))
    assert [row["name"] for row in rows] == ["ann", "r001", "r002", "admin", "screener"]
    assert all(row["url"].startswith("https://study.example.org/") for row in rows)
    assert "r003\thttp://127.0.0.1:8000/r/" in run("links", path, "--raters", 1)
    assert "ann\t" in run("links", path, "--renew", "ann")
    with pytest.raises(FerBenchError, match="no link was asked for"):
        run("links", path)
    with pytest.raises(FerBenchError, match="not of the form"):
        run("links", path, "--raters", 1, "--base-url", "study.example.org")
    assert "wrote 0 answers" in run("export", path, "--out", tmp_path / "answers.csv")

    store = AnswerStore(load_study(path), path.with_suffix(".sqlite3"))
    item = next(item for item, image in store.images.items() if image.name == "sad/001.png")
    store.mark(item, "sad", True, 2).result()
    store.close()
    assert "sad 1" in run("prescreen", path, "--out", tmp_path / "chosen.csv")
    assert (tmp_path / "chosen.csv").read_text() == "path,label\nsad/001.png,sad\n"
    # the list serves the annotation study as it is
    assert [
        image.name
        for image in load_study(
            write_study(tmp_path, images={"folder": "images", "table": "chosen.csv"}, repeats=0)
        ).main
    ] == ["sad/001.png"]


def test_init(tmp_path: Path) -> None:
    run("init", tmp_path / "study.yaml")
    with pytest.raises(FerBenchError, match="exists"):
        run("init", tmp_path / "study.yaml")


def test_the_verbs_import_nothing_heavy() -> None:
    code = (
        "import sys, fer_bench.cli.annotate; print([m for m in ('torch', 'starlette', 'uvicorn', 'pandas', 'sqlite3')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=UNMEASURED)
    assert done.stdout.strip() == "[]"
