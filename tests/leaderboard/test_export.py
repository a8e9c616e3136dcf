"""A board as a file: what another program reads back, and what a paper prints."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.errors import UnknownNameError
from fer_bench.leaderboard.export import FORMATS, export
from fer_bench.leaderboard.table import table
from fer_bench.results.store import Store
from tests.leaderboard.fake_records import PROTOCOL, put, run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("store"))
    put(made, run(0.7, "timm:net_a", "a1", 0), run(0.71, "timm:net_a", "a1", 1), run(0.5, "=worst", "b1", 0))
    put(made, run(0.6, "people & co", "h1", 0, kind="human"))
    return made


def test_what_is_read_back_is_the_table(store):
    expected = table(store, PROTOCOL.name)
    csv = pd.read_csv(io.BytesIO(export(store, PROTOCOL.name, "csv")))
    assert csv["accuracy"].tolist() == pytest.approx(expected["accuracy"].tolist())
    assert csv["name"].tolist() == ["timm:net_a", "people & co", "'=worst"]
    parquet = pd.read_parquet(io.BytesIO(export(store, PROTOCOL.name, "parquet")))
    pd.testing.assert_frame_equal(parquet, expected, check_dtype=False)
    rows = json.loads(export(store, PROTOCOL.name, "json"))
    assert [row["rank"] for row in rows] == [1, None, 2]
    assert [row["last_rank"] for row in rows] == [1, None, 2]
    assert "<td>timm:net_a</td>" in export(store, PROTOCOL.name, "html").decode()


def test_columns_and_top(store):
    lines = export(store, PROTOCOL.name, "md", columns=["name", "accuracy"], top=2).decode().splitlines()
    assert lines[0] == "| name | accuracy |"
    assert len(lines) == 4
    with pytest.raises(UnknownNameError, match="acuracy"):
        export(store, PROTOCOL.name, "csv", columns=["acuracy"])


def test_latex_is_as_a_paper_prints_it(store):
    text = export(store, PROTOCOL.name, "latex").decode()
    assert r"1 & timm:net\_a & \textbf{70.50} $\pm$ 0.71 & 1.25 \\" in text
    assert r" & people \& co & 60.00 & 1.25 \\" in text
    assert r"2 & =worst & \underline{50.00} & 1.25 \\" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_bibtex_names_the_dataset_and_the_papers():
    text = export(Store(Path(__file__).parents[2] / "leaderboards"), "fer2013-fer7", "bibtex").decode()
    assert "@misc{vggnet_2021," in text
    assert "author = {Yousif Khaireddin and Zhuofa Chen}" in text
    assert text.count("{") == text.count("}")
    assert "goodfellow" in text.lower()


def test_the_verb(store, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(store.root))
    runner = CliRunner()
    shown = runner.invoke(app, ["leaderboard", "--format", "csv", "--protocol", PROTOCOL.name, "--top", "1"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.output.splitlines()) == 2
    for kind in FORMATS:
        written = tmp_path / f"board.{kind}"
        done = runner.invoke(app, ["leaderboard", "--format", kind, "--protocol", PROTOCOL.name, "--out", str(written)])
        assert done.exit_code == 0, done.output
        assert written.exists()
    for wrong in (["--format", "cvs", "--protocol", PROTOCOL.name], ["--format", "csv"]):
        assert runner.invoke(app, ["leaderboard", *wrong]).exit_code != 0
    assert not list(store.root.glob("*.md"))
